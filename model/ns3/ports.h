// Which local ports of a Host are taken, for UDP and for TCP each: conflicts, sharing, and the
// choice of a free one. Stands on model/net only.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "model/net/address.h"
#include "model/net/random.h"

namespace culvert::ns3_world {

class Ports {
 public:
  explicit Ports(uint64_t seed) : random_(seed) {}

  // Two endpoints conflict if their ports are equal, their families too, and their addresses are
  // equal or one is "any"; unless both ask to share.
  bool free(const net::Endpoint& local, bool share) const {
    const auto found = taken_.find(local.port);
    if (found == taken_.end()) return true;
    for (const Taken& other : found->second) {
      if (other.ip.family() != local.ip.family() || (share && other.share)) continue;
      if (other.ip == local.ip || other.ip.is_any() || local.ip.is_any()) return false;
    }
    return true;
  }
  // A free port of Linux's ephemeral range, at random; 0 if there is none.
  uint16_t choose(const net::IpAddress& ip) {
    constexpr uint16_t kFirst = 32768, kLast = 60999;  // net.ipv4.ip_local_port_range's default
    constexpr int kCount = kLast - kFirst + 1;
    const auto start = static_cast<int>(random_.below(kCount));
    for (int i = 0; i < kCount; ++i) {
      const auto port = static_cast<uint16_t>(kFirst + (start + i) % kCount);
      if (free({ip, port}, false)) return port;
    }
    return 0;
  }
  void take(const net::Endpoint& local, bool share) {
    taken_[local.port].push_back({local.ip, share});
  }
  void release(const net::Endpoint& local, bool share) {
    const auto found = taken_.find(local.port);
    if (found == taken_.end()) return;
    auto& list = found->second;
    for (size_t i = 0; i < list.size(); ++i) {
      if (list[i].ip != local.ip || list[i].share != share) continue;
      list.erase(list.begin() + static_cast<std::ptrdiff_t>(i));
      break;
    }
    if (list.empty()) taken_.erase(found);
  }

 private:
  struct Taken {
    net::IpAddress ip;
    bool share;
  };
  std::unordered_map<uint16_t, std::vector<Taken>> taken_;  // looked up, never iterated
  net::Random random_;
};

}  // namespace culvert::ns3_world
