// A NAT fed with a script: the first bytes choose its kind, then come steps: packets from either
// side (well formed with random fields, or raw bytes), time passing, reboots, rebindings. After
// each step the books must balance; at the end everything expires and nothing is left.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

#include "model/nat/nat.h"
#include "model/packet/packet.h"

namespace {

using namespace culvert;
using nat::Action;

struct Script {
  const uint8_t* data;
  size_t size;
  uint8_t byte() {
    if (size == 0) return 0;
    --size;
    return *data++;
  }
};

// Counts mappings made and ended: they must match what the NAT holds.
struct Books : nat::Observer {
  bool wants_packets() const override { return true; }
  void mapping_created(nat::Time, const nat::MappingInfo&) override { ++live; }
  void mapping_ended(nat::Time ended, const nat::MappingInfo&, nat::Reason) override {
    if (--live < 0 || ended > now) std::abort();
  }
  long live = 0;
  nat::Time now{0};
};

void put16(uint8_t* p, uint32_t v) { cv_store16(p, cv_swap16(static_cast<uint16_t>(v))); }
void put32(uint8_t* p, uint32_t v) { cv_store32(p, cv_swap32(v)); }

// A packet of at most 96 bytes from few hosts and ports, so that flows meet.
size_t build(Script& s, uint8_t* p) {
  const uint8_t shape = s.byte(), hosts = s.byte(), ports = s.byte(), odd = s.byte();
  const bool out = shape & 1;
  const uint32_t inside = 0x0a000000u | (hosts & 3);
  const uint32_t outside =
      hosts & 0x40 ? 0xcb007101u + (hosts >> 7) : 0xc6336400u | (hosts >> 2 & 3);
  const uint32_t publics = 0xcb007101u + (hosts >> 4 & 1);
  std::memset(p, 0, 96);
  const uint8_t protocols[] = {17, 6, 1, 17};
  const uint8_t protocol = protocols[shape >> 1 & 3];
  const size_t size = 20 + (protocol == 6 ? 20 : 8) + 8;
  p[0] = 0x45;
  put16(p + 2, static_cast<uint32_t>(size));
  put16(p + 4, ports & 3);
  put16(p + 6, shape & 0x20 ? (shape & 0x40 ? 0x2000 : 1) : 0);
  p[8] = 64;
  p[9] = protocol;
  put32(p + 12, out ? inside : outside);
  put32(p + 16, out ? outside : publics);
  const uint32_t near = 2000u + (ports & 7), far = 7000u + (ports >> 3 & 3);
  put16(p + 20, out ? near : far);
  put16(p + 22, out ? far : near);
  if (protocol == 17) put16(p + 24, static_cast<uint32_t>(size - 20));
  if (protocol == 6) {
    p[32] = 5 << 4;
    p[33] = odd & 0x17;
  }
  if (protocol == 1) {
    p[20] = odd & 1 ? 8 : odd & 2 ? 3 : 0;
    if (p[20] == 3) {  // an error about a UDP packet the other way
      put16(p + 2, 56);
      std::memset(p + 22, 0, 6);
      uint8_t* q = p + 28;
      q[0] = 0x45;
      put16(q + 2, 28);
      q[9] = 17;
      put32(q + 12, out ? outside : publics);
      put32(q + 16, out ? inside : outside);
      put16(q + 20, out ? far : near);
      put16(q + 22, out ? near : far);
      return 56;
    }
    put16(p + 24, near);
  }
  return size;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Script s{data, size};
  static const auto& table = nat::presets();
  nat::Config config = *nat::from_preset(table[s.byte() % table.size()].name);
  // Any value of any small axis, and a port range so narrow that it runs out.
  const uint8_t a = s.byte(), b = s.byte(), c = s.byte();
  if (a & 1) {
    config.mapping = static_cast<nat::Mapping>((a >> 1) % 3);
    config.filtering = static_cast<nat::Filtering>((a >> 3) % 3);
    config.filter_state = static_cast<nat::FilterState>(a >> 5 & 1);
    config.binding = a >> 6 & 1;
    config.overloading = a >> 7;
    config.ports = static_cast<nat::Ports>(b % 6);
    config.hairpin = static_cast<nat::Hairpin>((b >> 3) % 3);
    config.poisoning = b >> 5 & 1;
    config.pooling = static_cast<nat::Pooling>(b >> 6 & 1);
    config.unsolicited_tcp = static_cast<nat::TcpReaction>(c & 3);
    config.unsolicited_udp = static_cast<nat::UdpReaction>(c >> 2 & 1);
    config.refusal = static_cast<nat::Refusal>(c >> 3 & 1);
    config.local_delivery = static_cast<nat::LocalDelivery>((c >> 4) % 3);
    config.port_first = 2000;
    config.port_last = 2015;
    config.block_size = 4;
    config.max_sessions = 12 + c / 16;
    config.max_mappings = 10 + c / 16;
    config.max_inbound_sessions_per_mapping = 3;
    config.max_fragments = 2;
    config.max_held = 2;
    config.max_poison = 3;
  }
  nat::Nat n(config, {net::IpAddress::v4(0xcb007101), net::IpAddress::v4(0xcb007102)}, b);
  Books books;
  n.set_observer(&books);
  uint8_t packet[96];
  while (s.size > 0) {
    const uint8_t step = s.byte();
    if (step < 200) {
      size_t length = build(s, packet);
      if (step < 20)  // some bytes of it are anything
        for (int i = 0; i < 4; ++i) packet[s.byte() % 64] = s.byte();
      if (step >= 20 && step < 24) length = std::min<size_t>(length, s.byte());
      if (step >= 24 && step < 40) {  // all of it is anything
        length = std::min<size_t>(96, s.size);
        std::memcpy(packet, s.data, length);
        s.data += length;
        s.size -= length;
      }
      std::unique_ptr<uint8_t[]> exact(new uint8_t[length]);
      std::memcpy(exact.get(), packet, length);
      const net::MutableBytes view(exact.get(), length);
      const bool inside = step < 40 ? step & 1 : cv_load32(packet + 12) == 0 || packet[12] == 10;
      const auto outcome = inside ? n.outbound(books.now, view) : n.inbound(books.now, view);
      const bool forwarded = outcome.action == Action::forward_out ||
                             outcome.action == Action::forward_in ||
                             outcome.action == Action::hairpin;
      if (forwarded == (outcome.reason != nat::Reason::none)) std::abort();
      if (!forwarded && std::memcmp(exact.get(), packet, length) != 0) std::abort();
    } else if (step < 245) {
      const int64_t shift = step % 38;
      books.now += net::Time(int64_t{s.byte()} << shift);
      if (step & 1) n.expire(books.now);
    } else if (step < 250) {
      n.rebind(books.now);
    } else if (step == 250) {
      n.reboot(books.now);
    } else if (step == 251) {
      n.change_address(books.now, {net::IpAddress::v4(0xcb007102), net::IpAddress::v4(0xcb007109)});
    }
    if (n.next_deadline() <= books.now) {
      n.expire(books.now);
      if (n.next_deadline() <= books.now) std::abort();
    }
    if (books.live != static_cast<long>(n.mapping_count())) std::abort();
    if (n.session_count() > config.max_sessions) std::abort();
    if (n.mapping_count() > config.max_mappings) std::abort();
    for (auto& emitted : n.take_emitted()) {
      cv_packet parsed;
      const uint8_t* p = emitted.packet.data();
      if (cv_parse(p, p + emitted.packet.size(), &parsed) != CV_OK) std::abort();
    }
  }
  books.now += std::chrono::hours(24 * 31);
  n.expire(books.now);
  if (n.session_count() != 0 || n.mapping_count() != 0 || books.live != 0) std::abort();
  return 0;
}
