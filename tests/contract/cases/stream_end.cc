// How streams end: half-close, reset, and what becomes of unread data.
#include "tests/contract/pair.h"

namespace culvert::contract {
namespace {

class StreamEndCase : public StreamFixture {};
CONTRACT_BOTH_FAMILIES(StreamEndCase);

TEST_P(StreamEndCase, half_closed_the_other_direction_goes_on) {
  talk();
  ASSERT_TRUE(here && there);
  here->say("question");
  here->finish();
  ASSERT_TRUE(until([&] { return there->end != Error::none; }));
  EXPECT_EQ(there->end, Error::closed);
  EXPECT_EQ(there->heard, "question");
  const std::string answer = noise(300000);
  there->say(answer);
  ASSERT_TRUE(until([&] { return here->heard.size() == answer.size(); }));
  EXPECT_TRUE(here->heard == answer);
  EXPECT_EQ(here->end, Error::none);
  there->finish();
  ASSERT_TRUE(until([&] { return here->end != Error::none; }));
  EXPECT_EQ(here->end, Error::closed);
}

TEST_P(StreamEndCase, the_accepting_side_may_half_close_first) {
  talk();
  ASSERT_TRUE(here && there);
  there->say("greeting");
  there->finish();
  ASSERT_TRUE(until([&] { return here->end == Error::closed; }));
  EXPECT_EQ(here->heard, "greeting");
  here->say("still here");
  ASSERT_TRUE(until([&] { return there->heard == "still here"; }));
}

TEST_P(StreamEndCase, what_was_written_before_shutdown_arrives_before_the_end) {
  connect();
  ASSERT_TRUE(near && far);
  const std::string text = noise(1 << 20);
  const net::IoResult written = near->write(net::as_bytes(text));
  near->shutdown_write();
  Talk reader(std::move(far));
  ASSERT_TRUE(until([&] { return reader.end != Error::none; }));
  EXPECT_EQ(reader.end, Error::closed);
  EXPECT_EQ(reader.heard.size(), written.count);
}

TEST_P(StreamEndCase, writing_after_shutdown_is_closed) {
  connect();
  ASSERT_TRUE(near);
  near->shutdown_write();
  near->shutdown_write();  // again is harmless
  const net::IoResult result = near->write(net::as_bytes("late"));
  EXPECT_EQ(result.count, 0u);
  EXPECT_EQ(result.error, Error::closed);
}

TEST_P(StreamEndCase, the_end_is_sticky_and_runs_the_callback_once) {
  connect();
  ASSERT_TRUE(near && far);
  int calls = 0;
  far->on_readable([&] {
    ++calls;
    uint8_t buffer[16];
    EXPECT_EQ(far->read(buffer).error, Error::closed);
  });
  near->shutdown_write();
  ASSERT_TRUE(until([&] { return calls > 0; }));
  world->settle();
  EXPECT_EQ(calls, 1) << "an end that was read is not told again";
  uint8_t buffer[16];
  EXPECT_EQ(far->read(buffer).error, Error::closed);
  EXPECT_EQ(far->read(buffer).error, Error::closed);
}

TEST_P(StreamEndCase, destroying_a_stream_closes_it_and_delivers_what_was_written) {
  talk();
  ASSERT_TRUE(here && there);
  here->say("last words");
  here->close();
  ASSERT_TRUE(until([&] { return there->end != Error::none; }));
  EXPECT_EQ(there->heard, "last words");
  EXPECT_EQ(there->end, Error::closed);
}

TEST_P(StreamEndCase, reset_reaches_the_peer_as_reset) {
  talk();
  ASSERT_TRUE(here && there);
  here->say("x");
  ASSERT_TRUE(until([&] { return there->heard == "x"; }));
  here->stream().reset();
  ASSERT_TRUE(until([&] { return there->end != Error::none; }));
  EXPECT_EQ(there->end, Error::reset);
  uint8_t buffer[16];
  EXPECT_EQ(there->stream().read(buffer).error, Error::reset) << "errors are sticky";
  const Error write_error = there->stream().write(net::as_bytes("y")).error;
  EXPECT_EQ(write_error, Error::reset);
}

TEST_P(StreamEndCase, after_its_own_reset_a_stream_is_dead) {
  connect();
  ASSERT_TRUE(near && far);
  near->reset();
  near->reset();
  uint8_t buffer[16];
  EXPECT_NE(near->read(buffer).error, Error::none);
  EXPECT_NE(near->read(buffer).error, Error::would_block);
  EXPECT_EQ(near->write(net::as_bytes("x")).count, 0u);
}

TEST_P(StreamEndCase, closing_with_unread_data_resets) {
  connect();
  ASSERT_TRUE(near && far);
  Talk writer(std::move(near));
  writer.say("never read");
  world->settle();
  far.reset();
  ASSERT_TRUE(until([&] { return writer.end != Error::none; }));
  EXPECT_EQ(writer.end, Error::reset);
}

TEST_P(StreamEndCase, writing_to_a_peer_that_is_gone_ends_in_reset) {
  talk();
  ASSERT_TRUE(here && there);
  there->close();
  ASSERT_TRUE(until([&] { return here->end == Error::closed; }));
  ASSERT_TRUE(until([&] {
    here->say("anyone?");
    world->settle();
    return here->write_end != Error::none;
  }));
  EXPECT_EQ(here->write_end, Error::reset);
}

TEST_P(StreamEndCase, a_writer_waiting_for_room_learns_of_a_reset) {
  connect();
  ASSERT_TRUE(near && far);
  const std::string text = noise(32 << 20);
  net::IoResult written;
  do {  // until the buffers of both sides are full
    written = near->write(net::as_bytes(text));
    world->settle();
  } while (written.count > 0);
  ASSERT_EQ(written.error, Error::would_block);
  int writable = 0;
  near->on_writable([&] { ++writable; });
  world->settle();
  EXPECT_EQ(writable, 0);
  far->reset();
  ASSERT_TRUE(until([&] { return writable > 0; }));
  EXPECT_EQ(near->write(net::as_bytes("x")).error, Error::reset);
}

TEST_P(StreamEndCase, a_peer_may_close_right_after_connecting) {
  listener = listen(world->b(), {at().b, 7000});
  listener->on_readable([&] { listener->accept(); });  // accepted and closed at once
  auto dialled = call(world->a(), to({at().b, 7000}));
  ASSERT_TRUE(until([&] { return dialled->done; }));
  ASSERT_TRUE(dialled->stream);
  Talk talk(std::move(dialled->stream));
  ASSERT_TRUE(until([&] { return talk.end != Error::none; }));
  EXPECT_EQ(talk.end, Error::closed);
}

TEST_P(StreamEndCase, destroying_a_listener_resets_those_who_wait_in_it) {
  listener = listen(world->b(), {at().b, 7000});
  auto dialled = call(world->a(), to({at().b, 7000}));
  ASSERT_TRUE(until([&] { return dialled->done; }));
  ASSERT_TRUE(dialled->stream);
  world->settle();
  Talk waiting(std::move(dialled->stream));
  listener.reset();
  ASSERT_TRUE(until([&] { return waiting.end != Error::none; }));
  EXPECT_EQ(waiting.end, Error::reset);
}

TEST_P(StreamEndCase, an_accepted_stream_outlives_its_listener) {
  talk();
  ASSERT_TRUE(here && there);
  listener.reset();
  here->say("still?");
  ASSERT_TRUE(until([&] { return there->heard == "still?"; }));
}

}  // namespace
}  // namespace culvert::contract
