#include "model/rendezvous/wire.h"

#include <algorithm>

namespace culvert::rendezvous {

void Writer::number(uint64_t v, int width) {
  for (int shift = 8 * (width - 1); shift >= 0; shift -= 8) {
    out_.push_back(static_cast<uint8_t>(v >> shift));
  }
}

void Writer::text(std::string_view v) {
  const size_t size = std::min<size_t>(v.size(), 255);
  u8(static_cast<uint8_t>(size));
  bytes(net::as_bytes(v.substr(0, size)));
}

void Writer::endpoint(const net::Endpoint& endpoint) {
  u8(endpoint.ip.is_v4() ? 4 : endpoint.ip.is_v6() ? 6 : 0);
  bytes({endpoint.ip.bytes().data(), endpoint.ip.size()});
  u16(endpoint.port);
}

void Writer::pad_to(size_t size) {
  if (out_.size() < size) out_.resize(size, 0);
}

uint64_t Reader::number(int width) {
  const net::Bytes raw = bytes(static_cast<size_t>(width));
  uint64_t v = 0;
  for (const uint8_t b : raw) v = v << 8 | b;
  return v;
}

net::Bytes Reader::bytes(size_t size) {
  if (!ok_ || data_.size() - at_ < size) {
    ok_ = false;
    return {};
  }
  const net::Bytes part = data_.subspan(at_, size);
  at_ += size;
  return part;
}

std::string Reader::text(size_t limit) {
  const size_t size = u8();
  if (size > limit) ok_ = false;
  return std::string(net::as_text(bytes(size)));
}

net::Endpoint Reader::endpoint() {
  net::Endpoint endpoint;
  const uint8_t family = u8();
  if (family == 4) {
    endpoint.ip = net::IpAddress::v4(u32());
  } else if (family == 6) {
    std::array<uint8_t, 16> raw{};
    const net::Bytes part = bytes(16);
    std::copy(part.begin(), part.end(), raw.begin());
    endpoint.ip = net::IpAddress::v6(raw);
  } else if (family != 0) {
    ok_ = false;
  }
  endpoint.port = u16();
  return endpoint;
}

}  // namespace culvert::rendezvous
