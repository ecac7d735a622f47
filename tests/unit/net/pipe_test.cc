// A pipe is a Stream like any other: the contract's cases for streams, without a network.
#include "model/net/pipe.h"

#include <gtest/gtest.h>

#include "tests/contract/collect.h"
#include "tests/support/fake_net.h"

namespace culvert::net {
namespace {

using contract::noise;
using contract::Talk;
using testing::LoneHost;

class PipeTest : public ::testing::TestWithParam<Duration> {
 protected:
  void SetUp() override {
    PipeOptions options;
    options.delay = GetParam();
    Pipe pipe = make_pipe_with_line(lone.host, options);
    near = std::move(pipe.first);
    far = std::move(pipe.second);
    line = pipe.line;
  }
  bool until(const std::function<bool()>& done) { return lone.run_until(done, 60s); }
  void settle() { lone.run_for(1s); }

  LoneHost lone;
  std::unique_ptr<Stream> near, far;
  std::shared_ptr<PipeLine> line;
};
INSTANTIATE_TEST_SUITE_P(Delay, PipeTest, ::testing::Values(0ms, 10ms),
                         [](const auto& info) { return info.param == 0ms ? "none" : "ten_ms"; });

TEST_P(PipeTest, carries_both_ways_after_its_delay_and_never_inside_the_call) {
  Talk here(std::move(near)), there(std::move(far));
  const Time start = lone.now();
  here.say("ping");
  EXPECT_TRUE(there.heard.empty());
  ASSERT_TRUE(until([&] { return there.heard == "ping"; }));
  EXPECT_EQ(lone.now() - start, GetParam());
  there.say("pong");
  ASSERT_TRUE(until([&] { return here.heard == "pong"; }));
  EXPECT_EQ(lone.now() - start, 2 * GetParam());
}

TEST_P(PipeTest, megabytes_both_ways_at_once_arrive_unchanged) {
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

TEST_P(PipeTest, a_full_pipe_would_block_and_writable_comes_once) {
  const std::string text = noise(100000);
  const IoResult first = near->write(as_bytes(text));
  EXPECT_EQ(first.count, 65536u);
  EXPECT_EQ(first.error, Error::would_block);
  int writable = 0;
  near->on_writable([&] { ++writable; });
  settle();
  EXPECT_EQ(writable, 0);
  Talk reader(std::move(far));
  ASSERT_TRUE(until([&] { return writable > 0; }));
  settle();
  EXPECT_EQ(writable, 1);
}

TEST_P(PipeTest, a_reader_is_called_only_while_there_is_more) {
  std::string heard;
  int calls = 0;
  far->on_readable([&] {
    ++calls;
    uint8_t byte;
    if (far->read({&byte, 1}).count) heard += static_cast<char>(byte);
  });
  near->write(as_bytes("abc"));
  settle();
  EXPECT_EQ(heard, "abc");
  EXPECT_EQ(calls, 3);
  far->on_readable([&] { ++calls; });  // reads nothing: does not run hot
  near->write(as_bytes("d"));
  settle();
  EXPECT_EQ(calls, 4);
}

TEST_P(PipeTest, half_closed_the_other_direction_goes_on) {
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

TEST_P(PipeTest, the_end_is_told_once_and_sticky) {
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

TEST_P(PipeTest, destruction_delivers_what_was_written_and_then_closes) {
  Talk there(std::move(far));
  near->write(as_bytes("last words"));
  near.reset();
  ASSERT_TRUE(until([&] { return there.end != Error::none; }));
  EXPECT_EQ(there.heard, "last words");
  EXPECT_EQ(there.end, Error::closed);
}

TEST_P(PipeTest, destruction_with_unread_data_resets) {
  Talk writer(std::move(near));
  writer.say("never read");
  settle();
  far.reset();
  ASSERT_TRUE(until([&] { return writer.end != Error::none; }));
  EXPECT_EQ(writer.end, Error::reset);
}

TEST_P(PipeTest, writing_to_a_peer_that_is_gone_ends_in_reset) {
  Talk here(std::move(near));
  far.reset();
  ASSERT_TRUE(until([&] { return here.end == Error::closed; }));
  here.say("anyone?");
  settle();
  here.say("anyone?");
  EXPECT_EQ(here.write_end, Error::reset);
}

TEST_P(PipeTest, reset_reaches_the_peer_and_is_final_here) {
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

TEST_P(PipeTest, a_writer_waiting_for_room_learns_of_a_reset) {
  near->write(as_bytes(noise(70000)));
  int writable = 0;
  near->on_writable([&] { ++writable; });
  far->reset();
  ASSERT_TRUE(until([&] { return writable == 1; }));
  EXPECT_EQ(near->write(as_bytes("x")).error, Error::reset);
}

TEST_P(PipeTest, an_end_destroyed_in_its_own_callback_is_gone) {
  int calls = 0;
  far->on_readable([&] {
    ++calls;
    far.reset();
  });
  near->write(as_bytes("x"));
  settle();
  EXPECT_EQ(calls, 1);
  EXPECT_FALSE(far);
}

TEST_P(PipeTest, a_held_line_delivers_nothing_until_it_is_let_go) {
  Talk here(std::move(near)), there(std::move(far));
  line->hold(true);
  here.say("one ");
  settle();
  here.say("two");
  settle();
  EXPECT_EQ(there.heard, "");
  line->hold(false);
  ASSERT_TRUE(until([&] { return there.heard == "one two"; }));
}

TEST_P(PipeTest, a_cut_line_fails_both_ends) {
  Talk here(std::move(near)), there(std::move(far));
  line->cut(Error::timed_out);
  ASSERT_TRUE(until([&] { return here.end != Error::none && there.end != Error::none; }));
  EXPECT_EQ(here.end, Error::timed_out);
  EXPECT_EQ(there.end, Error::timed_out);
}

}  // namespace
}  // namespace culvert::net
