// A TUN device: what the host routes into it can be read, and what is written arrives.
#include "tests/contract/collect.h"
#include "tests/contract/packets.h"

namespace culvert::contract {
namespace {

class TunCase : public ContractBothFamilies {
 protected:
  void open(bool offload = false, uint32_t mtu = 1400) {
    CONTRACT_SKIP("F-02", "this machine does not let us open TUN devices");
    const bool v4 = family() == Family::v4;
    net::TunOptions options;
    options.name = "culvert0";
    options.addresses = {*net::Prefix::parse(v4 ? "10.9.0.1/32" : "fd09::1/128")};
    options.routes = {*net::Prefix::parse(v4 ? "10.9.0.0/24" : "fd09::/64")};
    options.mtu = mtu;
    options.offload = offload;
    auto opened = world->a().open_tun(options);
    ASSERT_TRUE(opened) << opened.status().to_string();
    tun = std::move(*opened);
    own = ip(v4 ? "10.9.0.1" : "fd09::1");
    beyond = ip(v4 ? "10.9.0.7" : "fd09::7");
    net::DatagramOptions bind;
    bind.local = {at().any, 5000};
    socket = std::move(*world->a().open_datagram(bind));
    inbox = std::make_unique<Inbox>(*socket);
  }
  // Every packet that can be read now, UDP only (the stack may send router solicitations).
  void read() {
    std::vector<net::Buffer> buffers(4, net::Buffer(65600));
    std::vector<net::PacketIn> batch(4);
    for (size_t i = 0; i < 4; ++i) batch[i].buffer = buffers[i];
    const net::IoResult result = tun->read(batch);
    for (size_t i = 0; i < result.count; ++i) {
      net::Buffer packet(batch[i].buffer.begin(), batch[i].buffer.begin() + batch[i].size);
      if (View(packet).protocol() != 17) continue;
      packets.push_back(packet);
      offloads.push_back(batch[i].offload);
    }
  }
  void TearDown() override { inbox.reset(), socket.reset(), tun.reset(); }
  IpAddress own, beyond;
  std::unique_ptr<net::TunDevice> tun;
  std::unique_ptr<net::DatagramSocket> socket;
  std::unique_ptr<Inbox> inbox;
  std::vector<net::Buffer> packets;
  std::vector<net::PacketOffload> offloads;
};
CONTRACT_BOTH_FAMILIES(TunCase);

TEST_P(TunCase, an_echo_beyond_it_answers) {
  open();
  if (HasFatalFailure() || IsSkipped()) return;
  EXPECT_FALSE(tun->name().empty());
  EXPECT_FALSE(tun->offload());
  tun->on_readable([&] { read(); });
  EXPECT_TRUE(socket->send_to({beyond, 7}, net::as_bytes("echo me")).ok());
  ASSERT_TRUE(until([&] { return !packets.empty(); }));
  View view(packets[0]);
  EXPECT_TRUE(view.checksums_are_right()) << "without offload packets come with whole checksums";
  EXPECT_EQ(view.udp_text(), "echo me");
  EXPECT_EQ(view.ttl(), 64);
  view.turn_round();
  view.fix_checksums();
  net::PacketOut out;
  out.data = packets[0];
  EXPECT_EQ(tun->write({&out, 1}).count, 1u);
  ASSERT_TRUE(until([&] { return !inbox->got.empty(); }));
  EXPECT_EQ(inbox->got[0].text, "echo me");
  EXPECT_EQ(inbox->got[0].from, (Endpoint{beyond, 7}));
  EXPECT_EQ(inbox->got[0].to, (Endpoint{own, 5000}));
}

TEST_P(TunCase, batches_keep_their_order) {
  open();
  if (HasFatalFailure() || IsSkipped()) return;
  tun->on_readable([&] { read(); });
  for (int i = 0; i < 10; ++i)
    EXPECT_TRUE(socket->send_to({beyond, 7}, net::as_bytes(std::to_string(i))).ok());
  ASSERT_TRUE(until([&] { return packets.size() == 10; }));
  std::vector<net::PacketOut> batch(10);
  for (int i = 0; i < 10; ++i) {
    View view(packets[i]);
    EXPECT_EQ(view.udp_text(), std::to_string(i));
    view.turn_round();
    view.fix_checksums();
    batch[i].data = packets[i];
  }
  EXPECT_EQ(tun->write(batch).count, 10u);
  ASSERT_TRUE(until([&] { return inbox->got.size() == 10; }));
  for (int i = 0; i < 10; ++i) EXPECT_EQ(inbox->got[i].text, std::to_string(i));
}

TEST_P(TunCase, its_mtu_holds) {
  open(false, 1300);
  if (HasFatalFailure() || IsSkipped()) return;
  EXPECT_EQ(*socket->path_mtu({beyond, 7}), 1300u);
  EXPECT_TRUE(socket->set_dont_fragment(true).ok());
  EXPECT_EQ(socket->send_to({beyond, 7}, net::as_bytes(std::string(1290, 'x'))).error,
            Error::too_big);
}

TEST_P(TunCase, a_packet_without_sense_is_dropped_and_told) {
  open();
  if (HasFatalFailure() || IsSkipped()) return;
  net::Buffer rubbish(40, 0xff), empty;
  for (const net::Buffer& data : {rubbish, empty}) {
    net::PacketOut out;
    out.data = data;
    const net::IoResult result = tun->write({&out, 1});
    EXPECT_EQ(result.count, 0u);
    EXPECT_EQ(result.error, Error::invalid);
  }
}

TEST_P(TunCase, a_packet_that_lies_about_its_length_is_invalid) {
  open();
  if (HasFatalFailure() || IsSkipped()) return;
  net::Buffer packet = udp_packet({beyond, 7}, {own, 5000}, "text");
  packet.pop_back();
  net::PacketOut out;
  out.data = packet;
  EXPECT_EQ(tun->write({&out, 1}).error, Error::invalid);
}

TEST_P(TunCase, offload_metadata_need_a_device_that_was_granted_offload) {
  open();
  if (HasFatalFailure() || IsSkipped()) return;
  const net::Buffer packet = udp_packet({beyond, 7}, {own, 5000}, "text");
  net::PacketOut out;
  out.data = packet;
  out.offload.partial_checksum = true;
  out.offload.checksum_start = static_cast<uint16_t>(packet.size() - 12);
  out.offload.checksum_offset = 6;
  const net::IoResult result = tun->write({&out, 1});
  EXPECT_EQ(result.count, 0u);
  EXPECT_EQ(result.error, Error::unsupported);
  out.offload = {};
  EXPECT_EQ(tun->write({&out, 1}).count, 1u);
}

// Whoever asks for offload must do with what is granted: without it packets come plain.
TEST_P(TunCase, asking_for_offload_changes_nothing_for_who_looks_at_the_metadata) {
  open(true);
  if (HasFatalFailure() || IsSkipped()) return;
  tun->on_readable([&] { read(); });
  EXPECT_TRUE(socket->send_to({beyond, 7}, net::as_bytes("echo me")).ok());
  ASSERT_TRUE(until([&] { return !packets.empty(); }));
  View view(packets[0]);
  EXPECT_EQ(view.udp_text(), "echo me");
  EXPECT_EQ(offloads[0].segmentation, net::PacketOffload::Segmentation::none);
  if (offloads[0].partial_checksum) {
    EXPECT_TRUE(tun->offload());
    EXPECT_EQ(offloads[0].checksum_start, view.header());
    EXPECT_EQ(offloads[0].checksum_offset, 6);
  } else {
    EXPECT_TRUE(view.checksums_are_right());
  }
  view.turn_round();
  net::PacketOut out;
  out.data = packets[0];
  out.offload = offloads[0];
  EXPECT_EQ(tun->write({&out, 1}).count, 1u);
  ASSERT_TRUE(until([&] { return !inbox->got.empty(); }));
  EXPECT_EQ(inbox->got[0].text, "echo me");
}

TEST_P(TunCase, it_may_be_destroyed_in_its_own_callback_and_made_again) {
  open();
  if (HasFatalFailure() || IsSkipped()) return;
  int calls = 0;
  tun->on_readable([&] {
    ++calls;
    tun.reset();
  });
  EXPECT_TRUE(socket->send_to({beyond, 7}, net::as_bytes("x")).ok());
  ASSERT_TRUE(until([&] { return calls > 0; }));
  for (const net::InterfaceAddress& i : world->a().interfaces()) EXPECT_NE(i.address.ip, own);
  inbox.reset(), socket.reset();
  open();
  EXPECT_TRUE(tun);
}

TEST_P(TunCase, options_without_sense_are_invalid) {
  CONTRACT_SKIP("F-02", "this machine does not let us open TUN devices");
  net::TunOptions options;
  options.name = "culvert0";
  options.mtu = 20;
  EXPECT_EQ(world->a().open_tun(options).error(), Error::invalid);
  options.mtu = 1400;
  for (const char* name : {"a/b", "a b", "a%d", "a:1"}) {
    options.name = name;
    EXPECT_EQ(world->a().open_tun(options).error(), Error::invalid) << name;
  }
  options.name = "";
  auto named = world->a().open_tun(options);
  ASSERT_TRUE(named) << named.status().to_string();
  EXPECT_FALSE((*named)->name().empty());
}

}  // namespace
}  // namespace culvert::contract
