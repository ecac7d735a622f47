#include "impl/natbox/box.h"

#include <string.h>
#include <unistd.h>

#include <algorithm>
#include <iostream>

#include "impl/wire/clock.h"
#include "model/net/random.h"
#include "model/packet/rewrite.h"

namespace culvert::natbox {
namespace {

constexpr size_t kMaxPacket = 65536;  // an IP packet's limit (RFC 791)
constexpr size_t kBatch = 16;         // packets a call; as many as Nat::process asks ahead for
constexpr int kBatchesPerTurn = 8;    // of one side before the other has its turn
constexpr size_t kLogView = 256;  // bytes of a packet kept for the log: headers and 32 of payload

// The kernel takes one off on the way into the TUN and one on the way out; a router takes one.
// What a TUN brings has passed the kernel's own check, so this never wraps round.
void give_hop_back(uint8_t* packet, size_t size) {
  if (size >= 20 && packet[0] >> 4 == 4) {
    const uint8_t hop[2] = {static_cast<uint8_t>(packet[8] + 1), packet[9]};
    cv_u32 delta = 0;
    cv_replace16(packet + 8, cv_load16(hop), &delta);
    cv_apply_header_delta(packet, delta);
  } else if (size >= 40 && packet[0] >> 4 == 6) {
    ++packet[7];
  }
}

bool goes_on(const nat::Outcome& outcome) {
  return outcome.action == nat::Action::forward_out || outcome.action == nat::Action::forward_in ||
         outcome.action == nat::Action::hairpin || outcome.action == nat::Action::deliver_local;
}

}  // namespace

Box::Box(const BoxOptions& options, Plumbing& plumbing,
         const std::vector<net::IpAddress>& public_addresses, int in, int out)
    : options_(options),
      plumbing_(plumbing),
      in_(in),
      out_(out),
      events_(
          options.node, [this] { return now(); },
          [this](std::string_view line) { daemon_.print(line); }),
      nat_(options.config, public_addresses, net::derive_seed(options.seed, "nat " + options.node)),
      log_(&events_),
      buffer_(new uint8_t[kBatch * kMaxPacket]) {
  if (options.log_packets) nat_.set_observer(&log_);
  daemon_.watch(in_, [this] { read(nat::Side::inside, in_); });
  daemon_.watch(out_, [this] { read(nat::Side::outside, out_); });
  daemon_.on_command = [this](const std::string& line) { command(line); };
  daemon_.on_turn = [this] { return turn(); };
}

net::Time Box::now() const { return net::Time(wire::now_ns() - options_.epoch_ns); }

void Box::run() {
  log_.config(options_.kind, nat_);
  daemon_.run();
  nat_.expire(now());
  log_.counters(nat_);
  daemon_.flush();
}

void Box::read(nat::Side side, int fd) {
  nat::Nat::Item items[kBatch];
  uint8_t before[kBatch][kLogView];
  for (int batch = 0; batch < kBatchesPerTurn; ++batch) {
    size_t count = 0;
    for (; count < kBatch; ++count) {
      uint8_t* const packet = buffer_.get() + count * kMaxPacket;
      const ssize_t got = ::read(fd, packet, kMaxPacket);
      if (got <= 0) break;
      const auto size = static_cast<size_t>(got);
      give_hop_back(packet, size);
      if (options_.log_packets) memcpy(before[count], packet, std::min(size, kLogView));
      items[count] = {{packet, size}, size, side, {}};
    }
    nat_.process(now(), {items, count});
    for (size_t i = 0; i < count; ++i) {
      const nat::Nat::Item& item = items[i];
      const size_t view = std::min(item.total_length, kLogView);
      if (options_.log_packets && log_.wants(item.outcome))
        log_.packet(side, {before[i], view}, {item.packet.data(), view}, item.total_length,
                    item.outcome);
      // What cannot be written (no memory, device down) is lost, as on any router.
      if (goes_on(item.outcome)) [[maybe_unused]]
        const ssize_t written = ::write(fd, item.packet.data(), item.packet.size());
    }
    if (nat_.has_emitted()) send_emitted();
    if (count < kBatch) break;  // nothing more is waiting
  }
}

void Box::send_emitted() {
  for (const nat::Emitted& emitted : nat_.take_emitted()) {
    const int fd = emitted.to == nat::Side::inside ? out_ : in_;
    [[maybe_unused]] const ssize_t written =
        ::write(fd, emitted.packet.data(), emitted.packet.size());
  }
}

int64_t Box::turn() {
  if (nat_.next_deadline() <= now()) {
    nat_.expire(now());
    if (nat_.has_emitted()) send_emitted();
  }
  const net::Time next = nat_.next_deadline();
  return next == net::Time::max() ? INT64_MAX : next.count() + options_.epoch_ns;
}

void Box::command(const std::string& line) {
  const std::string word = line.substr(0, line.find(' '));
  if (word == "reboot") {
    log_.event("reboot", nat_.public_addresses());
    nat_.reboot(now());
  } else if (word == "rebind") {
    log_.event("rebind", nat_.public_addresses());
    nat_.rebind(now());
  } else if (word == "stats") {
    log_.counters(nat_);
  } else if (word == "address" && line.size() > word.size()) {
    std::vector<net::IpAddress> addresses;
    std::string rest = line.substr(word.size() + 1);
    while (!rest.empty()) {
      const std::string item = rest.substr(0, rest.find_first_of(", "));
      rest.erase(0, item.size() + 1);
      if (item.empty()) continue;
      const auto address = net::IpAddress::parse(item);
      if (!address || !address->is_v4()) {
        std::cerr << "culvert-natbox: '" << item << "' is no IPv4 address" << std::endl;
        return;
      }
      addresses.push_back(*address);
    }
    net::Status possible = nat::check_addresses(nat_.config(), addresses);
    if (nat_.config().kind != nat::Kind::nat)
      possible = {net::Error::invalid, "only a NAT has public addresses to change"};
    if (!possible) {
      std::cerr << "culvert-natbox: " << possible.detail << std::endl;
      return;
    }
    log_.event("address_change", addresses);
    nat_.change_address(now(), addresses);
    if (const net::Status status = plumbing_.change_addresses(addresses); !status) {
      std::cerr << "culvert-natbox: " << status.detail << std::endl;
    }
  } else {
    std::cerr << "culvert-natbox: knows reboot, rebind, address ADDR[,ADDR] and stats, not '"
              << line << "'" << std::endl;
  }
}

}  // namespace culvert::natbox
