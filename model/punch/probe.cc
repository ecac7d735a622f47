#include "model/punch/probe.h"

#include <array>

namespace culvert::punch {
namespace {

using stun::Type;

constexpr std::string_view kKinds[] = {"",       "hello",     "opener", "probe",
                                       "answer", "keepalive", "data",   "bye"};
constexpr uint8_t kHeard = 1, kConfirmed = 2;

// What messages of each kind may be.
bool fits(ProbeKind kind, stun::Class cls) {
  switch (kind) {
    case ProbeKind::opener:
    case ProbeKind::probe:
    case ProbeKind::keepalive:
      return cls == stun::Class::request;
    case ProbeKind::answer:
      return cls == stun::Class::success;
    case ProbeKind::hello:
    case ProbeKind::data:
    case ProbeKind::bye:
      return cls == stun::Class::indication;
  }
  return false;
}

}  // namespace

std::string_view to_string(ProbeKind kind) { return kKinds[static_cast<size_t>(kind)]; }

ProbeKeys probe_keys(const net::Key& session_key, uint64_t session, std::string_view initiator,
                     std::string_view responder) {
  std::string context(initiator);
  context += '\0';  // names hold no zero byte that could shift the border: lengths follow
  context += responder;
  context += '\0';
  context += static_cast<char>(initiator.size());
  for (int shift = 56; shift >= 0; shift -= 8) context += static_cast<char>(session >> shift);
  const net::Bytes bytes = net::as_bytes(context);
  return {net::derive_key(session_key, "culvert punch initiator", bytes),
          net::derive_key(session_key, "culvert punch responder", bytes),
          net::derive_key(session_key, "culvert punch data", bytes)};
}

net::Buffer encode(const Probe& probe, const ProbeKeys& keys) {
  stun::Builder builder(probe.cls, probe.id);
  if (probe.mapped) builder.xor_address(Type::xor_mapped_address, *probe.mapped);
  const uint32_t flags = (probe.heard ? kHeard : 0) | (probe.confirmed ? kConfirmed : 0);
  builder.u64(Type::punch_session, probe.session)
      .u32(Type::punch_kind, static_cast<uint32_t>(probe.kind) << 24 |
                                 static_cast<uint32_t>(probe.sender) << 16 | flags << 8)
      .u64(Type::punch_number, probe.number)
      .u64(Type::punch_echo, probe.echo);
  if (!probe.sealed.empty()) builder.bytes(Type::punch_sealed, probe.sealed);
  builder.integrity_sha256(keys.of(probe.sender)).fingerprint();
  return builder.take();
}

std::optional<uint64_t> session_of(const stun::Message& message) {
  if (message.method != stun::kBinding || message.classic()) return {};
  return message.u64(Type::punch_session);
}

std::optional<Probe> open_probe(const stun::Message& message, const ProbeKeys& keys, Role self) {
  const auto session = session_of(message);
  const auto kind = message.u32(Type::punch_kind);
  const auto number = message.u64(Type::punch_number);
  const auto echo = message.u64(Type::punch_echo);
  if (!session || !kind || !number || !echo) return {};
  Probe probe;
  probe.cls = message.cls;
  probe.id = message.id;
  probe.session = *session;
  const uint32_t which = *kind >> 24, role = *kind >> 16 & 0xff, flags = *kind >> 8 & 0xff;
  if (which < 1 || which > 7 || role > 1) return {};
  probe.kind = static_cast<ProbeKind>(which);
  probe.sender = static_cast<Role>(role);
  if (probe.sender == self || !fits(probe.kind, probe.cls)) return {};
  probe.heard = flags & kHeard;
  probe.confirmed = flags & kConfirmed;
  probe.number = *number;
  probe.echo = *echo;
  if (!message.integrity_sha256_ok(keys.of(probe.sender))) return {};
  // Everything that counts has to be covered: a full-length signature, and no second signature
  // that would allow a weaker one.
  const auto* signature = message.find(Type::message_integrity_sha256);
  if (signature->value.size() != 32) return {};
  if (probe.kind == ProbeKind::answer) {
    probe.mapped = message.address(Type::xor_mapped_address);
    if (!probe.mapped) return {};
  }
  if (const auto sealed = message.bytes(Type::punch_sealed)) {
    probe.sealed.assign(sealed->begin(), sealed->end());
  }
  return probe;
}

}  // namespace culvert::punch
