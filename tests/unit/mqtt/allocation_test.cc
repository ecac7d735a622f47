// The hot paths allocate nothing: PUBLISH decoded into what is kept, PUBLISH and the
// acknowledgements encoded into a buffer with room. Global new counts.
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

#include "model/mqtt/codec.h"
#include "tests/unit/mqtt/bytes.h"

namespace {
size_t allocations = 0;
}

void* operator new(size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}
// Not inlined, or GCC at -O1 sees new and free meet and warns.
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace culvert::mqtt {
namespace {

using testing::bytes;

// QoS 1 with every property that a client may send, two user properties.
const char kRich[] =
    "32 30 0003 'a/b' 1234"
    "25 01 01 02 0000000a 23 0007 08 0001 'r' 09 0002 cafe 26 0001 'k' 0001 'v' 26 0001 'k' 0001 "
    "'w' 03 0001 'c' 'pay'";

TEST(Allocation, DecodingAPublishTakesNone) {
  const net::Buffer input = bytes(kRich);
  Publish publish;
  Fault fault;
  ASSERT_EQ(decode_publish(input, Version::v5, publish, fault, Side::client), nullptr) << fault.why;
  ASSERT_EQ(publish.properties.user.size(), 2u);  // more than lie in the packet itself
  const size_t before = allocations;
  for (int i = 0; i < 100; ++i) {
    const auto frame = next_frame(input, 1000, Side::client);
    if (!std::holds_alternative<Frame>(frame)) break;
    decode_publish(input, Version::v5, publish, fault, Side::client);
  }
  const size_t after = allocations;
  EXPECT_EQ(after, before);
  EXPECT_EQ(publish.topic, "a/b");
}

TEST(Allocation, EncodingIntoABufferWithRoomTakesNone) {
  const net::Buffer input = bytes(kRich);
  Publish publish;
  Fault fault;
  ASSERT_EQ(decode_publish(input, Version::v5, publish, fault), nullptr);
  net::Buffer out;
  out.reserve(100 * (input.size() + 5));
  const size_t before = allocations;
  for (int i = 0; i < 100; ++i) {
    encode(publish, Version::v5, out);
    Ack ack;
    ack.packet_id = 7;
    ack.reason = Reason::no_matching_subscribers;
    encode(ack, Version::v5, out);
  }
  const size_t after = allocations;
  EXPECT_EQ(after, before);
  EXPECT_EQ(out.size(), 100 * (input.size() + 5));
}

// A buffer that grows does so by doubling, not with every packet.
TEST(Allocation, AGrowingBufferSeldomAllocates) {
  Publish publish;
  publish.topic = "a";
  net::Buffer out;
  const size_t before = allocations;
  for (int i = 0; i < 10'000; ++i) encode(publish, Version::v5, out);
  EXPECT_LT(allocations - before, 20u);
}

}  // namespace
}  // namespace culvert::mqtt
