// The head of an ns-3 IPv4 packet for the NAT: translated as wire bytes, then put back with only
// the bytes that changed, so that payload and tags stay as they are and large packets cost no more.
#pragma once

#include <array>
#include <cstdint>

#include "model/net/bytes.h"
#include "model/ns3/head_bytes.h"
#include "ns3/ipv4-header.h"
#include "ns3/packet.h"

namespace culvert::ns3_world {

class NatView {
 public:
  // nat.h: 80 bytes are enough for TCP, UDP and echo, 128 for ICMP errors; and 20 + 60 + 32 shows
  // the 32 bytes of payload that are a packet's mark, whatever TCP options there are.
  static constexpr size_t kCapacity = 128;

  // `packet` is without its IP header.
  NatView(const ns3::Ipv4Header& header, const ns3::Packet& packet);

  net::MutableBytes bytes() { return {bytes_.data(), size_}; }
  net::Bytes original() const { return {original_.data(), size_}; }
  // Whether it is a TCP segment that closes its connection: FIN or RST.
  bool closes() const;
  size_t total_length() const { return total_; }  // bytes of the whole IP packet

  // Puts what changed back: addresses into `header`, the rest into `packet`.
  void store(ns3::Ipv4Header& header, ns3::Packet& packet) const;

 private:
  std::array<uint8_t, kCapacity> bytes_;  // not initialised: filled up to size_
  std::array<uint8_t, kCapacity> original_;
  size_t size_, total_;
};

}  // namespace culvert::ns3_world
