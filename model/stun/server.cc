#include "model/stun/server.h"

#include <algorithm>

#include "model/stun/wire.h"

namespace culvert::stun {
namespace {

// Below it live services that somebody could be made to receive answers on (RFC 6335 section 6).
constexpr uint16_t kFirstUserPort = 1024;
// What the smallest request gets over IPv4: XOR-MAPPED-ADDRESS and three more addresses.
constexpr size_t kLongestBareAnswer = kHeaderSize + 4 * 12;
constexpr size_t kFingerprintSize = 8;  // header and CRC

}  // namespace

std::string_view to_string(Refusal refusal) {
  switch (refusal) {
    case Refusal::none:
      return "none";
    case Refusal::not_stun:
      return "not_stun";
    case Refusal::malformed:
      return "malformed";
    case Refusal::not_request:
      return "not_request";
    case Refusal::rate:
      return "rate";
    case Refusal::unknown_attribute:
      return "unknown_attribute";
    case Refusal::bad_request:
      return "bad_request";
  }
  return "none";
}

Server::Server(const ServerOptions& options, uint64_t seed)
    : options_(options), limit_(options.limit, seed) {}

Answer Server::handle(net::Time now, SocketIndex arrived_on, const net::Endpoint& from,
                      net::Bytes datagram) {
  Answer answer;
  if (!looks_like_stun(datagram, true)) {
    answer.refusal = Refusal::not_stun;
    return answer;
  }
  const auto message = Message::parse(datagram);
  if (!message) {
    answer.refusal = Refusal::malformed;
    return answer;
  }
  if (!message->is(Class::request)) {
    answer.refusal = Refusal::not_request;
    return answer;
  }
  if (from.port == 0 || from.ip.is_multicast() || !limit_.allow(now, from.ip)) {
    answer.refusal = Refusal::rate;
    return answer;
  }
  return answer_request(*message, arrived_on, from);
}

Answer Server::refuse(const Message& request, Refusal refusal, uint16_t code,
                      std::string_view reason, SocketIndex arrived_on,
                      const net::Endpoint& from) const {
  Builder builder = Builder::reply(Class::error, request);
  builder.error(code, reason);
  if (code == 420) {
    auto unknown = request.unknown_required();
    // Known to this room, not to this server: it has nowhere else to answer from.
    if (unknown.empty()) unknown.push_back(static_cast<uint16_t>(Type::change_request));
    // As many as the request pays for.
    const size_t used = builder.size() + 4 + (request.fingerprinted() ? kFingerprintSize : 0);
    const size_t room = std::max(request.size(), kLongestBareAnswer) - used;
    if (unknown.size() > room / 4 * 2) unknown.resize(room / 4 * 2);
    builder.unknown({unknown.data(), unknown.size()});
  }
  if (request.fingerprinted()) builder.fingerprint();
  Answer answer;
  answer.refusal = refusal;
  answer.send = true;
  answer.from = arrived_on;
  answer.to = from;
  answer.data = builder.take();
  return answer;
}

Answer Server::answer_request(const Message& request, SocketIndex arrived_on,
                              const net::Endpoint& from) {
  if (!request.unknown_required().empty())
    return refuse(request, Refusal::unknown_attribute, 420, "Unknown Attribute", arrived_on, from);

  const bool whole = has({0}) && has({1}) && has({2}) && has({3});
  bool change_ip = false, change_port = false;
  if (request.has(Type::change_request)) {
    const auto flags = request.u32(Type::change_request);
    if (!flags)
      return refuse(request, Refusal::bad_request, 400, "Bad CHANGE-REQUEST", arrived_on, from);
    change_ip = *flags & 4;
    change_port = *flags & 2;
    if ((change_ip || change_port) && !whole)
      return refuse(request, Refusal::unknown_attribute, 420, "No Other Address", arrived_on, from);
  }

  net::Endpoint to = from;
  if (request.has(Type::response_port)) {
    const auto port = request.u32(Type::response_port);
    // RFC 5780 section 6.1: not together with PADDING, or answers in fragments could be aimed.
    const uint16_t number = port ? static_cast<uint16_t>(*port >> 16) : 0;
    const bool aimed = number < kFirstUserPort && number != from.port;
    if (!port || aimed || request.has(Type::padding) || request.classic())
      return refuse(request, Refusal::bad_request, 400, "Bad RESPONSE-PORT", arrived_on, from);
    to.port = number;
  }

  Answer answer;
  answer.send = true;
  answer.to = to;
  answer.from = arrived_on.other(change_ip, change_port);
  answer.changed = change_ip || change_port || to.port != from.port;
  const net::Endpoint& origin = options_.endpoints[answer.from.value];
  const net::Endpoint& other = options_.endpoints[arrived_on.other(true, true).value];

  Builder builder = Builder::reply(Class::success, request);
  if (request.classic()) {  // RFC 3489 section 8.1
    builder.address(Type::mapped_address, from).address(Type::source_address, origin);
    if (whole) builder.address(Type::changed_address, other);
    answer.data = builder.take();
    return answer;
  }
  // A client that sends nothing but a header gets what RFC 8489 and 5780 demand, MAPPED-ADDRESS
  // included, which shows a gateway that rewrites addresses in payloads. The rest comes when the
  // request was long enough to pay for it.
  const size_t tail = request.fingerprinted() ? kFingerprintSize : 0;
  const auto affordable = [&](size_t size) {
    return builder.size() + 4 + wire::padded(size) + tail <= request.size();
  };
  const size_t address_size = from.ip.is_v6() ? 20 : 8;
  builder.xor_address(Type::xor_mapped_address, from);
  if (whole || affordable(address_size)) builder.address(Type::mapped_address, from);
  // A2's sockets name A2's other port. RFC 5780 section 7.4 would have A1's, but coturn's client
  // takes the address for its third mapping test from the second answer, and would there meet the
  // first address again (coturn's server does the same). Discovery starts at A1.
  const bool alternate = arrived_on.value & 2;
  const net::Endpoint& told = alternate ? options_.endpoints[arrived_on.value ^ 1] : other;
  if (whole) builder.address(Type::response_origin, origin).address(Type::other_address, told);
  if (affordable(options_.software.size())) builder.text(Type::software, options_.software);
  if (request.has(Type::padding) && request.size() > builder.size() + tail + 4)
    builder.padding((request.size() - builder.size() - tail - 4) & ~size_t{3});
  if (request.fingerprinted()) builder.fingerprint();
  answer.data = builder.take();
  return answer;
}

}  // namespace culvert::stun
