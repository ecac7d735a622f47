// Any bytes as WebSocket frames: however they are cut, the same payload, the same end, the same
// fault; and what was read can be framed and read again.
#include <cstdio>
#include <cstdlib>

#include "model/http/websocket_frames.h"

using namespace culvert;
using namespace culvert::http;

namespace {

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

struct Heard : FrameReader::Events {
  void on_ping(net::Bytes payload) override {
    require(payload.size() <= kMaxControl, "a long ping");
    told.insert(told.end(), payload.begin(), payload.end());
    told.push_back(9);
  }
  void on_close(CloseCode code, std::string_view reason) override {
    require(reason.size() <= kMaxControl - 2, "a long reason");
    require(code == CloseCode::no_status || is_wire_code(static_cast<uint16_t>(code)), "a code");
    told.insert(told.end(), reason.begin(), reason.end());
    told.push_back(8);
  }
  net::Buffer told, data;
};

void feed(FrameReader& reader, Heard& heard, net::Bytes bytes, size_t piece) {
  while (!bytes.empty()) {
    net::Buffer part(bytes.begin(),
                     bytes.begin() + static_cast<long>(std::min(piece, bytes.size())));
    bytes = bytes.subspan(part.size());
    const size_t count = reader.decode(part, heard);
    require(count <= part.size(), "more came out than went in");
    heard.data.insert(heard.data.end(), part.begin(), part.begin() + static_cast<long>(count));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const FrameRules rules{(data[0] & 1) != 0, 1 << 16, (data[0] & 2) != 0};
  const size_t piece = size_t{data[1]} + 1;
  const net::Bytes bytes(data + 2, size - 2);
  FrameReader whole(rules), cut(rules);
  Heard first, second;
  if (!bytes.empty()) feed(whole, first, bytes, bytes.size());
  feed(cut, second, bytes, piece);
  require(first.data == second.data && first.told == second.told, "a cut changes what is read");
  require(whole.fault() == cut.fault() && whole.closed() == cut.closed(), "a cut changes the end");
  const Mask mask{data[0], data[1], 3, 4};
  net::Buffer framed;
  append_frame(framed, Opcode::binary, first.data, rules.masked ? &mask : nullptr);
  FrameReader again({rules.masked, 1 << 20, false});
  Heard third;
  feed(again, third, framed, framed.size());
  require(third.data == first.data && again.between_messages(), "framing loses something");
  return 0;
}
