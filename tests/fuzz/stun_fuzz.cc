// Any bytes into the STUN codec and the server: nothing is read out of bounds, what is read can be
// written and read again, and every answer is a good message no longer than promised.
#include <cstdio>
#include <cstdlib>

#include "model/stun/message.h"
#include "model/stun/server.h"

using namespace culvert;

namespace {

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

stun::Server make_server() {
  stun::ServerOptions options;
  options.limit.per_second = 0;
  for (int i = 0; i < 4; ++i)
    options.endpoints[i] = {net::IpAddress::v4(0xcb00710a + i / 2),
                            static_cast<uint16_t>(3478 + i % 2)};
  return stun::Server(options);
}

void read_all(const stun::Message& message) {
  const auto key = stun::short_term_key("key");
  for (const stun::Attribute& attribute : message.attributes) {
    const auto type = static_cast<stun::Type>(attribute.type);
    message.address(type);
    message.text(type);
    message.u32(type);
    message.u64(type);
    uint8_t sum = 0;
    for (const uint8_t byte : attribute.value) sum ^= byte;
    volatile uint8_t sink = sum;
    (void)sink;
  }
  message.mapped();
  message.error();
  message.unknown_required();
  message.integrity_ok(key);
  message.integrity_sha256_ok(key);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static stun::Server server = make_server();
  // An exact copy on the heap: a byte too far is seen.
  const net::Buffer bytes(data, data + size);
  const auto message = stun::Message::parse(bytes);
  if (message) {
    read_all(*message);
    stun::Builder builder(message->cls, message->id, message->method, message->cookie);
    for (const stun::Attribute& attribute : message->attributes)
      if (attribute.type != static_cast<uint16_t>(stun::Type::fingerprint))
        builder.bytes(static_cast<stun::Type>(attribute.type), attribute.value);
    builder.fingerprint();
    const net::Buffer again = builder.take();
    const bool room = message->attributes.size() < stun::kMaxAttributes || message->fingerprinted();
    if (room && size < 60000) {
      const auto second = stun::Message::parse(again);
      require(second.ok(), "what was read cannot be written and read again");
      require(second->id == message->id && second->cls == message->cls, "header changed");
    }
  }
  const net::Endpoint from{net::IpAddress::v4(0xc0000201), 4000};
  const stun::Answer answer = server.handle(net::Time(0), {0}, from, bytes);
  if (answer.send) {
    require(message.ok() && message->is(stun::Class::request), "answered what is no request");
    require(stun::Message::parse(answer.data).ok(), "the answer is malformed");
    require(answer.data.size() <= std::max<size_t>(96, size), "the answer is too long");
    require(answer.to.ip == from.ip, "the answer goes to somebody else");
  }
  return 0;
}
