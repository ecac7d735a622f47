#include "model/ns3/nat_router.h"

#include <algorithm>
#include <cstring>

#include "model/ns3/convert.h"
#include "model/ns3/nat_view.h"
#include "ns3/icmpv4-l4-protocol.h"
#include "ns3/ipv6.h"
#include "ns3/log.h"
#include "ns3/loopback-net-device.h"
#include "ns3/rng-seed-manager.h"
#include "ns3/simulator.h"
#include "ns3/string.h"
#include "ns3/trace-source-accessor.h"
#include "ns3/uinteger.h"

NS_LOG_COMPONENT_DEFINE("CulvertNatRouter");

namespace culvert::ns3_world {
namespace {

constexpr uint8_t kIcmp = 1;  // IANA protocol number

// "udp_new" → "UdpNew".
std::string attribute_name(const std::string& axis) {
  std::string name;
  bool upper = true;
  for (const char c : axis) {
    if (c == '_') {
      upper = true;
      continue;
    }
    name += upper ? static_cast<char>(std::toupper(static_cast<unsigned char>(c))) : c;
    upper = false;
  }
  return name;
}

// RFC 792: unreachable, source quench, time exceeded, parameter problem; and redirect.
bool is_icmp_error(const ns3::Ipv4Header& header, const ns3::Packet& packet) {
  uint8_t type = 0;
  if (header.GetProtocol() != kIcmp || header.GetFragmentOffset() != 0) return false;
  if (packet.CopyData(&type, 1) != 1) return false;
  return type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
}

std::vector<net::IpAddress> from_ns3(const std::vector<ns3::Ipv4Address>& addresses) {
  std::vector<net::IpAddress> out;
  for (const ns3::Ipv4Address address : addresses) out.push_back(ns3_world::from_ns3(address));
  return out;
}

ns3::InetSocketAddress socket_address(const net::Endpoint& endpoint) {
  return {endpoint.ip.is_v4() ? to_ipv4(endpoint.ip) : ns3::Ipv4Address::GetAny(), endpoint.port};
}

}  // namespace

class NatRouter::Watch : public nat::NatLog {
 public:
  explicit Watch(NatRouter& router) : NatLog(router.log_), router_(router) {}
  void mapping_created(net::Time now, const nat::MappingInfo& mapping) override {
    NatLog::mapping_created(now, mapping);
    router_.created_trace_(mapping.protocol, socket_address(mapping.internal),
                           socket_address(mapping.external));
  }
  void mapping_ended(net::Time ended, const nat::MappingInfo& mapping,
                     nat::Reason reason) override {
    NatLog::mapping_ended(ended, mapping, reason);
    router_.expired_trace_(mapping.protocol, socket_address(mapping.internal),
                           socket_address(mapping.external), std::string(to_string(reason)));
  }
  void mapping_moved(net::Time now, const nat::MappingInfo& mapping,
                     const net::Endpoint& old_external) override {
    NatLog::mapping_moved(now, mapping, old_external);
    router_.expired_trace_(mapping.protocol, socket_address(mapping.internal),
                           socket_address(old_external), "rebind");
    router_.created_trace_(mapping.protocol, socket_address(mapping.internal),
                           socket_address(mapping.external));
  }

 private:
  NatRouter& router_;
};

class NatRouter::Ipv6Side : public PacketTap6::Handler {
 public:
  explicit Ipv6Side(NatRouter& router) : router_(router) {}
  PacketTap6::Fate on_arrival6(ns3::Ipv6Header& header, ns3::Ptr<ns3::Packet>& packet) override {
    return router_.filter6(header, packet);
  }

 private:
  NatRouter& router_;
};

// An attribute that is an axis of nat::Config: the table of axes is the NAT's own.
class NatRouter::AxisAccessor : public ns3::AttributeAccessor {
 public:
  explicit AxisAccessor(std::string axis) : axis_(std::move(axis)) {}
  bool Set(ns3::ObjectBase* object, const ns3::AttributeValue& value) const override {
    auto* router = dynamic_cast<NatRouter*>(object);
    const auto* text = dynamic_cast<const ns3::StringValue*>(&value);
    if (!router || !text) return false;
    if (text->Get().empty()) return router->axes_.erase(axis_), true;
    const net::Status status = router->SetAxis(axis_, text->Get());
    if (!status) NS_LOG_ERROR(status.detail);
    return status.ok();
  }
  bool Get(const ns3::ObjectBase* object, ns3::AttributeValue& value) const override {
    const auto* router = dynamic_cast<const NatRouter*>(object);
    auto* text = dynamic_cast<ns3::StringValue*>(&value);
    if (!router || !text) return false;
    const auto found = router->axes_.find(axis_);
    text->Set(found == router->axes_.end() ? std::string() : found->second);
    return true;
  }
  bool HasGetter() const override { return true; }
  bool HasSetter() const override { return true; }

 private:
  std::string axis_;
};

NS_OBJECT_ENSURE_REGISTERED(NatRouter);

ns3::TypeId NatRouter::GetTypeId() {
  static const ns3::TypeId id = [] {
    ns3::TypeId made =
        ns3::TypeId("culvert::NatRouter")
            .SetParent<ns3::Object>()
            .SetGroupName("Culvert")
            .AddConstructor<NatRouter>()
            .AddAttribute("Preset",
                          "The kind of NAT: a preset's name, or one of eim-eif ... apdm-apdf; axes "
                          "may follow (symmetric,udp_new=30s).",
                          ns3::StringValue("port-restricted-cone"),
                          ns3::MakeStringAccessor(&NatRouter::preset_), ns3::MakeStringChecker())
            .AddAttribute("Seed",
                          "Of the NAT's random choices; 0: made from ns-3's seed, its run number "
                          "and the node's id.",
                          ns3::UintegerValue(0), ns3::MakeUintegerAccessor(&NatRouter::seed_),
                          ns3::MakeUintegerChecker<uint64_t>())
            .AddTraceSource("MappingCreated", "A mapping was made.",
                            ns3::MakeTraceSourceAccessor(&NatRouter::created_trace_),
                            "culvert::ns3_world::NatRouter::MappingCallback")
            .AddTraceSource("MappingExpired", "A mapping ended, and why.",
                            ns3::MakeTraceSourceAccessor(&NatRouter::expired_trace_),
                            "culvert::ns3_world::NatRouter::MappingExpiredCallback")
            .AddTraceSource("Translated", "A packet goes on, translated.",
                            ns3::MakeTraceSourceAccessor(&NatRouter::translated_trace_),
                            "culvert::ns3_world::NatRouter::TranslatedCallback")
            .AddTraceSource("Dropped", "A packet does not go on, and why.",
                            ns3::MakeTraceSourceAccessor(&NatRouter::dropped_trace_),
                            "culvert::ns3_world::NatRouter::DroppedCallback");
    for (const auto& [axis, value] : nat::describe(nat::Config{}))
      made.AddAttribute(
          attribute_name(axis),
          "The axis " + axis + " (without a preset: " + value + "); empty: as the preset has it.",
          ns3::StringValue(""), ns3::Create<AxisAccessor>(axis), ns3::MakeStringChecker());
    return made;
  }();
  return id;
}

NatRouter::NatRouter() = default;
NatRouter::~NatRouter() = default;

void NatRouter::DoDispose() {
  wake_.Cancel();
  if (tap_) tap_->remove(*this);
  tap_ = nullptr;
  ipv6_side_.reset();
  tap6_ = nullptr;
  ipv4_ = nullptr;
  node_ = nullptr;
  outside_ = nullptr;
  inside_.clear();
  ns3::Object::DoDispose();
}

net::Time NatRouter::now() { return net::Time(ns3::Simulator::Now().GetNanoSeconds()); }

void NatRouter::SetConfig(const nat::Config& config, const std::string& name) {
  preset_ = "open";  // of no account: every axis is given
  name_ = name;
  axes_.clear();
  for (const auto& [axis, value] : nat::describe(config)) axes_[axis] = value;
}

net::Result<nat::Config> NatRouter::GetConfig() const {
  net::Result<nat::Config> config = nat::from_preset(preset_);
  if (!config) return config;
  for (const auto& [axis, value] : axes_)
    if (const net::Status status = nat::set(*config, axis, value); !status) return status;
  if (const net::Status status = nat::check(*config); !status) return status;
  return config;
}

net::Status NatRouter::SetAxis(const std::string& axis, const std::string& value) {
  if (nat_) return {net::Error::in_use, "the NAT works already; its axes are settled"};
  nat::Config trial;
  if (net::Status status = nat::set(trial, axis, value); !status) return status;
  axes_[axis] = value;
  return {};
}

net::Status NatRouter::Install(ns3::Ptr<ns3::Node> node,
                               std::vector<ns3::Ptr<ns3::NetDevice>> inside,
                               ns3::Ptr<ns3::NetDevice> outside,
                               const std::vector<ns3::Ipv4Address>& publicAddresses) {
  const auto invalid = [](const char* why) { return net::Status(net::Error::invalid, why); };
  if (nat_) return {net::Error::in_use, "this NAT is installed already"};
  const auto config = GetConfig();
  if (!config) return config.status();
  if (net::Status status = nat::check_addresses(*config, from_ns3(publicAddresses)); !status)
    return status;
  if (!node || !node->GetObject<ns3::Ipv4>()) return invalid("the node has no IPv4 stack");
  if (node->GetObject<NatRouter>()) return invalid("the node has a NAT already");
  if (!outside || outside->GetNode() != node)
    return invalid("the outside device is not the node's");
  for (const auto& device : inside)
    if (!device || device->GetNode() != node || device == outside)
      return invalid("an inside device is not the node's, or is its outside device too");
  node_ = node;
  ipv4_ = node->GetObject<ns3::Ipv4>();
  outside_ = outside;
  inside_ = std::move(inside);
  if (ipv4_->GetInterfaceForDevice(outside_) < 0) return invalid("the outside device has no IPv4");

  uint64_t seed = seed_;
  if (seed == 0)
    seed = net::derive_seed(
        uint64_t{ns3::RngSeedManager::GetSeed()} << 32 ^ ns3::RngSeedManager::GetRun(),
        "nat/" + std::to_string(node->GetId()));
  nat_ = std::make_unique<nat::Nat>(*config, from_ns3(publicAddresses), seed);
  watch_ = std::make_unique<Watch>(*this);
  nat_->set_observer(watch_.get());
  if (config->kind == nat::Kind::nat)
    if (net::Status status = put_on_interface(publicAddresses); !status) return status;
  tap_ = PacketTapRouting::on(node);
  tap_->add(*this, PacketTapRouting::kRouter);
  if (carries_ipv6()) {
    tap6_ = PacketTap6::on(node);
    ipv6_side_ = std::make_unique<Ipv6Side>(*this);
    tap6_->add(*ipv6_side_, PacketTapRouting::kRouter);
  }
  node->AggregateObject(this);
  watch_->config(name_.empty() ? preset_ : name_, *nat_);
  return {};
}

net::Status NatRouter::put_on_interface(const std::vector<ns3::Ipv4Address>& addresses) {
  const auto outside = static_cast<uint32_t>(ipv4_->GetInterfaceForDevice(outside_));
  public_.clear();
  for (const ns3::Ipv4Address address : addresses) {
    public_.push_back(address.Get());
    // With a host's mask: no route comes with it.
    if (ipv4_->GetInterfaceForAddress(address) < 0)
      ipv4_->AddAddress(outside, {address, ns3::Ipv4Mask::GetOnes()});
  }
  own_known_ = false;
  return {};
}

net::Status NatRouter::ChangeAddress(const std::vector<ns3::Ipv4Address>& addresses) {
  if (!nat_) return {net::Error::invalid, "the NAT is not installed yet"};
  if (net::Status status = nat::check_addresses(nat_->config(), from_ns3(addresses)); !status)
    return status;
  watch_->event("address_change", from_ns3(addresses));
  nat_->change_address(now(), from_ns3(addresses));
  if (nat_->config().kind != nat::Kind::nat) return {};
  const auto outside = static_cast<uint32_t>(ipv4_->GetInterfaceForDevice(outside_));
  const std::vector<uint32_t> old = public_;
  for (uint32_t i = ipv4_->GetNAddresses(outside); i-- > 0;) {
    const ns3::Ipv4InterfaceAddress had = ipv4_->GetAddress(outside, i);
    if (std::find(old.begin(), old.end(), had.GetLocal().Get()) == old.end()) continue;
    if (std::find(addresses.begin(), addresses.end(), had.GetLocal()) != addresses.end()) continue;
    ipv4_->RemoveAddress(outside, i);
    // The first new address takes the place of the one that brought the subnet.
    const bool same_subnet =
        addresses.front().CombineMask(had.GetMask()) == had.GetLocal().CombineMask(had.GetMask());
    if (same_subnet && had.GetMask() != ns3::Ipv4Mask::GetOnes() &&
        ipv4_->GetInterfaceForAddress(addresses.front()) < 0)
      ipv4_->AddAddress(outside, {addresses.front(), had.GetMask()});
  }
  return put_on_interface(addresses);
}

void NatRouter::Reboot() {
  if (!nat_) return;
  watch_->event("reboot", nat_->public_addresses());
  nat_->reboot(now());
  after_call();
}

void NatRouter::Rebind() {
  if (!nat_) return;
  watch_->event("rebind", nat_->public_addresses());
  nat_->rebind(now());
  after_call();
}

void NatRouter::LogCounters() {
  if (!nat_) return;
  nat_->expire(now());
  watch_->counters(*nat_);
}

void NatRouter::know_own() {
  if (!own_known_) {
    own_.clear();
    inner_.clear();
    for (uint32_t i = 0; i < ipv4_->GetNInterfaces(); ++i)
      for (uint32_t k = 0; k < ipv4_->GetNAddresses(i); ++k) {
        const ns3::Ipv4InterfaceAddress had = ipv4_->GetAddress(i, k);
        if (std::find(inside_.begin(), inside_.end(), ipv4_->GetNetDevice(i)) != inside_.end())
          inner_.emplace_back(had.GetLocal().CombineMask(had.GetMask()), had.GetMask());
        const uint32_t local = had.GetLocal().Get();
        if (std::find(public_.begin(), public_.end(), local) == public_.end())
          own_.push_back(local);
        if (had.GetMask() != ns3::Ipv4Mask::GetOnes()) own_.push_back(had.GetBroadcast().Get());
      }
    own_known_ = true;
  }
}

bool NatRouter::stays_inside(ns3::Ipv4Address address) {
  know_own();
  for (const auto& [network, mask] : inner_)
    if (address.CombineMask(mask) == network) return true;
  return false;
}

bool NatRouter::is_own(ns3::Ipv4Address address) {
  know_own();
  return std::find(own_.begin(), own_.end(), address.Get()) != own_.end();
}

PacketTapRouting::Fate NatRouter::on_arrival(ns3::Ipv4Header& header, ns3::Ptr<ns3::Packet>& packet,
                                             ns3::Ptr<const ns3::NetDevice> device) {
  const ns3::Ipv4Address destination = header.GetDestination();
  nat::Side side = nat::Side::outside;
  const bool to_public =
      std::find(public_.begin(), public_.end(), destination.Get()) != public_.end();
  if (device != outside_) {
    side = nat::Side::inside;
    if (std::find(inside_.begin(), inside_.end(), device) == inside_.end()) {
      // The node's own ICMP error about a packet that was translated already comes back to itself,
      // by the loopback: it is for whoever inside sent the packet.
      if (!to_public || !ns3::DynamicCast<const ns3::LoopbackNetDevice>(device) ||
          !is_icmp_error(header, *packet))
        return PacketTapRouting::Fate::next;
      side = nat::Side::outside;
    }
  }
  if (destination.IsBroadcast() || destination.IsMulticast() || is_own(destination) ||
      (side == nat::Side::inside && !to_public && stays_inside(destination)))
    return PacketTapRouting::Fate::next;
  if (header.GetTtl() <= 1) {
    // It would not be forwarded, so it must leave no state. Untranslated, the node's own forwarding
    // answers whoever sent it; but what is to a public address the node would take for its own.
    if (!to_public) return PacketTapRouting::Fate::next;
    answer_time_exceeded(header, packet);
    return PacketTapRouting::Fate::consume;
  }
  return translate(side, header, packet);
}

PacketTapRouting::Fate NatRouter::translate(nat::Side side, ns3::Ipv4Header& header,
                                            ns3::Ptr<ns3::Packet>& packet) {
  NatView view(header, *packet);
  const nat::Outcome outcome = side == nat::Side::inside
                                   ? nat_->outbound(now(), view.bytes(), view.total_length())
                                   : nat_->inbound(now(), view.bytes(), view.total_length());
  if (watch_->wants(outcome))
    watch_->packet(side, view.original(), view.bytes(), view.total_length(), outcome);
  auto fate = PacketTapRouting::Fate::consume;
  switch (outcome.action) {
    case nat::Action::forward_out:
    case nat::Action::forward_in:
    case nat::Action::hairpin:
      if (translated_trace_.IsEmpty()) {
        view.store(header, *packet);
      } else {
        const ns3::Ipv4Header before = header;
        view.store(header, *packet);
        translated_trace_(packet, before, header);
      }
      fate = PacketTapRouting::Fate::next;
      break;
    case nat::Action::deliver_local:
      fate = PacketTapRouting::Fate::next;
      break;
    case nat::Action::drop:
    case nat::Action::reply:
      dropped_trace_(packet, header, std::string(to_string(outcome.reason)));
      break;
  }
  // Asking for the next deadline costs as much as the translation. It comes nearer only when
  // something begins or closes; what is refreshed is asked about when its old time has come.
  if (nat_->has_emitted()) send_emitted();
  if (outcome.created || outcome.action == nat::Action::reply || !wake_.IsRunning() ||
      view.closes())
    arm();
  return fate;
}

// Only then is the tap for IPv6 put between the devices and the node: it costs a little.
bool NatRouter::carries_ipv6() const {
  const auto ipv6 = node_->GetObject<ns3::Ipv6>();
  const int32_t interface = ipv6 ? ipv6->GetInterfaceForDevice(outside_) : -1;
  if (interface < 0) return false;
  for (uint32_t i = 0; i < ipv6->GetNAddresses(static_cast<uint32_t>(interface)); ++i)
    if (!ipv6->GetAddress(static_cast<uint32_t>(interface), i).GetAddress().IsLinkLocal())
      return true;
  return false;
}

PacketTap6::Fate NatRouter::filter6(ns3::Ipv6Header& header, ns3::Ptr<ns3::Packet>& packet) {
  const ns3::Ipv6Address to = header.GetDestination();
  const ns3::Ptr<ns3::NetDevice> device = tap6_->arrival_device();
  const bool inside = std::find(inside_.begin(), inside_.end(), device) != inside_.end();
  // What the node will not forward is not the NAT's business, neighbour discovery above all.
  if ((!inside && device != outside_) || to.IsMulticast() || to.IsLinkLocal() ||
      header.GetSource().IsLinkLocal() || header.GetHopLimit() <= 1 ||
      node_->GetObject<ns3::Ipv6>()->GetInterfaceForAddress(to) >= 0)
    return PacketTap6::Fate::next;
  HeadBytes head(header, *packet);
  const net::Buffer before(head.bytes().begin(), head.bytes().end());
  const nat::Side side = inside ? nat::Side::inside : nat::Side::outside;
  const nat::Outcome outcome = inside ? nat_->outbound(now(), head.bytes(), head.total_length())
                                      : nat_->inbound(now(), head.bytes(), head.total_length());
  if (watch_->wants(outcome))
    watch_->packet(side, before, head.bytes(), head.total_length(), outcome);
  after_call();
  const bool passes = outcome.action == nat::Action::forward_out ||
                      outcome.action == nat::Action::forward_in ||
                      outcome.action == nat::Action::hairpin;
  return passes ? PacketTap6::Fate::next : PacketTap6::Fate::consume;
}

void NatRouter::answer_time_exceeded(const ns3::Ipv4Header& header, ns3::Ptr<ns3::Packet> packet) {
  // RFC 1122 section 3.2.2: not about ICMP errors, nor about later fragments.
  if (header.GetFragmentOffset() != 0 || is_icmp_error(header, *packet)) return;
  if (const auto icmp = node_->GetObject<ns3::Icmpv4L4Protocol>())
    icmp->SendTimeExceededTtl(header, packet, false);
}

void NatRouter::after_call() {
  if (nat_->has_emitted()) send_emitted();
  arm();
}

void NatRouter::send_emitted() {
  for (const nat::Emitted& emitted : nat_->take_emitted()) {
    if (emitted.packet[0] >> 4 == 6) {
      if (tap6_)
        tap6_->send(ns3::Create<ns3::Packet>(emitted.packet.data() + 40,
                                             static_cast<uint32_t>(emitted.packet.size() - 40)),
                    parse_ipv6_header(emitted.packet));
      continue;
    }
    const ns3::Ipv4Header header = parse_ipv4_header(emitted.packet);
    const size_t ip_size = (emitted.packet[0] & 15u) * 4u;
    tap_->send(ns3::Create<ns3::Packet>(emitted.packet.data() + ip_size,
                                        static_cast<uint32_t>(emitted.packet.size() - ip_size)),
               header);
  }
}

void NatRouter::arm() {
  const net::Time next = nat_->next_deadline();
  if (next == net::Time::max() || (wake_.IsRunning() && wake_at_ <= next)) return;
  wake_.Cancel();
  wake_at_ = std::max(next, now());
  wake_ = ns3::Simulator::Schedule(to_ns3(wake_at_ - now()), &NatRouter::expire, this);
}

void NatRouter::expire() {
  nat_->expire(now());
  after_call();
}

}  // namespace culvert::ns3_world
