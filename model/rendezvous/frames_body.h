// The bodies of the rendezvous' frames, before sealing. Private to this room.
// Stands on rendezvous/frames.h and wire.h.
#pragma once

#include <algorithm>
#include <array>

#include "model/rendezvous/frames.h"
#include "model/rendezvous/wire.h"

namespace culvert::rendezvous {

FrameType write_body(Writer& w, const Request& request);
FrameType write_body(Writer& w, const Reply& reply);
// False, or the reader not ok afterwards: malformed.
bool read_body(FrameType type, Reader& r, Request& out);
bool read_body(FrameType type, Reader& r, Reply& out);

template <size_t N>
std::array<uint8_t, N> get_array(Reader& r) {
  std::array<uint8_t, N> out{};
  const net::Bytes part = r.bytes(N);
  std::copy(part.begin(), part.end(), out.begin());
  return out;
}

}  // namespace culvert::rendezvous
