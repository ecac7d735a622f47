// A TLS session is a Stream like any other: the contract's cases, over TLS over a pipe.
#include "tests/unit/net_tls/tls_pair.h"

namespace culvert::net {
namespace {

struct Case {
  TlsVersions versions;
  Duration delay;
};

class TlsStreamCase : public TlsPair, public ::testing::WithParamInterface<Case> {
 protected:
  void SetUp() override {
    server_options.versions = GetParam().versions;
    pipe_options.delay = GetParam().delay;
    shake();
  }
};
INSTANTIATE_TEST_SUITE_P(
    Kind, TlsStreamCase,
    ::testing::Values(Case{TlsVersions::v13, 0ms}, Case{TlsVersions::v13, 10ms},
                      Case{TlsVersions::v12, 0ms}, Case{TlsVersions::v12, 10ms}),
    [](const auto& info) {
      return std::string(info.param.versions == TlsVersions::v13 ? "v13" : "v12") +
             (info.param.delay == 0ms ? "" : "_delayed");
    });

TEST_P(TlsStreamCase, echoes) {
  Talk here(std::move(near)), there(std::move(far));
  here.say("ping");
  EXPECT_TRUE(there.heard.empty());
  ASSERT_TRUE(until([&] { return there.heard == "ping"; }));
  there.say("pong");
  ASSERT_TRUE(until([&] { return here.heard == "pong"; }));
  EXPECT_EQ(here.end, Error::none);
}

TEST_P(TlsStreamCase, reading_with_nothing_there_would_block_and_an_empty_write_is_nothing) {
  uint8_t buffer[16];
  EXPECT_EQ(near->read(buffer).error, Error::would_block);
  EXPECT_EQ(near->write({}).error, Error::none);
}

TEST_P(TlsStreamCase, megabytes_both_ways_at_once_arrive_unchanged) {
  Talk here(std::move(near)), there(std::move(far));
  const std::string up = noise(4 << 20, 1), down = noise(4 << 20, 2);
  here.say(up), there.say(down);
  here.finish(), there.finish();
  ASSERT_TRUE(until([&] { return here.end != Error::none && there.end != Error::none; }));
  EXPECT_EQ(here.end, Error::closed);
  EXPECT_EQ(there.end, Error::closed);
  EXPECT_TRUE(there.heard == up);
  EXPECT_TRUE(here.heard == down);
}

TEST_P(TlsStreamCase, a_reader_of_one_byte_at_a_time_is_called_while_data_is_left) {
  std::string heard;
  far->on_readable([&] {
    uint8_t byte;
    if (far->read({&byte, 1}).count) heard += static_cast<char>(byte);
  });
  near->write(as_bytes("one by "));
  near->write(as_bytes("one"));
  ASSERT_TRUE(until([&] { return heard == "one by one"; }));
}

TEST_P(TlsStreamCase, a_callback_that_reads_nothing_does_not_run_hot) {
  int calls = 0;
  far->on_readable([&] { ++calls; });
  settle();
  EXPECT_EQ(calls, 0) << "handshake records are no data";
  near->write(as_bytes("data"));
  settle();
  EXPECT_GE(calls, 1);
  EXPECT_LE(calls, 2);
  Talk talk(std::move(far));
  ASSERT_TRUE(until([&] { return talk.heard == "data"; }));
}

TEST_P(TlsStreamCase, a_paused_reader_stops_the_writer_and_loses_nothing_on_resuming) {
  const std::string text = noise(2 << 20);
  size_t sent_bytes = 0;
  std::function<void()> push = [&] {
    while (sent_bytes < text.size()) {
      const IoResult r = near->write(as_bytes(std::string_view(text).substr(sent_bytes)));
      sent_bytes += r.count;
      if (r.error == Error::none) continue;
      ASSERT_EQ(r.error, Error::would_block);
      return near->on_writable(push);
    }
  };
  push();
  settle();
  EXPECT_LT(sent_bytes, 400000u) << "the writer was never stopped";
  Talk reader(std::move(far));
  ASSERT_TRUE(until([&] { return reader.heard.size() == text.size(); }));
  EXPECT_TRUE(reader.heard == text);
}

TEST_P(TlsStreamCase, pausing_in_the_middle_of_a_record_and_resuming_loses_nothing) {
  const std::string text = noise(200000);
  Talk writer(std::move(near));
  writer.say(text);
  std::string heard;
  bool paused = false;
  const auto read = [&] {
    uint8_t buffer[777];
    const IoResult result = far->read(buffer);
    heard.append(reinterpret_cast<const char*>(buffer), result.count);
    if (heard.size() > 20000 && !paused) {
      paused = true;
      far->on_readable({});
    }
  };
  far->on_readable(read);
  ASSERT_TRUE(until([&] { return paused; }));
  const size_t at_pause = heard.size();
  settle();
  EXPECT_EQ(heard.size(), at_pause);
  far->on_readable(read);
  ASSERT_TRUE(until([&] { return heard.size() == text.size(); }));
  EXPECT_TRUE(heard == text);
}

TEST_P(TlsStreamCase, a_large_write_is_short_and_writable_comes_once_there_is_room) {
  const std::string text = noise(1 << 20);
  const IoResult first = near->write(as_bytes(text));
  EXPECT_EQ(first.error, Error::would_block);
  EXPECT_GT(first.count, 0u);
  EXPECT_LT(first.count, text.size());
  int writable = 0;
  near->on_writable([&] { ++writable; });
  settle();
  EXPECT_EQ(writable, 0);
  Talk reader(std::move(far));
  ASSERT_TRUE(until([&] { return writable > 0; }));
  settle();
  EXPECT_EQ(writable, 1);
  EXPECT_TRUE(reader.heard == text.substr(0, first.count));
}

TEST_P(TlsStreamCase, half_closed_the_other_direction_goes_on) {
  Talk here(std::move(near)), there(std::move(far));
  here.say("question");
  here.finish();
  ASSERT_TRUE(until([&] { return there.end == Error::closed; }));
  EXPECT_EQ(there.heard, "question");
  EXPECT_EQ(here.stream().write(as_bytes("late")).error, Error::closed);
  const std::string answer = noise(300000);
  there.say(answer);
  there.finish();
  ASSERT_TRUE(until([&] { return here.end == Error::closed; }));
  EXPECT_TRUE(here.heard == answer);
}

TEST_P(TlsStreamCase, the_end_is_told_once_and_sticky) {
  int calls = 0;
  far->on_readable([&] {
    ++calls;
    uint8_t buffer[16];
    EXPECT_EQ(far->read(buffer).error, Error::closed);
  });
  near->shutdown_write();
  settle();
  EXPECT_EQ(calls, 1);
  uint8_t buffer[16];
  EXPECT_EQ(far->read(buffer).error, Error::closed);
}

TEST_P(TlsStreamCase, destruction_delivers_all_that_was_written_and_then_closes) {
  Talk there(std::move(far));
  const std::string text = noise(1 << 20);
  const IoResult written = near->write(as_bytes(text));
  ASSERT_EQ(written.error, Error::would_block);  // some of it waits inside the session
  near.reset();
  ASSERT_TRUE(until([&] { return there.end != Error::none; }));
  EXPECT_EQ(there.end, Error::closed);
  EXPECT_TRUE(there.heard == text.substr(0, written.count));
}

TEST_P(TlsStreamCase, destruction_with_unread_data_resets) {
  Talk writer(std::move(near));
  writer.say("never read");
  settle();
  far.reset();
  ASSERT_TRUE(until([&] { return writer.end != Error::none; }));
  EXPECT_EQ(writer.end, Error::reset);
}

TEST_P(TlsStreamCase, a_ticket_that_nobody_read_is_no_unread_data) {
  Talk server(std::move(far));
  settle();  // the ticket came, the client never asked for anything
  near.reset();
  ASSERT_TRUE(until([&] { return server.end != Error::none; }));
  EXPECT_EQ(server.end, Error::closed);
}

TEST_P(TlsStreamCase, reset_reaches_the_peer_and_is_final_here) {
  Talk there(std::move(far));
  near->reset();
  near->reset();
  uint8_t buffer[4];
  EXPECT_EQ(near->read(buffer).error, Error::closed);
  EXPECT_EQ(near->write(as_bytes("x")).count, 0u);
  ASSERT_TRUE(until([&] { return there.end != Error::none; }));
  EXPECT_EQ(there.end, Error::reset);
  EXPECT_EQ(there.stream().write(as_bytes("y")).error, Error::reset);
}

TEST_P(TlsStreamCase, a_writer_waiting_for_room_learns_of_a_reset) {
  near->write(as_bytes(noise(1 << 20)));
  int writable = 0;
  near->on_writable([&] { ++writable; });
  far->reset();
  ASSERT_TRUE(until([&] { return writable == 1; }));
  EXPECT_EQ(near->write(as_bytes("x")).error, Error::reset);
}

TEST_P(TlsStreamCase, a_connection_cut_short_is_a_reset_and_not_an_end) {
  Talk there(std::move(far));
  near->write(as_bytes("all there is?"));
  ASSERT_TRUE(until([&] { return !there.heard.empty(); }));
  line->cut(Error::closed);  // a FIN that nobody vouches for
  ASSERT_TRUE(until([&] { return there.end != Error::none; }));
  EXPECT_EQ(there.end, Error::reset);
  EXPECT_EQ(there.heard, "all there is?");
}

TEST_P(TlsStreamCase, what_kills_the_connection_is_what_reading_says) {
  Talk there(std::move(far));
  line->cut(Error::timed_out);
  ASSERT_TRUE(until([&] { return there.end != Error::none; }));
  EXPECT_EQ(there.end, Error::timed_out);
}

TEST_P(TlsStreamCase, a_stream_destroyed_in_its_own_callbacks_is_gone) {
  int calls = 0;
  far->on_readable([&] {
    ++calls;
    far.reset();
  });
  near->write(as_bytes("x"));
  settle();
  EXPECT_EQ(calls, 1);
  near->write(as_bytes(noise(1 << 20)));
  near->on_writable([&] {
    ++calls;
    near.reset();
  });
  settle();
  EXPECT_EQ(calls, 2);
}

TEST_P(TlsStreamCase, sessions_of_one_context_do_not_mix) {
  auto first_near = std::move(near), first_far = std::move(far);
  shake();
  first_near->write(as_bytes(noise(30000, 1)));
  near->write(as_bytes(noise(30000, 2)));
  settle();
  std::string first, second;  // by turns, in small pieces
  uint8_t buffer[1000];
  for (int i = 0; i < 100; ++i) {
    const IoResult a = first_far->read(buffer);
    first.append(reinterpret_cast<const char*>(buffer), a.count);
    const IoResult b = far->read(buffer);
    second.append(reinterpret_cast<const char*>(buffer), b.count);
  }
  EXPECT_TRUE(first == noise(30000, 1));
  EXPECT_TRUE(second == noise(30000, 2));
}

}  // namespace
}  // namespace culvert::net
