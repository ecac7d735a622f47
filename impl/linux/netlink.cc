#include "impl/linux/netlink.h"

#include <poll.h>

#include <cerrno>

namespace culvert::linux_host {

using net::Error;
using net::Result;
using net::Status;

void NetlinkRequest::begin(uint16_t type, uint16_t flags) {
  start_ = bytes_.size();
  ++messages_;
  nlmsghdr header{};
  header.nlmsg_type = type;
  header.nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | flags);
  raw(&header, sizeof header);
}

void NetlinkRequest::close_message() {
  const auto length = static_cast<uint32_t>(bytes_.size() - start_);
  std::memcpy(bytes_.data() + start_, &length, sizeof length);
}

NetlinkRequest& NetlinkRequest::raw(const void* data, size_t size) {
  const auto* from = static_cast<const uint8_t*>(data);
  bytes_.insert(bytes_.end(), from, from + size);
  bytes_.resize(NLMSG_ALIGN(bytes_.size()));
  close_message();
  return *this;
}

NetlinkRequest& NetlinkRequest::put(uint16_t type, const void* data, size_t size) {
  const nlattr attribute{static_cast<uint16_t>(NLA_HDRLEN + size), type};
  raw(&attribute, sizeof attribute);
  return raw(data, size);
}

NetlinkRequest& NetlinkRequest::put(uint16_t type, std::string_view text) {
  const std::string zero_ended(text);
  return put(type, zero_ended.c_str(), zero_ended.size() + 1);
}

NetlinkRequest& NetlinkRequest::nest(uint16_t type,
                                     const std::function<void(NetlinkRequest&)>& inside) {
  const size_t at = bytes_.size();
  const nlattr attribute{NLA_HDRLEN, static_cast<uint16_t>(type | NLA_F_NESTED)};
  raw(&attribute, sizeof attribute);
  inside(*this);
  const auto length = static_cast<uint16_t>(bytes_.size() - at);
  std::memcpy(bytes_.data() + at, &length, sizeof length);
  return *this;
}

void NetlinkRequest::set_sequence(uint32_t first) {
  for (size_t at = 0; at < bytes_.size();) {
    auto* header = reinterpret_cast<nlmsghdr*>(bytes_.data() + at);
    header->nlmsg_seq = first++;
    at += NLMSG_ALIGN(header->nlmsg_len);
  }
}

Result<Netlink> Netlink::open(int netns, int protocol, uint32_t groups) {
  auto socket = open_socket(netns, AF_NETLINK, SOCK_RAW, protocol);
  if (!socket) return socket.status();
  set_option(socket->get(), SOL_NETLINK, NETLINK_EXT_ACK, 1);
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = groups;
  if (bind(socket->get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
    return status_of(errno, "binding a netlink socket");
  return Netlink(std::move(*socket));
}

Status Netlink::request(NetlinkRequest& request, const std::string& what) {
  const uint32_t first = sequence_;
  sequence_ += static_cast<uint32_t>(request.messages());
  request.set_sequence(first);
  if (send(fd_.get(), request.bytes().data(), request.bytes().size(), 0) < 0)
    return status_of(errno, what);
  // Requests that want an acknowledgement; for a batch the messages between begin and end.
  size_t expected = 0;
  for (size_t at = 0; at < request.bytes().size();) {
    const auto* header = reinterpret_cast<const nlmsghdr*>(request.bytes().data() + at);
    if (header->nlmsg_flags & NLM_F_ACK) ++expected;
    at += NLMSG_ALIGN(header->nlmsg_len);
  }
  Status status;
  while (expected > 0) {
    alignas(nlmsghdr) char buffer[16384];
    const ssize_t size = recv(fd_.get(), buffer, sizeof buffer, 0);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) {
      // The kernel works on a request inside send(2); a pause here means that none is coming.
      pollfd poll{fd_.get(), POLLIN, 0};
      if (errno == EAGAIN && ::poll(&poll, 1, 1000) == 1) continue;
      return status.ok() ? status_of(errno, what) : status;
    }
    auto left = static_cast<int>(size);
    for (auto* h = reinterpret_cast<nlmsghdr*>(buffer); NLMSG_OK(h, left);
         h = NLMSG_NEXT(h, left)) {
      if (h->nlmsg_type != NLMSG_ERROR || h->nlmsg_seq < first || h->nlmsg_seq >= sequence_)
        continue;
      const auto* answer = static_cast<const nlmsgerr*>(NLMSG_DATA(h));
      if (expected > 0) --expected;
      if (answer->error != 0 && status.ok()) {
        status = status_of(-answer->error, what);
        expected = 0;  // a batch is undone as a whole, and its other answers do not matter
      }
    }
  }
  return status;
}

}  // namespace culvert::linux_host
