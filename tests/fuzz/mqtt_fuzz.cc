// Any bytes into the MQTT codec, in both versions and from both sides: nothing is read out of
// bounds, what is read can be written and read again as the same, both decoders of PUBLISH agree,
// and a packet with a byte less is none.
#include <cstdio>
#include <cstdlib>

#include "model/mqtt/codec.h"
#include "model/mqtt/topic.h"

using namespace culvert;
using namespace culvert::mqtt;

namespace {

constexpr uint32_t kLimit = 1 << 20;

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

void check_fault(const Fault& fault) {
  require(is_error(fault.reason), "a fault has an error's reason");
  require(!fault.why.empty(), "a fault has a sentence");
}

void check_publish(net::Bytes bytes, Version version, Side sender, bool well) {
  static Publish reused;
  Fault fault;
  const Fault* bad = decode_publish(bytes, version, reused, fault, sender);
  require((bad == nullptr) == well, "both decoders of PUBLISH agree");
  if (bad) return check_fault(*bad);
  net::Buffer again;
  require(encode(reused, version, again).ok(), "what was read can be written");
  require(encoded_size(reused, version) == again.size(), "encoded_size is right");
}

void check(net::Bytes bytes, Version version, Side sender) {
  const auto result = decode(bytes, version, sender);
  const bool well = std::holds_alternative<Packet>(result);
  if (!bytes.empty() && bytes[0] >> 4 == 3) check_publish(bytes, version, sender, well);
  if (!well) return check_fault(std::get<Fault>(result));
  const auto& packet = std::get<Packet>(result);
  if (const auto* connect = std::get_if<Connect>(&packet)) version = connect->version;

  net::Buffer first;
  require(encode(packet, version, first).ok(), "what was read can be written");
  const auto frame = next_frame(first, 0xFFFFFFFF, sender);
  require(std::holds_alternative<Frame>(frame) && std::get<Frame>(frame).size == first.size(),
          "what was written is one frame");
  const auto again = decode(first, version, sender);
  require(std::holds_alternative<Packet>(again), "what was written can be read");
  require(std::get<Packet>(again).index() == packet.index(), "and is the same kind");
  net::Buffer second;
  require(encode(std::get<Packet>(again), version, second).ok(), "and can be written again");
  require(first == second, "as the same");
  const net::Buffer cut(first.begin(), first.end() - 1);
  require(std::holds_alternative<Fault>(decode(cut, version, sender)), "a byte less is no packet");
}

void check_topics(std::string_view text) {
  const bool name = valid_topic_name(text), filter = valid_topic_filter(text);
  if (name) require(matches("#", text) == (text[0] != '$'), "# matches all but $");
  if (name && filter && !shared(text)) require(matches(text, text), "a name matches itself");
  if (name || filter) require(valid_utf8(text), "topics are UTF-8");
  if (filter) matches(text, "a/b/c");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // Exact copies on the heap: a byte too far is seen.
  const net::Buffer bytes(data, data + size);
  for (const Side sender : {Side::client, Side::server}) {
    for (const Version version : {Version::v311, Version::v5}) check(bytes, version, sender);
    // As a stream: frame after frame, as a reader would.
    net::Bytes rest = bytes;
    while (true) {
      const auto frame = next_frame(rest, kLimit, sender);
      if (const auto* fault = std::get_if<Fault>(&frame)) {
        check_fault(*fault);
        break;
      }
      const auto& [length, header] = std::get<Frame>(frame);
      if (length == 0 || length > rest.size()) break;
      require(header >= 2 && header <= 5 && length <= kLimit, "a frame is in its bounds");
      const net::Buffer packet(rest.begin(), rest.begin() + static_cast<ptrdiff_t>(length));
      for (const Version version : {Version::v311, Version::v5}) check(packet, version, sender);
      rest = rest.subspan(length);
    }
  }
  check_topics(net::as_text(bytes));
  return 0;
}
