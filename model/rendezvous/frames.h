// The rendezvous' frames: what a device and the mediation server say to each other, one UDP
// datagram each, sealed under the device's key. docs/punching.md has the protocol.
// Stands on model/net (AEAD) and model/stun/behaviour.h.
//
//   0xC0 | type | name length | name | nonce (24) | XChaCha20-Poly1305(body)
//
// Only the type and the device's name travel in the clear; both are bound as associated data.
#pragma once

#include <array>
#include <boost/container/static_vector.hpp>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "model/net/address.h"
#include "model/net/bytes.h"
#include "model/net/crypto.h"
#include "model/net/error.h"
#include "model/net/time.h"
#include "model/stun/behaviour.h"

namespace culvert::rendezvous {

constexpr uint8_t kFirstByte = 0xC0;  // net::kRendezvousBytes
constexpr size_t kMaxName = 32;       // bytes of a device's name; ours
constexpr size_t kMaxHosts = 4;       // private candidates of one device; ours: a bounded number
constexpr size_t kMaxListed = 20;     // devices in one list: an answer no longer than its request
constexpr size_t kMaxFrame = 1232;    // bytes: the IPv6 minimum MTU less headers
constexpr size_t kRequestSize = 320;  // bytes: what every request is padded to, so that no answer
                                      // (introduction: at most 313) is longer than what asked
constexpr size_t kListSize = kMaxFrame;  // the same for list, whose answer is longer

enum class FrameType : uint8_t {
  // From a device.
  register_ = 1,
  measured = 2,
  unregister = 4,
  list = 5,
  connect = 6,
  acknowledge = 7,
  report = 8,
  // From the server.
  challenge = 16,
  registered = 17,
  gone = 18,
  listed = 19,
  introduction = 20,
  refused = 21,
  peer_report = 22,
};
bool from_device(FrameType type);

enum class Technique : uint8_t { culvert = 0, plain = 1, seed002 = 2 };
std::string_view to_string(Technique technique);
std::optional<Technique> technique_from(std::string_view name);

enum class Role : uint8_t { initiator = 0, responder = 1 };
std::string_view to_string(Role role);

using Cookie = std::array<uint8_t, 24>;  // opaque to the device
using Hosts = boost::container::static_vector<net::Endpoint, kMaxHosts>;

// What a device saw of its peer during a punch: exchanged after a failure, to find the reason.
struct Sighting {
  uint32_t sent = 0;        // probes sent toward the peer
  uint32_t received = 0;    // authenticated packets from it
  net::Endpoint seen_from;  // the last address it was seen from; none if it never was
  bool confirmed = false;   // two-way confirmed on this side
};

// --- from a device -------------------------------------------------------------------------------
struct Register {};  // also refreshes
struct Measured {
  stun::NatBehaviour behaviour;
  Hosts hosts;  // told only to peers that the server sees behind the same public address
};
struct Unregister {};
struct List {};
struct Connect {
  std::string peer;
  Technique technique = Technique::culvert;
  uint64_t token = 0;  // the same in every retransmission
};
struct Acknowledge {
  uint64_t session = 0;
};
struct Report {
  uint64_t session = 0;
  Sighting sighting;
};
using Request = std::variant<Register, Measured, Unregister, List, Connect, Acknowledge, Report>;

struct RequestHeader {
  uint64_t boot = 0;    // random, a new one for every start of the device
  uint64_t number = 0;  // counts up from 1 within a boot; a retransmission takes a new one
  uint64_t epoch = 0;   // the server's, 0 if not known
  Cookie cookie{};      // as challenged, zeros if none
};

// --- from the server -----------------------------------------------------------------------------
struct Challenge {
  Cookie cookie{};
};
struct Registered {
  net::Endpoint observed;
  std::array<net::Endpoint, 4> endpoints;  // the server's own, as stun::SocketIndex orders them
  uint32_t lifetime_s = 0;
  net::Duration rtt{0};
};
struct Gone {};
struct Listed {
  struct Device {
    std::string name;
    net::Endpoint observed;
    stun::Mapping mapping = stun::Mapping::unknown;
    stun::Filtering filtering = stun::Filtering::unknown;
  };
  std::vector<Device> devices;  // at most kMaxListed, by name
};
struct Introduction {
  uint64_t session = 0;
  uint64_t token = 0;  // of the connect that asked; 0 for the responder
  Role role = Role::initiator;
  Technique technique = Technique::culvert;
  std::string peer;
  net::Endpoint peer_observed;
  stun::NatBehaviour mine, theirs;  // as last reported; what the server saw goes before
  bool same_public = false;         // the server sees both behind one public address
  Hosts hosts;                      // the peer's, only if same_public
  net::Key key{};                   // of this session
};
enum class RefusedWhy : uint8_t { peer_unknown = 1, busy = 2 };
struct Refused {
  uint64_t token = 0;
  RefusedWhy why = RefusedWhy::peer_unknown;
};
struct PeerReport {
  uint64_t session = 0;
  bool acknowledged = false;  // the peer acknowledged its introduction
  bool reported = false;      // the peer has told what it saw
  Sighting sighting;
};
using Reply = std::variant<Challenge, Registered, Gone, Listed, Introduction, Refused, PeerReport>;

struct ReplyHeader {
  uint64_t epoch = 0;    // random, a new one for every start of the server
  uint64_t boot = 0;     // of the device it is meant for
  uint64_t number = 0;   // counts up per device within an epoch
  uint64_t answers = 0;  // the request's number; 0 if the server began
};

// A session as event logs show it: 16 hexadecimal digits.
std::string session_text(uint64_t session);

using Nonce = std::array<uint8_t, net::kSealNonce>;

// The two keys of a device, one for each direction, so that no frame can be turned round.
struct DeviceKeys {
  net::Key to_server{}, to_device{};
};
DeviceKeys device_keys(net::Bytes secret, std::string_view name);

// The clear part of a frame. invalid: not a frame of ours.
struct Envelope {
  FrameType type{};
  std::string name;
  net::Bytes associated, sealed;  // into the datagram
  Nonce nonce{};
};
net::Result<Envelope> open_envelope(net::Bytes datagram);

net::Buffer encode(const RequestHeader& header, const Request& request, std::string_view device,
                   const DeviceKeys& keys, const Nonce& nonce);
net::Buffer encode(const ReplyHeader& header, const Reply& reply, std::string_view device,
                   const DeviceKeys& keys, const Nonce& nonce);

struct DecodedRequest {
  RequestHeader header;
  Request request;
};
struct DecodedReply {
  ReplyHeader header;
  Reply reply;
};
// not_permitted: not sealed by this key. invalid: sealed, but malformed.
net::Result<DecodedRequest> decode_request(const Envelope& envelope, const DeviceKeys& keys);
net::Result<DecodedReply> decode_reply(const Envelope& envelope, const DeviceKeys& keys);

}  // namespace culvert::rendezvous
