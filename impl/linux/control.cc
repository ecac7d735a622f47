#include "impl/linux/control.h"

#include <netinet/udp.h>

#include <cstring>

namespace culvert::linux_host {
namespace {

// Appends one control message.
template <class T>
void append(msghdr* message, int level, int type, const T& value) {
  auto* c = reinterpret_cast<cmsghdr*>(static_cast<char*>(message->msg_control) +
                                       message->msg_controllen);
  c->cmsg_level = level;
  c->cmsg_type = type;
  c->cmsg_len = CMSG_LEN(sizeof value);
  std::memcpy(CMSG_DATA(c), &value, sizeof value);
  message->msg_controllen += CMSG_SPACE(sizeof value);
}

template <class T>
T value_of(const cmsghdr* c) {
  T value{};
  const size_t size = c->cmsg_len - CMSG_LEN(0);
  std::memcpy(&value, CMSG_DATA(c), size < sizeof value ? size : sizeof value);
  return value;
}

}  // namespace

void OutgoingMessage::fill(msghdr* message, const net::DatagramOut& out, uint16_t segment_size) {
  to_ = SockAddr(out.to);
  vector_ = {const_cast<uint8_t*>(out.data.data()), out.data.size()};
  *message = {};
  message->msg_name = to_.get();
  message->msg_namelen = to_.size;
  message->msg_iov = &vector_;
  message->msg_iovlen = 1;
  message->msg_control = control_;
  const bool v4 = out.to.ip.is_v4();
  const int level = v4 ? IPPROTO_IP : IPPROTO_IPV6;
  if (out.ttl) append(message, level, v4 ? IP_TTL : IPV6_HOPLIMIT, static_cast<int>(*out.ttl));
  if (out.traffic_class)
    append(message, level, v4 ? IP_TOS : IPV6_TCLASS, static_cast<int>(out.traffic_class));
  if (out.from.is_v4() && v4) {
    in_pktinfo info{};
    std::memcpy(&info.ipi_spec_dst, out.from.bytes().data(), 4);
    append(message, level, IP_PKTINFO, info);
  } else if (out.from.is_v6() && !v4) {
    in6_pktinfo info{};
    std::memcpy(&info.ipi6_addr, out.from.bytes().data(), 16);
    append(message, level, IPV6_PKTINFO, info);
  }
  if (segment_size > 0) append(message, IPPROTO_UDP, UDP_SEGMENT, segment_size);
  if (message->msg_controllen == 0) message->msg_control = nullptr;
}

void IncomingMessage::prepare(msghdr* message, net::MutableBytes buffer) {
  vector_ = {buffer.data(), buffer.size()};
  *message = {};
  message->msg_name = &from_;
  message->msg_namelen = sizeof from_;
  message->msg_iov = &vector_;
  message->msg_iovlen = 1;
  message->msg_control = control_;
  message->msg_controllen = sizeof control_;
}

void IncomingMessage::read(const msghdr& message, size_t size, const net::Endpoint& local,
                           net::DatagramIn* in) {
  SockAddr from;
  std::memcpy(from.get(), &from_, sizeof from_);
  in->size = size;
  in->truncated = message.msg_flags & MSG_TRUNC;
  in->from = from.endpoint();
  in->to = local;
  in->ttl = in->traffic_class = 0;
  in->segment_size = 0;
  msghdr copy = message;
  for (cmsghdr* c = CMSG_FIRSTHDR(&copy); c; c = CMSG_NXTHDR(&copy, c)) {
    if (c->cmsg_level == IPPROTO_IP) {
      switch (c->cmsg_type) {
        case IP_TTL:
          in->ttl = static_cast<uint8_t>(value_of<int>(c));
          break;
        case IP_TOS:
          in->traffic_class = value_of<uint8_t>(c);
          break;
        case IP_PKTINFO:
          in->to.ip = net::IpAddress::v4(ntohl(value_of<in_pktinfo>(c).ipi_addr.s_addr));
          break;
        default:
          break;
      }
    } else if (c->cmsg_level == IPPROTO_IPV6) {
      switch (c->cmsg_type) {
        case IPV6_HOPLIMIT:
          in->ttl = static_cast<uint8_t>(value_of<int>(c));
          break;
        case IPV6_TCLASS:
          in->traffic_class = static_cast<uint8_t>(value_of<int>(c));
          break;
        case IPV6_PKTINFO: {
          const auto info = value_of<in6_pktinfo>(c);
          std::array<uint8_t, 16> bytes;
          std::memcpy(bytes.data(), &info.ipi6_addr, 16);
          in->to.ip = net::IpAddress::v6(bytes);
          break;
        }
        default:
          break;
      }
    } else if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
      in->segment_size = static_cast<uint16_t>(value_of<int>(c));
    }
  }
}

}  // namespace culvert::linux_host
