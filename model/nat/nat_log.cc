#include "model/nat/nat_log.h"

#include "model/packet/glance.h"

namespace culvert::nat {
namespace {

// docs/reference/events.md, "Limits": ours, so that a bulk transfer does not drown its log.
constexpr uint8_t kTranslationsPerMapping = 64;
constexpr uint64_t kDropsInFull = 1000, kDropsStride = 100;

std::string joined(const std::vector<net::IpAddress>& addresses) {
  std::string text;
  for (const net::IpAddress& address : addresses) {
    if (!text.empty()) text += ',';
    text += address.to_string();
  }
  return text;
}

bool forwarded(const Outcome& outcome) {
  return outcome.action == Action::forward_out || outcome.action == Action::forward_in ||
         outcome.action == Action::hairpin;
}

std::string_view why_ended(Reason reason) {
  switch (reason) {
    case Reason::expired:
      return "idle";
    case Reason::rebooted:
      return "reboot";
    case Reason::address_changed:
      return "address_change";
    default:
      return to_string(reason);
  }
}

}  // namespace

void NatLog::config(std::string_view kind, const Nat& nat) {
  if (!log_) return;
  const auto axes = describe(nat.config());
  std::vector<net::Field> fields;
  fields.emplace_back("kind", kind);
  // The axis that says NAT, firewall or open must not shadow the preset's name.
  for (const auto& [axis, value] : axes)
    fields.emplace_back(axis == "kind" ? std::string_view("type") : std::string_view(axis), value);
  fields.emplace_back("addresses", joined(nat.public_addresses()));
  log_->write("nat", "config", fields.data(), fields.size());
}

bool NatLog::wants(const Outcome& outcome) {
  if (!log_) return false;
  // The router's own stack may still answer what is for itself: no drop.
  if (outcome.action == Action::deliver_local) return false;
  if (!forwarded(outcome)) {
    ++drops_;
    return drops_ <= kDropsInFull || drops_ % kDropsStride == 0;
  }
  if (outcome.mapping >= written_.size()) written_.resize(outcome.mapping + 1u);
  uint8_t& written = written_[outcome.mapping];
  if (written >= kTranslationsPerMapping) return false;
  ++written;
  return true;
}

void NatLog::packet(Side came_from, net::Bytes before, net::Bytes after, size_t total_length,
                    const Outcome& outcome) {
  if (!log_) return;
  const packet::Glance old = packet::glance(before);
  const std::string_view direction = outcome.action == Action::hairpin ? "hairpin"
                                     : came_from == Side::inside       ? "out"
                                                                       : "in";
  if (!forwarded(outcome)) {
    log_->write("nat", "dropped",
                {{"direction", direction},
                 {"protocol", packet::protocol_name(old.protocol)},
                 {"source", old.source},
                 {"destination", old.destination},
                 {"why", to_string(outcome.reason)},
                 {"bytes", uint64_t{total_length}},
                 {"packet", old.mark}});
    return;
  }
  const packet::Glance now = packet::glance(after);
  log_->write("nat", "translated",
              {{"direction", direction},
               {"protocol", packet::protocol_name(old.protocol)},
               {"source", old.source},
               {"destination", old.destination},
               {"new_source", now.source},
               {"new_destination", now.destination},
               {"ttl", old.ttl},
               {"bytes", uint64_t{total_length}},
               {"packet", old.mark}});
}

void NatLog::event(std::string_view name, const std::vector<net::IpAddress>& addresses) {
  if (log_) log_->write("nat", name, {{"addresses", joined(addresses)}});
}

void NatLog::counters(const Nat& nat) {
  if (!log_) return;
  const Counters& c = nat.counters();
  log_->write("nat", "counters",
              {{"translated", c.out + c.in + c.hairpin},
               {"dropped", c.dropped},
               {"mappings", uint64_t{nat.mapping_count()}},
               {"created", c.mappings_created},
               {"expired", c.mappings_ended}});
}

void NatLog::created(const MappingInfo& mapping) {
  if (mapping.id < written_.size()) written_[mapping.id] = 0;  // ids are used again
  if (!log_) return;
  log_->write("nat", "mapping_created",
              {{"protocol", packet::protocol_name(mapping.protocol)},
               {"internal", mapping.internal},
               {"external", mapping.external},
               {"remote", mapping.remote.is_none() ? std::string() : mapping.remote.to_string()}});
}

void NatLog::ended(const MappingInfo& mapping, const net::Endpoint& external,
                   std::string_view why) {
  if (!log_) return;
  log_->write("nat", "mapping_expired",
              {{"protocol", packet::protocol_name(mapping.protocol)},
               {"internal", mapping.internal},
               {"external", external},
               {"why", why}});
}

void NatLog::mapping_created(Time, const MappingInfo& mapping) { created(mapping); }

void NatLog::mapping_ended(Time, const MappingInfo& mapping, Reason reason) {
  ended(mapping, mapping.external, why_ended(reason));
}

void NatLog::mapping_moved(Time, const MappingInfo& mapping, const net::Endpoint& old_external) {
  ended(mapping, old_external, "rebind");
  created(mapping);
}

}  // namespace culvert::nat
