#include "model/net/datagram.h"

namespace culvert::net {

Error check(const DatagramOut& out, IpAddress::Family family) {
  const bool from_fits = out.from.is_none() || out.from.family() == family;
  const bool sense = out.to.ip.family() == family && !out.to.ip.is_any() && out.to.port != 0 &&
                     out.ttl != 0 && from_fits;
  return sense ? Error::none : Error::invalid;
}

Status DatagramSocket::send_to(const Endpoint& to, Bytes data, std::optional<uint8_t> ttl) {
  DatagramOut out;
  out.data = data;
  out.to = to;
  out.ttl = ttl;
  const IoResult result = send({&out, 1});
  if (result.ok()) return {};
  return {result.error, "sending " + std::to_string(data.size()) + " bytes to " + to.to_string()};
}

}  // namespace culvert::net
