#include "model/nat/port_allocator.h"

#include <algorithm>

namespace culvert::nat {
namespace {

constexpr uint32_t kDraws = 16;  // ours: random draws before the search goes port by port
// Ours: with overloading a port is usable or not for one remote only, which no map shows, so the
// search ends after this many.
constexpr uint32_t kOverloadedSearch = 4096;

}  // namespace

struct PortAllocator::Request {
  uint16_t address;
  uint8_t protocol;
  uint16_t internal_port;
  uint16_t avoid;
  const Usable& usable;
};

PortAllocator::PortAllocator(const Config& config, size_t addresses, net::Random& random)
    : config_(config), random_(random) {
  reset(addresses);
}

void PortAllocator::reset(size_t addresses) {
  pools_.assign(addresses * 3, Pool());
  const uint32_t count = config_.block_size ? range() / config_.block_size : 0;
  blocks_.assign(addresses, std::vector<bool>(count));
  for (Pool& p : pools_) p.next = static_cast<uint32_t>(random_.below(range()));
}

void PortAllocator::set_taken(uint16_t address, uint8_t protocol, uint16_t port, bool taken) {
  Pool& p = pool(address, protocol);
  const uint64_t bit = uint64_t{1} << (port & 63);
  uint64_t& word = p.bits[port >> 6];
  if (taken == ((word & bit) != 0)) return;
  word ^= bit;
  if (in_range(port)) p.used += taken ? 1 : -1;
}

bool PortAllocator::try_port(const Request& request, uint32_t port) {
  return port != request.avoid && request.usable(request.address, static_cast<uint16_t>(port));
}

// Any usable port out of first, first + step, ... (`count` of them); 0 if there is none.
uint32_t PortAllocator::random_port(const Request& request, uint32_t first, uint32_t count,
                                    uint32_t step) {
  const bool overloading = config_.overloading;
  const auto usable = [&](uint32_t port) {
    if (!overloading && taken(request.address, request.protocol, static_cast<uint16_t>(port)))
      return false;
    return try_port(request, port);
  };
  for (uint32_t i = 0; i < std::min(kDraws, count); ++i) {
    const uint32_t port = first + step * static_cast<uint32_t>(random_.below(count));
    if (usable(port)) return port;
  }
  const auto start = static_cast<uint32_t>(random_.below(count));
  const uint32_t limit = overloading ? std::min(count, kOverloadedSearch) : count;
  for (uint32_t i = 0; i < limit; ++i) {
    const uint32_t port = first + step * ((start + i) % count);
    if (usable(port)) return port;
  }
  return 0;
}

uint32_t PortAllocator::sequential(const Request& request) {
  Pool& p = pool(request.address, request.protocol);
  const uint32_t n = range();
  // A step that shares a factor with the range does not reach every port: the rest one by one.
  for (uint32_t i = 0; i < n; ++i) {
    const uint32_t port = config_.port_first + p.next;
    p.next = (p.next + config_.port_step) % n;
    if (try_port(request, port)) return port;
  }
  return config_.port_step == 1 ? 0 : random_port(request, config_.port_first, n, 1);
}

uint32_t PortAllocator::in_blocks(const Request& request, Subscriber& subscriber, Reason* reason) {
  const uint32_t size = config_.block_size;
  const auto first_of = [&](const Subscriber::Block& b) {
    return config_.port_first + uint32_t{b.number} * size;
  };
  if (!subscriber.blocks.empty()) {
    const auto start = static_cast<size_t>(random_.below(subscriber.blocks.size()));
    for (size_t i = 0; i < subscriber.blocks.size(); ++i) {
      const auto& block = subscriber.blocks[(start + i) % subscriber.blocks.size()];
      if (block.address != request.address) continue;
      if (const uint32_t port = random_port(request, first_of(block), size, 1)) return port;
    }
  }
  if (subscriber.blocks.size() >= config_.blocks_per_subscriber) {
    *reason = Reason::block_exhausted;
    return 0;
  }
  std::vector<bool>& given = blocks_[request.address];
  *reason = Reason::no_block_left;
  if (given.empty()) return 0;
  const auto start = static_cast<size_t>(random_.below(given.size()));
  for (size_t i = 0; i < given.size(); ++i) {
    const size_t number = (start + i) % given.size();
    if (given[number]) continue;
    given[number] = true;
    subscriber.blocks.push_back({request.address, static_cast<uint16_t>(number)});
    return random_port(request, first_of(subscriber.blocks.back()), size, 1);
  }
  return 0;
}

// A port on one public address; 0 and a reason if it has none.
uint32_t PortAllocator::on_address(const Request& request, Subscriber& subscriber, Reason* reason) {
  *reason = Reason::ports_exhausted;
  const uint32_t first = config_.port_first, n = range();
  if (config_.ports == Ports::block) return in_blocks(request, subscriber, reason);
  if (!config_.overloading && pool(request.address, request.protocol).used >= n &&
      config_.ports != Ports::preserving)
    return 0;
  switch (config_.ports) {
    case Ports::preserving:
      if (in_range(request.internal_port) && try_port(request, request.internal_port))
        return request.internal_port;
      if (!config_.overloading && pool(request.address, request.protocol).used >= n) return 0;
      return random_port(request, first, n, 1);
    case Ports::parity: {
      const uint32_t even_first = first + ((first ^ request.internal_port) & 1);
      if (even_first > config_.port_last) return 0;
      return random_port(request, even_first, (config_.port_last - even_first) / 2 + 1, 2);
    }
    case Ports::sequential:
      return sequential(request);
    case Ports::contiguous: {
      const uint32_t last = subscriber.last_port[protocol_class(request.protocol)];
      if (last != 0 && in_range(last + 1) && try_port(request, last + 1)) return last + 1;
      return random_port(request, first, n, 1);
    }
    case Ports::random:
    case Ports::block:
      break;
  }
  return random_port(request, first, n, 1);
}

PortAllocator::Choice PortAllocator::choose(uint8_t protocol, uint16_t internal_port,
                                            Subscriber& subscriber, const Usable& usable,
                                            uint16_t avoid) {
  const size_t addresses = blocks_.size();
  const bool paired = config_.pooling == Pooling::paired;
  size_t start = addresses > 1 ? random_.below(addresses) : 0;
  if (paired && subscriber.address != Subscriber::kNoAddress) start = subscriber.address;
  const bool bound = paired && subscriber.address != Subscriber::kNoAddress;
  Choice choice;
  for (size_t i = 0; i < (bound ? 1 : addresses); ++i) {
    const auto address = static_cast<uint16_t>((start + i) % addresses);
    const Request request{address, protocol, internal_port, avoid, usable};
    const uint32_t port = on_address(request, subscriber, &choice.reason);
    if (port == 0) continue;
    if (paired) subscriber.address = address;
    subscriber.last_port[protocol_class(protocol)] = static_cast<uint16_t>(port);
    return {Reason::none, address, static_cast<uint16_t>(port)};
  }
  return choice;
}

void PortAllocator::release_blocks(Subscriber& subscriber) {
  for (const auto& block : subscriber.blocks) blocks_[block.address][block.number] = false;
  subscriber.blocks.clear();
}

size_t PortAllocator::memory_bytes() const {
  size_t bytes = pools_.capacity() * sizeof(Pool);
  for (const Pool& p : pools_) bytes += p.bits.capacity() * sizeof(uint64_t);
  for (const auto& b : blocks_) bytes += b.capacity() / 8;
  return bytes;
}

}  // namespace culvert::nat
