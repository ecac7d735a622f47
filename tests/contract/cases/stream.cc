// Streams: bytes arrive once, in order, and a slow side slows the other.
#include "tests/contract/pair.h"

namespace culvert::contract {
namespace {

class StreamCase : public StreamFixture {};
CONTRACT_BOTH_FAMILIES(StreamCase);

TEST_P(StreamCase, connects_and_both_ends_know_both_addresses) {
  connect();
  ASSERT_TRUE(near && far);
  EXPECT_EQ(near->remote(), (Endpoint{at().b, 7000}));
  EXPECT_EQ(near->local().ip, at().a);
  EXPECT_NE(near->local().port, 0);
  EXPECT_EQ(far->local(), near->remote());
  EXPECT_EQ(far->remote(), near->local());
}

TEST_P(StreamCase, echoes) {
  talk();
  ASSERT_TRUE(here && there);
  here->say("ping");
  EXPECT_TRUE(there->heard.empty()) << "a callback ran inside the call that caused it";
  ASSERT_TRUE(until([&] { return there->heard == "ping"; }));
  there->say("pong");
  ASSERT_TRUE(until([&] { return here->heard == "pong"; }));
  EXPECT_EQ(here->end, Error::none);
}

TEST_P(StreamCase, reading_with_nothing_there_would_block) {
  connect();
  ASSERT_TRUE(near);
  uint8_t buffer[16];
  const net::IoResult result = near->read(buffer);
  EXPECT_EQ(result.count, 0u);
  EXPECT_EQ(result.error, Error::would_block);
}

TEST_P(StreamCase, eight_megabytes_each_way_at_once_arrive_unchanged) {
  talk();
  ASSERT_TRUE(here && there);
  const std::string up = noise(8 << 20, 1), down = noise(8 << 20, 2);
  here->say(up);
  there->say(down);
  here->finish();
  there->finish();
  ASSERT_TRUE(until([&] { return here->end != Error::none && there->end != Error::none; }, 60s));
  EXPECT_EQ(here->end, Error::closed);
  EXPECT_EQ(there->end, Error::closed);
  EXPECT_TRUE(there->heard == up);
  EXPECT_TRUE(here->heard == down);
}

TEST_P(StreamCase, a_reader_of_one_byte_at_a_time_is_called_while_data_is_left) {
  connect();
  ASSERT_TRUE(near && far);
  std::string heard;
  far->on_readable([&] {
    uint8_t byte;
    const net::IoResult result = far->read({&byte, 1});
    if (result.count) heard += static_cast<char>(byte);
  });
  EXPECT_EQ(near->write(net::as_bytes("one by one")).count, 10u);
  ASSERT_TRUE(until([&] { return heard == "one by one"; }));
}

TEST_P(StreamCase, a_callback_that_reads_nothing_does_not_run_hot) {
  connect();
  ASSERT_TRUE(near && far);
  int calls = 0;
  far->on_readable([&] { ++calls; });
  EXPECT_EQ(near->write(net::as_bytes("data")).count, 4u);
  ASSERT_TRUE(until([&] { return calls > 0; }));
  world->settle();
  EXPECT_LE(calls, 2);
  Talk talk(std::move(far));
  ASSERT_TRUE(until([&] { return talk.heard == "data"; }));
}

TEST_P(StreamCase, a_paused_reader_stops_the_writer_and_loses_nothing_on_resuming) {
  connect();
  ASSERT_TRUE(near && far);
  const std::string text = noise(16 << 20);  // more than any buffer between them
  size_t sent = 0;
  std::function<void()> push = [&] {
    while (sent < text.size()) {
      const net::IoResult r = near->write(net::as_bytes(std::string_view(text).substr(sent)));
      sent += r.count;
      if (r.error != Error::none) {
        ASSERT_EQ(r.error, Error::would_block);
        near->on_writable(push);
        return;
      }
    }
  };
  push();
  size_t before = 0;
  ASSERT_TRUE(until([&] {  // until a whole settling passes without a byte taken
    before = sent;
    world->settle();
    return sent == before;
  }));
  EXPECT_LT(sent, text.size()) << "the writer was never stopped";
  Talk reader(std::move(far));
  ASSERT_TRUE(until([&] { return reader.heard.size() == text.size(); }, 60s));
  EXPECT_TRUE(reader.heard == text);
}

TEST_P(StreamCase, a_megabyte_waits_for_a_paused_reader) {
  connect();
  ASSERT_TRUE(near && far);
  const std::string text = noise(1 << 20);
  Talk writer(std::move(near));
  writer.say(text);
  std::string heard;
  bool paused = false;
  const auto read = [&] {
    net::Buffer buffer(4096);
    const net::IoResult result = far->read(buffer);
    heard.append(reinterpret_cast<const char*>(buffer.data()), result.count);
    if (heard.size() >= 100000 && !paused) {
      paused = true;
      far->on_readable({});
    }
  };
  far->on_readable(read);
  ASSERT_TRUE(until([&] { return paused; }));
  const size_t at_pause = heard.size();
  world->settle();
  EXPECT_EQ(heard.size(), at_pause);
  far->on_readable(read);
  ASSERT_TRUE(until([&] { return heard.size() == text.size(); }, 60s));
  EXPECT_TRUE(heard == text);
}

TEST_P(StreamCase, a_large_write_is_short_and_writable_comes_once_there_is_room) {
  connect();
  ASSERT_TRUE(near && far);
  const std::string text = noise(32 << 20);
  const net::IoResult first = near->write(net::as_bytes(text));
  EXPECT_EQ(first.error, Error::would_block);
  EXPECT_GT(first.count, 0u);
  EXPECT_LT(first.count, text.size());
  int writable = 0;
  near->on_writable([&] { ++writable; });
  EXPECT_EQ(writable, 0);
  Talk reader(std::move(far));
  ASSERT_TRUE(until([&] { return writable > 0; }));
  world->settle();
  EXPECT_EQ(writable, 1) << "on_writable runs once for each time it is set";
  EXPECT_GT(near->write(net::as_bytes("more")).count, 0u);
  EXPECT_TRUE(until([&] { return reader.heard.size() >= first.count + 4; }));
}

TEST_P(StreamCase, an_empty_write_is_nothing) {
  connect();
  ASSERT_TRUE(near);
  const net::IoResult result = near->write({});
  EXPECT_EQ(result.count, 0u);
  EXPECT_EQ(result.error, Error::none);
}

TEST_P(StreamCase, small_writes_are_not_held_back) {
  talk();
  ASSERT_TRUE(here && there);
  const net::Time start = world->now();
  for (int i = 0; i < 10; ++i) {  // Nagle with delayed acknowledgements would take 40 ms each
    const size_t before = there->heard.size();
    here->say("a");
    here->say("b");
    ASSERT_TRUE(until([&] { return there->heard.size() == before + 2; }));
  }
  EXPECT_LT(world->now() - start, 250ms);
  EXPECT_TRUE(here->stream().set_no_delay(false).ok());
  EXPECT_TRUE(here->stream().set_no_delay(true).ok());
}

TEST_P(StreamCase, statistics_know_the_path) {
  talk();
  ASSERT_TRUE(here && there);
  here->say(noise(200000));
  ASSERT_TRUE(until([&] { return there->heard.size() == 200000; }));
  const net::PathStats stats = here->stream().stats();
  ASSERT_TRUE(stats.rtt && stats.cwnd && stats.mss);
  EXPECT_GT(*stats.rtt, 0ms);
  EXPECT_LT(*stats.rtt, 1s);
  EXPECT_GE(*stats.mss, 1000u);
  EXPECT_LE(*stats.mss, 1460u);
  EXPECT_GE(*stats.cwnd, *stats.mss);
  if (stats.retransmitted) {
    EXPECT_LE(*stats.retransmitted, 100u);
  }
}

TEST_P(StreamCase, several_connections_wait_in_the_backlog_in_order) {
  listener = listen(world->b(), {at().b, 7000}, false, 8);
  int readable = 0;
  listener->on_readable([&] { ++readable; });
  std::vector<std::unique_ptr<Call>> calls;
  for (int i = 0; i < 4; ++i) {
    calls.push_back(call(world->a(), to({at().b, 7000})));
    ASSERT_TRUE(until([&] { return calls.back()->done; }));
    ASSERT_TRUE(calls.back()->stream) << calls.back()->status.to_string();
  }
  ASSERT_TRUE(until([&] { return readable > 0; }));
  world->settle();
  for (int i = 0; i < 4; ++i) {
    auto accepted = listener->accept();
    ASSERT_TRUE(accepted);
    EXPECT_EQ(accepted->remote(), calls[i]->stream->local());
  }
  EXPECT_FALSE(listener->accept());
}

TEST_P(StreamCase, a_listener_that_takes_one_at_a_time_is_called_for_each) {
  listener = listen(world->b(), {at().b, 7000});
  std::vector<std::unique_ptr<net::Stream>> accepted;
  listener->on_readable([&] {
    auto stream = listener->accept();
    if (stream) accepted.push_back(std::move(stream));
  });
  std::vector<std::unique_ptr<Call>> calls;
  for (int i = 0; i < 5; ++i) calls.push_back(call(world->a(), to({at().b, 7000})));
  EXPECT_TRUE(until([&] { return accepted.size() == 5; }));
  accepted.clear();
}

TEST_P(StreamCase, a_backlog_is_a_limit) {
  listener = listen(world->b(), {at().b, 7000}, false, 4);
  std::vector<std::unique_ptr<Call>> calls;
  for (int i = 0; i < 40; ++i) {
    auto options = to({at().b, 7000});
    options.timeout = 900ms;
    calls.push_back(call(world->a(), options));
  }
  ASSERT_TRUE(until([&] {
    return std::count_if(calls.begin(), calls.end(), [](auto& c) { return c->done; }) >= 4;
  }));
  world->settle();
  int accepted = 0;
  while (listener->accept()) ++accepted;
  EXPECT_GE(accepted, 4);
  EXPECT_LE(accepted, 10);
}

TEST_P(StreamCase, a_listening_port_is_in_use_until_it_is_closed) {
  listener = listen(world->b(), {at().b, 7000});
  net::ListenOptions options;
  options.local = {at().b, 7000};
  auto second = world->b().listen(options);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error(), Error::in_use);
  listener.reset();
  EXPECT_TRUE(world->b().listen(options));
}

TEST_P(StreamCase, a_listener_on_any_accepts_for_every_address) {
  listener = listen(world->b(), {at().any, 7000});
  EXPECT_EQ(listener->local().port, 7000);
  for (const IpAddress& address : {at().b, at().b_second}) {
    auto dialled = call(world->a(), to({address, 7000}));
    std::unique_ptr<net::Stream> accepted;
    ASSERT_TRUE(until([&] {
      if (!accepted) accepted = listener->accept();
      return dialled->done && accepted;
    }));
    EXPECT_EQ(accepted->local(), (Endpoint{address, 7000}));
  }
}

TEST_P(StreamCase, a_stream_destroyed_in_its_own_callback_is_gone) {
  connect();
  ASSERT_TRUE(near && far);
  int calls = 0;
  far->on_readable([&] {
    ++calls;
    far.reset();
  });
  EXPECT_EQ(near->write(net::as_bytes("x")).count, 1u);
  ASSERT_TRUE(until([&] { return calls == 1; }));
  world->settle();
  EXPECT_EQ(calls, 1);
}

TEST_P(StreamCase, a_listener_destroyed_in_its_own_callback_is_gone) {
  listener = listen(world->b(), {at().b, 7000});
  std::unique_ptr<net::Stream> accepted;
  int calls = 0;
  listener->on_readable([&] {
    ++calls;
    accepted = listener->accept();
    listener.reset();
  });
  auto dialled = call(world->a(), to({at().b, 7000}));
  ASSERT_TRUE(until([&] { return dialled->done && calls > 0; }));
  ASSERT_TRUE(dialled->stream && accepted);
  auto second = call(world->a(), to({at().b, 7000}));
  ASSERT_TRUE(until([&] { return second->done; }));
  EXPECT_EQ(second->status.error, Error::refused);
  EXPECT_EQ(calls, 1);
}

}  // namespace
}  // namespace culvert::contract
