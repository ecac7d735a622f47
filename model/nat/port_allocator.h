// Chooses external addresses and ports: the strategies of config.h over a map of what is taken.
// RFC 4787 section 4.2, RFC 6888, RFC 7422 (port blocks).
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "model/nat/config.h"
#include "model/nat/reason.h"
#include "model/net/random.h"
#include "model/packet/packet.h"

namespace culvert::nat {

// What the allocator remembers of an inside host while it has mappings.
struct Subscriber {
  static constexpr uint16_t kNoAddress = 0xffff;
  struct Block {
    uint16_t address = 0;  // index of the public address
    uint16_t number = 0;   // block number within the port range
  };
  uint32_t ip = 0;
  uint8_t tag = 0;                // kTagV6 or 0
  uint16_t address = kNoAddress;  // public address it is paired with
  uint16_t last_port[3] = {};     // given out last, by protocol class; 0: none yet
  uint32_t mappings = 0;
  std::vector<Block> blocks;  // at most Config::blocks_per_subscriber
};

class PortAllocator {
 public:
  PortAllocator(const Config& config, size_t addresses, net::Random& random);

  // Protocols have port spaces of their own.
  static int protocol_class(uint8_t protocol) {
    return protocol == CV_TCP ? 0 : protocol == CV_UDP ? 1 : 2;
  }

  struct Choice {
    Reason reason = Reason::none;  // else ports_exhausted, block_exhausted, no_block_left
    uint16_t address = 0;          // index
    uint16_t port = 0;
  };
  // The NAT's own look at a port: is a live mapping there (and no overloading), or would this
  // flow's remote clash with another session on it? Called for ports about to be given out.
  using Usable = std::function<bool(uint16_t address, uint16_t port)>;
  // `avoid`: a port not to choose (rebinding), 0 for none.
  Choice choose(uint8_t protocol, uint16_t internal_port, Subscriber& subscriber,
                const Usable& usable, uint16_t avoid = 0);

  // A port has its first mapping, or has lost its last one.
  void set_taken(uint16_t address, uint8_t protocol, uint16_t port, bool taken);
  bool taken(uint16_t address, uint8_t protocol, uint16_t port) const {
    const Pool& p = pool(address, protocol);
    return p.bits[port >> 6] >> (port & 63) & 1;
  }
  // The subscriber has no mappings any more.
  void release_blocks(Subscriber& subscriber);
  void reset(size_t addresses);
  size_t memory_bytes() const;

 private:
  struct Pool {
    std::vector<uint64_t> bits = std::vector<uint64_t>(1024);  // one bit a port
    uint32_t used = 0;                                         // within the range
    uint32_t next = 0;  // of `sequential`: offset in the range
  };
  struct Request;
  Pool& pool(uint16_t address, uint8_t protocol) {
    return pools_[address * 3u + protocol_class(protocol)];
  }
  const Pool& pool(uint16_t address, uint8_t protocol) const {
    return pools_[address * 3u + protocol_class(protocol)];
  }
  uint32_t range() const { return config_.port_last - config_.port_first + 1u; }
  bool in_range(uint32_t port) const {
    return port >= config_.port_first && port <= config_.port_last;
  }
  bool try_port(const Request& request, uint32_t port);
  uint32_t random_port(const Request& request, uint32_t first, uint32_t count, uint32_t step);
  uint32_t on_address(const Request& request, Subscriber& subscriber, Reason* reason);
  uint32_t in_blocks(const Request& request, Subscriber& subscriber, Reason* reason);
  uint32_t sequential(const Request& request);

  const Config& config_;
  net::Random& random_;
  std::vector<Pool> pools_;                // three for each address
  std::vector<std::vector<bool>> blocks_;  // [address][block number]: given to a subscriber
};

}  // namespace culvert::nat
