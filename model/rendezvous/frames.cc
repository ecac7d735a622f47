#include "model/rendezvous/frames.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>

#include "model/rendezvous/frames_body.h"
#include "model/rendezvous/wire.h"

namespace culvert::rendezvous {
namespace {

using net::Error;

struct TechniqueName {
  Technique technique;
  std::string_view name;
};
constexpr TechniqueName kTechniques[] = {
    {Technique::culvert, "culvert"}, {Technique::plain, "plain"}, {Technique::seed002, "seed002"}};

net::Buffer finish(FrameType type, std::string_view device, const net::Key& key, const Nonce& nonce,
                   net::Bytes body) {
  Writer w;
  w.u8(kFirstByte);
  w.u8(static_cast<uint8_t>(type));
  w.text(device.substr(0, kMaxName));
  const net::Buffer sealed = net::seal(key, nonce, w.view(), body);
  w.bytes(nonce);
  w.bytes(sealed);
  return w.take();
}

// The body's size at which a frame of this device has `frame` bytes.
size_t body_size(size_t frame, std::string_view device) {
  const size_t around = 3 + device.size() + net::kSealNonce + net::kSealOverhead;
  return frame > around ? frame - around : 0;
}

}  // namespace

bool from_device(FrameType type) { return static_cast<uint8_t>(type) < 16; }

std::string_view to_string(Technique technique) {
  for (const TechniqueName& row : kTechniques) {
    if (row.technique == technique) return row.name;
  }
  return "unknown";
}

std::optional<Technique> technique_from(std::string_view name) {
  for (const TechniqueName& row : kTechniques) {
    if (row.name == name) return row.technique;
  }
  return {};
}

std::string_view to_string(Role role) {
  return role == Role::initiator ? "initiator" : "responder";
}

std::string session_text(uint64_t session) {
  char text[20];
  std::snprintf(text, sizeof text, "%016" PRIx64, session);
  return text;
}

DeviceKeys device_keys(net::Bytes secret, std::string_view name) {
  const net::Key key = net::key_from(secret);
  return {net::derive_key(key, "culvert rendezvous to server", net::as_bytes(name)),
          net::derive_key(key, "culvert rendezvous to device", net::as_bytes(name))};
}

net::Result<Envelope> open_envelope(net::Bytes datagram) {
  if (datagram.size() > kMaxFrame) return {Error::invalid, "a frame longer than frames can be"};
  Reader r(datagram);
  Envelope envelope;
  if (r.u8() != kFirstByte) return {Error::invalid, "not a rendezvous frame"};
  envelope.type = static_cast<FrameType>(r.u8());
  envelope.name = r.text(kMaxName);
  envelope.associated = datagram.first(r.position());
  envelope.nonce = get_array<net::kSealNonce>(r);
  if (!r.ok() || envelope.name.empty()) return {Error::invalid, "a frame cut short"};
  envelope.sealed = datagram.subspan(r.position());
  if (envelope.sealed.size() < net::kSealOverhead) return {Error::invalid, "a frame cut short"};
  return envelope;
}

net::Buffer encode(const RequestHeader& header, const Request& request, std::string_view device,
                   const DeviceKeys& keys, const Nonce& nonce) {
  Writer w;
  w.u64(header.boot);
  w.u64(header.number);
  w.u64(header.epoch);
  w.bytes(header.cookie);
  const FrameType type = write_body(w, request);
  w.pad_to(body_size(type == FrameType::list ? kListSize : kRequestSize, device));
  return finish(type, device, keys.to_server, nonce, w.view());
}

net::Buffer encode(const ReplyHeader& header, const Reply& reply, std::string_view device,
                   const DeviceKeys& keys, const Nonce& nonce) {
  Writer w;
  w.u64(header.epoch);
  w.u64(header.boot);
  w.u64(header.number);
  w.u64(header.answers);
  const FrameType type = write_body(w, reply);
  return finish(type, device, keys.to_device, nonce, w.view());
}

net::Result<DecodedRequest> decode_request(const Envelope& envelope, const DeviceKeys& keys) {
  if (!from_device(envelope.type)) return {Error::invalid, "not a frame that devices send"};
  auto body = net::open(keys.to_server, envelope.nonce, envelope.associated, envelope.sealed);
  if (!body.ok()) return {Error::not_permitted, "not sealed by this device"};
  Reader r(*body);
  DecodedRequest out;
  out.header.boot = r.u64();
  out.header.number = r.u64();
  out.header.epoch = r.u64();
  out.header.cookie = get_array<24>(r);
  // What is left over is padding.
  if (!read_body(envelope.type, r, out.request) || !r.ok()) {
    return {Error::invalid, "a sealed frame whose body is malformed"};
  }
  return out;
}

net::Result<DecodedReply> decode_reply(const Envelope& envelope, const DeviceKeys& keys) {
  if (from_device(envelope.type)) return {Error::invalid, "not a frame that servers send"};
  auto body = net::open(keys.to_device, envelope.nonce, envelope.associated, envelope.sealed);
  if (!body.ok()) return {Error::not_permitted, "not sealed by the server"};
  Reader r(*body);
  DecodedReply out;
  out.header.epoch = r.u64();
  out.header.boot = r.u64();
  out.header.number = r.u64();
  out.header.answers = r.u64();
  if (!read_body(envelope.type, r, out.reply) || !r.ok() || !r.at_end()) {
    return {Error::invalid, "a sealed frame whose body is malformed"};
  }
  return out;
}

}  // namespace culvert::rendezvous
