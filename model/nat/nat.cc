#include "model/nat/nat.h"

#include <algorithm>
#include <stdexcept>
#include <tuple>

#include "model/nat/nat_impl.h"

namespace culvert::nat {
namespace {

constexpr size_t kMaxEmitted = 256;  // ours: packets of the NAT's own waiting to be taken

constexpr size_t kMaxAddresses = 4096;  // ours: 24 KB of port maps each

// Each once: two port maps of one address would give a port out twice.
std::vector<uint32_t> v4_of(const std::vector<net::IpAddress>& addresses) {
  std::vector<uint32_t> ips;
  for (const auto& a : addresses)
    if (a.is_v4() && std::find(ips.begin(), ips.end(), a.to_v4()) == ips.end())
      ips.push_back(a.to_v4());
  return ips;
}

void require(const Config& config, const std::vector<net::IpAddress>& addresses) {
  net::Status status = check(config);
  if (status.ok()) status = check_addresses(config, addresses);
  if (!status.ok()) throw std::invalid_argument(status.detail);
}

}  // namespace

net::Status check_addresses(const Config& config, const std::vector<net::IpAddress>& addresses) {
  using net::Error;
  if (addresses.size() > kMaxAddresses)
    return {Error::invalid,
            "a NAT takes at most " + std::to_string(kMaxAddresses) + " public addresses"};
  if (config.kind == Kind::nat && v4_of(addresses).empty())
    return {Error::invalid, "a NAT needs a public IPv4 address"};
  return {};
}

std::string_view to_string(Action action) {
  switch (action) {
    case Action::drop:
      return "drop";
    case Action::forward_out:
      return "forward_out";
    case Action::forward_in:
      return "forward_in";
    case Action::hairpin:
      return "hairpin";
    case Action::deliver_local:
      return "deliver_local";
    case Action::reply:
      return "reply";
  }
  return "drop";
}

Nat::Impl::Impl(const Config& config, std::vector<net::IpAddress> addresses, uint64_t seed)
    : config_(config),
      addresses_(std::move(addresses)),
      core_(config_, v4_of(addresses_), seed),
      fragments_(config_.max_fragments, net::derive_seed(seed, "nat.fragments")),
      held_(config_.max_held) {
  core_.on_created = [this](uint32_t mapping) {
    ++counters_.mappings_created;
    if (!observer_) return;
    const MappingInfo i = info(mapping);
    observer_->mapping_created(i.created, i);
  };
  core_.on_ended = [this](uint32_t mapping, int64_t ended, Reason reason) {
    ++counters_.mappings_ended;
    if (observer_) observer_->mapping_ended(Time(ended), info(mapping), reason);
  };
}

net::Endpoint Nat::Impl::endpoint_of(Point point, uint8_t tag) const {
  if (tag & kTagV6) return {net::IpAddress::v6(core_.table().book()[point.ip]), point.port};
  return {net::IpAddress::v4(point.ip), point.port};
}

MappingInfo Nat::Impl::info(uint32_t mapping) const {
  const MappingRecord& m = core_.table().mappings()[mapping];
  MappingInfo i;
  i.id = mapping + 1;
  i.protocol = m.tag & ~kTagV6;
  i.internal = endpoint_of(m.internal(), m.tag);
  i.external = endpoint_of(m.external(), m.tag);
  if (m.remote_ip != 0) i.remote = endpoint_of(m.remote(), m.tag);
  i.created = Time(m.created);
  return i;
}

void Nat::Impl::emit(net::Buffer packet, Side to) {
  if (emitted_.size() >= kMaxEmitted) return;
  emitted_.push_back({std::move(packet), to});
  ++counters_.emitted;
}

void Nat::Impl::answer_held(int64_t now) {
  while (held_.due() <= now) {
    HeldSyns::Held h = held_.take();
    // An outbound SYN for the same connection has come meanwhile: silence (RFC 5382 REQ-4).
    if (core_.session_in(h.due, h.key) == kNoRecord) emit(std::move(h.reply), h.to);
    if (!(h.key.tag & kTagV6)) continue;
    core_.table().book().release(h.key.near.ip);
    core_.table().book().release(h.key.far.ip);
  }
}

void Nat::Impl::forget_packets() {
  fragments_.clear();
  held_.clear();
  emitted_.clear();
}

void Nat::Impl::count(const Outcome& outcome) {
  switch (outcome.action) {
    case Action::forward_out:
      ++counters_.out;
      return;
    case Action::forward_in:
      ++counters_.in;
      return;
    case Action::hairpin:
      ++counters_.hairpin;
      return;
    case Action::deliver_local:
      ++counters_.local;
      break;
    case Action::drop:
    case Action::reply:
      ++counters_.dropped;
      break;
  }
  ++counters_.by_reason[static_cast<int>(outcome.reason)];
}

Outcome Nat::Impl::run(int64_t now, net::MutableBytes bytes, size_t total_length, Side side) {
  core_.advance(now);
  if (held_.due() <= now) answer_held(now);
  Packet p;
  p.bytes = bytes;
  p.side = side;
  Outcome outcome;
  const int result = cv_parse(p.data(), p.end(), &p.parsed);
  if (result != CV_OK || p.parsed.length > total_length) {
    outcome.reason = Reason::malformed;
    if (result != CV_OK) p.parsed = {};
    if (observer_) observer_->refused(Time(now), side, tuple_of(p), outcome);
  } else if (!wants_packets_) {
    outcome = translate(now, p);
    if (observer_ && outcome.reason != Reason::none)
      observer_->refused(Time(now), side, tuple_of(p), outcome);
  } else {
    const Tuple before = tuple_of(p);
    outcome = translate(now, p);
    if (outcome.reason == Reason::none)
      observer_->translated(Time(now), side, before, tuple_of(p.bytes, p.parsed), outcome);
    else
      observer_->refused(Time(now), side, before, outcome);
  }
  count(outcome);
  return outcome;
}

Nat::Nat(const Config& config, std::vector<net::IpAddress> addresses, uint64_t seed) {
  require(config, addresses);
  impl_ = std::make_unique<Impl>(config, std::move(addresses), seed);
}
Nat::~Nat() = default;

Outcome Nat::outbound(Time now, net::MutableBytes packet, size_t total_length) {
  return impl_->run(now.count(), packet, total_length, Side::inside);
}
Outcome Nat::inbound(Time now, net::MutableBytes packet, size_t total_length) {
  return impl_->run(now.count(), packet, total_length, Side::outside);
}

void Nat::process(Time now, boost::span<Item> items) {
  constexpr size_t kAhead = 16;  // ours, measured: as many misses as a core keeps in flight
  for (size_t first = 0; first < items.size(); first += kAhead) {
    const auto group = items.subspan(first, std::min(kAhead, items.size() - first));
    uint32_t hashes[kAhead];
    const Table& table = impl_->core_.table();
    for (size_t i = 0; i < group.size(); ++i)
      hashes[i] = impl_->ask_for_index(group[i].packet, group[i].arrived);
    for (size_t i = 0; i < group.size(); ++i)
      table.prefetch_session(hashes[i], group[i].arrived == Side::inside);
    for (Item& item : group)
      item.outcome = impl_->run(now.count(), item.packet, item.total_length, item.arrived);
  }
}

bool Nat::has_emitted() const { return !impl_->emitted_.empty(); }
std::vector<Emitted> Nat::take_emitted() {
  std::vector<Emitted> out;
  out.swap(impl_->emitted_);
  return out;
}

Time Nat::next_deadline() const {
  const int64_t due = std::min(impl_->held_.due(), impl_->core_.table().next_deadline());
  return due == INT64_MAX ? Time::max() : Time(due);
}

void Nat::expire(Time now) {
  impl_->core_.sweep(now.count());
  impl_->answer_held(now.count());
}

void Nat::reboot(Time now) {
  impl_->core_.reboot(now.count());
  impl_->forget_packets();
}

void Nat::rebind(Time now) {
  impl_->core_.rebind(now.count(), [&](uint32_t mapping, Point old) {
    if (impl_->observer_)
      impl_->observer_->mapping_moved(now, impl_->info(mapping), impl_->endpoint_of(old, 0));
  });
  impl_->fragments_.clear();
}

void Nat::change_address(Time now, std::vector<net::IpAddress> addresses) {
  require(impl_->config_, addresses);
  impl_->addresses_ = std::move(addresses);
  impl_->core_.change_addresses(now.count(), v4_of(impl_->addresses_));
  impl_->forget_packets();
}

void Nat::set_observer(Observer* observer) {
  impl_->observer_ = observer;
  impl_->wants_packets_ = observer && observer->wants_packets();
}

const Config& Nat::config() const { return impl_->config_; }
const std::vector<net::IpAddress>& Nat::public_addresses() const { return impl_->addresses_; }
bool Nat::is_public(const net::IpAddress& address) const {
  return address.is_v4() && impl_->core_.is_public(address.to_v4());
}
const Counters& Nat::counters() const { return impl_->counters_; }
size_t Nat::mapping_count() const { return impl_->core_.table().mappings().size(); }
size_t Nat::session_count() const { return impl_->core_.table().sessions().size(); }
size_t Nat::memory_bytes() const {
  return sizeof(Impl) + impl_->core_.memory_bytes() + impl_->fragments_.memory_bytes();
}

std::vector<MappingInfo> Nat::mappings(Time now) const {
  const Table& table = impl_->core_.table();
  std::vector<MappingInfo> all;
  for (uint32_t i = 0; i < table.mappings().end(); ++i) {
    bool live = false;
    for (uint32_t s = table.mappings()[i].first_session; s != kNoRecord && !live;
         s = table.sessions()[s].next)
      live = table.sessions()[s].expires > now.count();
    if (live) all.push_back(impl_->info(i));
  }
  std::sort(all.begin(), all.end(), [](const MappingInfo& a, const MappingInfo& b) {
    return std::tie(a.protocol, a.internal, a.remote, a.external) <
           std::tie(b.protocol, b.internal, b.remote, b.external);
  });
  return all;
}

}  // namespace culvert::nat
