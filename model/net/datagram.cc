#include "model/net/datagram.h"

namespace culvert::net {

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
