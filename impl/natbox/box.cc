#include "impl/natbox/box.h"

#include <string.h>
#include <unistd.h>

#include <iostream>

#include "impl/wire/clock.h"
#include "model/net/random.h"

namespace culvert::natbox {
namespace {

constexpr size_t kMaxPacket = 65536;  // an IP packet's limit (RFC 791)
constexpr int kReadsPerTurn = 128;    // packets of one side before the other has its turn
constexpr size_t kLogView = 256;  // bytes of a packet kept for the log: headers and 32 of payload

// The kernel takes one off on the way into the TUN and one on the way out; a router takes one.
// What a TUN brings has passed the kernel's own check, so this never wraps round.
void give_hop_back(uint8_t* packet, size_t size) {
  if (size >= 20 && packet[0] >> 4 == 4) {
    ++packet[8];
    // RFC 1141: the header checksum of a TTL one higher is 0x0100 lower, in ones' complement.
    const uint32_t sum = (uint32_t{packet[10]} << 8 | packet[11]) + 0xfeffu;
    const uint32_t folded = (sum & 0xffff) + (sum >> 16);
    packet[10] = static_cast<uint8_t>(folded >> 8);
    packet[11] = static_cast<uint8_t>(folded);
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
      buffer_(new uint8_t[kMaxPacket]) {
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
  uint8_t before[kLogView];
  for (int i = 0; i < kReadsPerTurn; ++i) {
    const ssize_t got = ::read(fd, buffer_.get(), kMaxPacket);
    if (got <= 0) break;
    const auto size = static_cast<size_t>(got);
    uint8_t* packet = buffer_.get();
    give_hop_back(packet, size);
    const size_t view = std::min(size, kLogView);
    memcpy(before, packet, view);
    const net::MutableBytes bytes(packet, size);
    const nat::Outcome outcome =
        side == nat::Side::inside ? nat_.outbound(now(), bytes) : nat_.inbound(now(), bytes);
    if (options_.log_packets && log_.wants(outcome)) {
      log_.packet(side, {before, view}, {packet, view}, size, outcome);
    }
    if (goes_on(outcome)) {
      // What cannot be written (no memory, device down) is lost, as on any router.
      [[maybe_unused]] const ssize_t written = ::write(fd, packet, size);
    }
    if (nat_.has_emitted()) send_emitted();
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
