// Datagrams: what goes in at one end comes out at the other, once, with its addresses and TTL.
#include "tests/contract/collect.h"

namespace culvert::contract {
namespace {

class DatagramCase : public ContractBothFamilies {
 protected:
  std::unique_ptr<net::DatagramSocket> open(net::Host& host, const Endpoint& local,
                                            bool share = false) {
    net::DatagramOptions options;
    options.local = local;
    options.share_port = share;
    auto socket = host.open_datagram(options);
    EXPECT_TRUE(socket) << socket.status().to_string();
    return socket ? std::move(*socket) : nullptr;
  }
};
CONTRACT_BOTH_FAMILIES(DatagramCase);

TEST_P(DatagramCase, one_arrives_with_its_addresses) {
  auto sender = open(world->a(), {at().a, 5000});
  auto receiver = open(world->b(), {at().b, 6000});
  Inbox inbox(*receiver);
  EXPECT_TRUE(sender->send_to({at().b, 6000}, net::as_bytes("hello")).ok());
  EXPECT_TRUE(inbox.got.empty()) << "a callback ran inside the call that caused it";
  ASSERT_TRUE(until([&] { return !inbox.got.empty(); }));
  EXPECT_EQ(inbox.got[0].text, "hello");
  EXPECT_EQ(inbox.got[0].from, (Endpoint{at().a, 5000}));
  EXPECT_EQ(inbox.got[0].to, (Endpoint{at().b, 6000}));
  EXPECT_FALSE(inbox.got[0].truncated);
  world->settle();
  EXPECT_EQ(inbox.got.size(), 1u);
}

TEST_P(DatagramCase, an_empty_one_arrives_too) {
  auto sender = open(world->a(), {at().a, 0});
  auto receiver = open(world->b(), {at().b, 6000});
  Inbox inbox(*receiver);
  EXPECT_TRUE(sender->send_to({at().b, 6000}, {}).ok());
  ASSERT_TRUE(until([&] { return !inbox.got.empty(); }));
  EXPECT_EQ(inbox.got[0].text, "");
}

TEST_P(DatagramCase, a_batch_goes_in_order_to_several_receivers) {
  auto sender = open(world->a(), {at().a, 5000});
  auto first = open(world->b(), {at().b, 6000});
  auto second = open(world->b(), {at().b, 6001});
  Inbox one(*first), two(*second);
  std::vector<std::string> texts;
  for (int i = 0; i < 20; ++i) texts.push_back("datagram " + std::to_string(i));
  std::vector<DatagramOut> batch(20);
  for (int i = 0; i < 20; ++i) {
    batch[i].data = net::as_bytes(texts[i]);
    batch[i].to = {at().b, static_cast<uint16_t>(6000 + i % 2)};
  }
  const net::IoResult result = sender->send(batch);
  EXPECT_EQ(result.count, 20u);
  EXPECT_EQ(result.error, Error::none);
  ASSERT_TRUE(until([&] { return one.got.size() + two.got.size() == 20; }));
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(one.got[i].text, texts[2 * i]);
    EXPECT_EQ(two.got[i].text, texts[2 * i + 1]);
  }
}

TEST_P(DatagramCase, a_reader_of_small_batches_loses_nothing) {
  auto sender = open(world->a(), {at().a, 5000});
  auto receiver = open(world->b(), {at().b, 6000});
  Inbox inbox(*receiver, 1);
  std::vector<DatagramOut> batch(9);
  for (auto& out : batch) out = {net::as_bytes("x"), {at().b, 6000}};
  EXPECT_EQ(sender->send(batch).count, 9u);
  ASSERT_TRUE(until([&] { return inbox.got.size() == 9; }));
  world->settle();
  EXPECT_GE(inbox.calls, 9);
}

TEST_P(DatagramCase, a_callback_that_reads_nothing_does_not_run_hot) {
  auto sender = open(world->a(), {at().a, 5000});
  auto receiver = open(world->b(), {at().b, 6000});
  int calls = 0;
  receiver->on_readable([&] { ++calls; });
  EXPECT_TRUE(sender->send_to({at().b, 6000}, net::as_bytes("one")).ok());
  EXPECT_TRUE(sender->send_to({at().b, 6000}, net::as_bytes("two")).ok());
  ASSERT_TRUE(until([&] { return calls > 0; }));
  world->settle();
  EXPECT_LE(calls, 2) << "at most once for each arrival";
  Inbox inbox(*receiver, 1);  // a new callback finds what is there
  ASSERT_TRUE(until([&] { return inbox.got.size() == 2; }));
}

TEST_P(DatagramCase, pausing_keeps_what_arrives) {
  auto sender = open(world->a(), {at().a, 5000});
  auto receiver = open(world->b(), {at().b, 6000});
  {
    Inbox inbox(*receiver);
    receiver->on_readable({});
    EXPECT_TRUE(sender->send_to({at().b, 6000}, net::as_bytes("kept")).ok());
    world->settle();
    EXPECT_TRUE(inbox.got.empty());
  }
  Inbox inbox(*receiver);
  ASSERT_TRUE(until([&] { return inbox.got.size() == 1; }));
  EXPECT_EQ(inbox.got[0].text, "kept");
}

TEST_P(DatagramCase, too_long_for_the_buffer_is_marked) {
  auto sender = open(world->a(), {at().a, 5000});
  auto receiver = open(world->b(), {at().b, 6000});
  Inbox inbox(*receiver, 1, 4);
  EXPECT_TRUE(sender->send_to({at().b, 6000}, net::as_bytes("truncated")).ok());
  ASSERT_TRUE(until([&] { return !inbox.got.empty(); }));
  EXPECT_EQ(inbox.got[0].text, "trun");
  EXPECT_TRUE(inbox.got[0].truncated);
}

TEST_P(DatagramCase, receive_with_nothing_there_would_block) {
  auto receiver = open(world->b(), {at().b, 6000});
  uint8_t buffer[64];
  DatagramIn in;
  in.buffer = buffer;
  const net::IoResult result = receiver->receive({&in, 1});
  EXPECT_EQ(result.count, 0u);
  EXPECT_EQ(result.error, Error::would_block);
}

TEST_P(DatagramCase, a_batch_larger_than_what_is_there_says_so) {
  auto sender = open(world->a(), {at().a, 5000});
  auto receiver = open(world->b(), {at().b, 6000});
  std::vector<net::Buffer> buffers(4, net::Buffer(100));
  std::vector<DatagramIn> batch(4);
  for (size_t i = 0; i < 4; ++i) batch[i].buffer = buffers[i];
  for (int i = 0; i < 6; ++i) EXPECT_TRUE(sender->send_to({at().b, 6000}, net::as_bytes("x")).ok());
  world->settle();
  net::IoResult result = receiver->receive(batch);
  EXPECT_EQ(result.count, 4u);
  EXPECT_EQ(result.error, Error::none);
  result = receiver->receive(batch);
  EXPECT_EQ(result.count, 2u);
  EXPECT_EQ(result.error, Error::would_block);
}

TEST_P(DatagramCase, ttl_and_traffic_class_are_those_of_the_packet) {
  auto sender = open(world->a(), {at().a, 5000});
  auto receiver = open(world->b(), {at().b, 6000});
  Inbox inbox(*receiver);
  std::vector<DatagramOut> batch(3);
  for (auto& out : batch) out = {net::as_bytes("t"), {at().b, 6000}};
  batch[0].ttl = 7;
  batch[2].ttl = 200;
  batch[2].traffic_class = 46 << 2 | 1;  // EF, ECT(1)
  EXPECT_EQ(sender->send(batch).count, 3u);
  ASSERT_TRUE(until([&] { return inbox.got.size() == 3; }));
  EXPECT_EQ(inbox.got[0].ttl, 6);  // r took one off each
  EXPECT_EQ(inbox.got[1].ttl, 63);
  EXPECT_EQ(inbox.got[2].ttl, 199);
  EXPECT_EQ(inbox.got[0].traffic_class, 0);
  EXPECT_EQ(inbox.got[2].traffic_class, 46 << 2 | 1);
}

TEST_P(DatagramCase, a_ttl_that_reaches_r_and_no_further_is_not_remembered) {
  auto sender = open(world->a(), {at().a, 5000});
  auto receiver = open(world->b(), {at().b, 6000});
  Inbox inbox(*receiver);
  EXPECT_TRUE(sender->send_to({at().b, 6000}, net::as_bytes("short"), 1).ok());
  EXPECT_TRUE(sender->send_to({at().b, 6000}, net::as_bytes("long")).ok());
  ASSERT_TRUE(until([&] { return !inbox.got.empty(); }));
  world->settle();
  ASSERT_EQ(inbox.got.size(), 1u);
  EXPECT_EQ(inbox.got[0].text, "long");
}

TEST_P(DatagramCase, bound_to_any_it_tells_which_address_was_meant) {
  auto sender = open(world->a(), {at().a, 5000});
  auto receiver = open(world->b(), {at().any, 6000});
  Inbox inbox(*receiver);
  EXPECT_TRUE(sender->send_to({at().b_second, 6000}, net::as_bytes("second")).ok());
  EXPECT_TRUE(sender->send_to({at().b, 6000}, net::as_bytes("first")).ok());
  ASSERT_TRUE(until([&] { return inbox.got.size() == 2; }));
  EXPECT_EQ(inbox.got[0].to, (Endpoint{at().b_second, 6000}));
  EXPECT_EQ(inbox.got[1].to, (Endpoint{at().b, 6000}));
}

TEST_P(DatagramCase, bound_to_any_it_sends_from_the_address_asked_for) {
  auto sender = open(world->b(), {at().any, 6000});
  auto receiver = open(world->a(), {at().a, 5000});
  Inbox inbox(*receiver);
  std::vector<DatagramOut> batch(2);
  for (auto& out : batch) out = {net::as_bytes("from"), {at().a, 5000}};
  batch[0].from = at().b_second;
  batch[1].from = at().b;
  EXPECT_EQ(sender->send(batch).count, 2u);
  ASSERT_TRUE(until([&] { return inbox.got.size() == 2; }));
  EXPECT_EQ(inbox.got[0].from, (Endpoint{at().b_second, 6000}));
  EXPECT_EQ(inbox.got[1].from, (Endpoint{at().b, 6000}));
}

TEST_P(DatagramCase, port_zero_gets_a_port_of_its_own) {
  auto one = open(world->a(), {at().a, 0});
  auto two = open(world->a(), {at().a, 0});
  EXPECT_NE(one->local().port, 0);
  EXPECT_NE(one->local().port, two->local().port);
  EXPECT_EQ(one->local().ip, at().a);
}

TEST_P(DatagramCase, a_port_taken_is_in_use_until_it_is_closed) {
  auto one = open(world->a(), {at().a, 5000});
  net::DatagramOptions options;
  options.local = {at().a, 5000};
  auto two = world->a().open_datagram(options);
  ASSERT_FALSE(two);
  EXPECT_EQ(two.error(), Error::in_use);
  EXPECT_FALSE(two.status().detail.empty());
  one.reset();
  EXPECT_TRUE(world->a().open_datagram(options));
}

TEST_P(DatagramCase, an_address_of_another_machine_is_not_available) {
  net::DatagramOptions options;
  options.local = {at().b, 5000};
  auto socket = world->a().open_datagram(options);
  ASSERT_FALSE(socket);
  EXPECT_EQ(socket.error(), Error::not_available);
}

TEST_P(DatagramCase, a_port_is_shared_by_those_who_all_ask_to) {
  auto one = open(world->a(), {at().a, 5000}, true);
  auto two = open(world->a(), {at().a, 5000}, true);
  ASSERT_TRUE(one && two);
  auto receiver = open(world->b(), {at().b, 6000});
  Inbox inbox(*receiver);
  EXPECT_TRUE(one->send_to({at().b, 6000}, net::as_bytes("1")).ok());
  EXPECT_TRUE(two->send_to({at().b, 6000}, net::as_bytes("2")).ok());
  ASSERT_TRUE(until([&] { return inbox.got.size() == 2; }));
  EXPECT_EQ(inbox.got[0].from, inbox.got[1].from);
  net::DatagramOptions alone;
  alone.local = {at().a, 5000};
  auto three = world->a().open_datagram(alone);
  EXPECT_FALSE(three);
  EXPECT_EQ(three.error(), Error::in_use);
}

TEST_P(DatagramCase, a_datagram_to_a_shared_port_goes_to_one_of_them) {
  auto one = open(world->b(), {at().b, 6000}, true);
  auto two = open(world->b(), {at().b, 6000}, true);
  auto sender = open(world->a(), {at().a, 5000});
  Inbox first(*one), second(*two);
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(sender->send_to({at().b, 6000}, net::as_bytes("x")).ok());
  ASSERT_TRUE(until([&] { return first.got.size() + second.got.size() >= 4; }));
  world->settle();
  EXPECT_EQ(first.got.size() + second.got.size(), 4u);
}

TEST_P(DatagramCase, a_train_is_cut_into_its_datagrams) {
  auto sender = open(world->a(), {at().a, 5000});
  auto receiver = open(world->b(), {at().b, 6000});
  Inbox inbox(*receiver);
  const std::string train = noise(10 * 1000 + 123);
  DatagramOut out{net::as_bytes(train), {at().b, 6000}};
  out.segment_size = 1000;
  EXPECT_EQ(sender->send({&out, 1}).count, 1u);
  ASSERT_TRUE(until([&] { return inbox.got.size() == 11; }));
  std::string joined;
  for (const Datagram& d : inbox.got) joined += d.text;
  EXPECT_EQ(inbox.got[0].text.size(), 1000u);
  EXPECT_EQ(inbox.got[10].text.size(), 123u);
  EXPECT_EQ(joined, train);
}

// Whoever asks for trains gets the same datagrams, cut where segment_size says, in every world.
TEST_P(DatagramCase, a_reader_of_trains_gets_the_same_datagrams) {
  net::DatagramOptions options;
  options.local = {at().b, 6000};
  options.receive_trains = true;
  auto receiver = world->b().open_datagram(options);
  ASSERT_TRUE(receiver) << receiver.status().to_string();
  auto sender = open(world->a(), {at().a, 5000});
  const std::string train = noise(20 * 1000 + 123);
  DatagramOut out{net::as_bytes(train), {at().b, 6000}};
  out.segment_size = 1000;
  EXPECT_EQ(sender->send({&out, 1}).count, 1u);
  EXPECT_TRUE(sender->send_to({at().b, 6000}, net::as_bytes("alone")).ok());
  std::vector<std::string> got;
  net::Buffer buffer(65536);
  (*receiver)->on_readable([&] {
    DatagramIn in;
    in.buffer = buffer;
    if ((*receiver)->receive({&in, 1}).count == 0) return;
    EXPECT_FALSE(in.truncated);
    EXPECT_EQ(in.from, sender->local());
    const std::string all(net::as_text({buffer.data(), in.size}));
    const size_t step = in.segment_size > 0 ? in.segment_size : all.size();
    for (size_t k = 0; k < all.size(); k += step) got.push_back(all.substr(k, step));
  });
  ASSERT_TRUE(until([&] { return got.size() >= 22; }));
  world->settle();
  ASSERT_EQ(got.size(), 22u);
  std::string joined;
  for (size_t i = 0; i < 21; ++i) joined += got[i];
  EXPECT_EQ(got[20].size(), 123u);
  EXPECT_EQ(joined, train);
  EXPECT_EQ(got[21], "alone");
}

TEST_P(DatagramCase, a_large_one_is_fragmented_and_put_together) {
  auto sender = open(world->a(), {at().a, 5000});
  auto receiver = open(world->b(), {at().b, 6000});
  Inbox inbox(*receiver);
  const std::string large = noise(20000);
  EXPECT_TRUE(sender->send_to({at().b, 6000}, net::as_bytes(large)).ok());
  ASSERT_TRUE(until([&] { return !inbox.got.empty(); }));
  EXPECT_EQ(inbox.got[0].text, large);
}

TEST_P(DatagramCase, larger_than_any_datagram_is_too_big_and_can_be_skipped) {
  auto sender = open(world->a(), {at().a, 5000});
  auto receiver = open(world->b(), {at().b, 6000});
  Inbox inbox(*receiver);
  const std::string huge(70000, 'h');
  std::vector<DatagramOut> batch(3);
  for (auto& out : batch) out = {net::as_bytes("fits"), {at().b, 6000}};
  batch[1].data = net::as_bytes(huge);
  const net::IoResult result = sender->send(batch);
  EXPECT_EQ(result.count, 1u);
  EXPECT_EQ(result.error, Error::too_big);
  EXPECT_EQ(sender->send({&batch[2], 1}).count, 1u);
  ASSERT_TRUE(until([&] { return inbox.got.size() == 2; }));
}

class DatagramV4Case : public DatagramCase {};  // IPv6 has no broadcast (RFC 4291 section 2)
INSTANTIATE_TEST_SUITE_P(Family, DatagramV4Case, ::testing::Values(Family::v4),
                         [](const auto&) { return "v4"; });

TEST_P(DatagramV4Case, a_broadcast_reaches_the_own_link_and_no_further) {
  auto sender = open(world->a(), {at().a, 5000});
  auto near = open(world->r(), {at().any, 6000});
  auto far = open(world->b(), {at().any, 6000});
  Inbox inbox(*near), far_inbox(*far);
  EXPECT_TRUE(sender->send_to({ip("255.255.255.255"), 6000}, net::as_bytes("all")).ok());
  ASSERT_TRUE(until([&] { return !inbox.got.empty(); }));
  EXPECT_EQ(inbox.got[0].text, "all");
  EXPECT_EQ(inbox.got[0].from, (Endpoint{at().a, 5000}));
  world->settle();
  EXPECT_TRUE(far_inbox.got.empty());
}

TEST_P(DatagramCase, one_without_sense_is_refused_in_its_place) {
  auto sender = open(world->a(), {at().a, 5000});
  auto receiver = open(world->b(), {at().b, 6000});
  Inbox inbox(*receiver);
  const Addresses other = addresses(family() == Family::v4 ? Family::v6 : Family::v4);
  const DatagramOut good{net::as_bytes("good"), {at().b, 6000}};
  std::vector<std::pair<DatagramOut, Error>> rows(7, {good, Error::invalid});
  rows[0].first.to.port = 0;
  rows[1].first.to.ip = at().any;
  rows[2].first.to.ip = other.b;
  rows[3].first.to.ip = {};
  rows[4].first.ttl = 0;
  rows[5].first.from = other.a;
  rows[6].first.from = at().b;
  rows[6].second = Error::not_available;
  size_t sent = 0;
  for (size_t i = 0; i < rows.size(); ++i)
    for (const uint16_t segment : {0, 2}) {
      DatagramOut batch[3] = {good, rows[i].first, good};
      batch[1].segment_size = segment;
      const net::IoResult result = sender->send(batch);
      EXPECT_EQ(result.count, 1u) << "row " << i;
      EXPECT_EQ(result.error, rows[i].second) << "row " << i;
      ++sent;
    }
  ASSERT_TRUE(until([&] { return inbox.got.size() == sent; }));
  world->settle();
  EXPECT_EQ(inbox.got.size(), sent);
}

TEST_P(DatagramCase, a_socket_destroyed_in_its_own_callback_is_gone) {
  auto sender = open(world->a(), {at().a, 5000});
  auto receiver = open(world->b(), {at().b, 6000});
  int calls = 0;
  receiver->on_readable([&] {
    ++calls;
    receiver.reset();
  });
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(sender->send_to({at().b, 6000}, net::as_bytes("x")).ok());
  ASSERT_TRUE(until([&] { return calls == 1; }));
  world->settle();
  EXPECT_EQ(calls, 1);
}

TEST_P(DatagramCase, a_socket_destroyed_in_anothers_callback_stays_silent) {
  auto sender = open(world->a(), {at().a, 5000});
  std::unique_ptr<net::DatagramSocket> sockets[2] = {open(world->b(), {at().b, 6000}),
                                                     open(world->b(), {at().b, 6001})};
  int calls = 0;
  for (int i = 0; i < 2; ++i)
    sockets[i]->on_readable([&, i] {
      ++calls;
      sockets[1 - i].reset();
    });
  std::vector<DatagramOut> batch(2);
  for (int i = 0; i < 2; ++i) {
    batch[i].data = net::as_bytes("x");
    batch[i].to = {at().b, static_cast<uint16_t>(6000 + i)};
  }
  EXPECT_EQ(sender->send(batch).count, 2u);
  ASSERT_TRUE(until([&] { return calls > 0; }));
  world->settle();
  EXPECT_EQ(calls, 1);
}

TEST_P(DatagramCase, a_full_queue_drops_the_newest_and_stays_bounded) {
  net::DatagramOptions options;
  options.local = {at().b, 6000};
  options.receive_buffer = 20000;
  auto receiver = world->b().open_datagram(options);
  ASSERT_TRUE(receiver);
  auto sender = open(world->a(), {at().a, 5000});
  // The way is known first: a kernel that still looks for its neighbour drops the oldest packets.
  auto scout = open(world->b(), {at().b, 6001});
  Inbox scouted(*scout);
  EXPECT_TRUE(sender->send_to({at().b, 6001}, net::as_bytes("there?")).ok());
  ASSERT_TRUE(until([&] { return !scouted.got.empty(); }));
  const std::string filler(1000, 'f');
  for (int i = 0; i < 200; ++i) {
    const std::string text = std::to_string(1000 + i) + filler;
    EXPECT_TRUE(sender->send_to({at().b, 6000}, net::as_bytes(text)).ok());
    if (i % 20 == 19) world->settle();
  }
  Inbox inbox(**receiver);
  ASSERT_TRUE(until([&] { return !inbox.got.empty(); }));
  world->settle();
  EXPECT_GE(inbox.got.size(), 5u);
  EXPECT_LE(inbox.got.size(), 60u) << "200 kB were sent to a queue of 20 kB";
  EXPECT_EQ(inbox.got[0].text.substr(0, 4), "1000");
  for (size_t i = 1; i < inbox.got.size(); ++i)
    EXPECT_LT(inbox.got[i - 1].text.substr(0, 4), inbox.got[i].text.substr(0, 4));
}

}  // namespace
}  // namespace culvert::contract
