// Netlink: requests built attribute by attribute, sent, and acknowledged. What rtnetlink, nftables
// and NFQUEUE stand on here; no library in between.
#pragma once

#include <linux/netlink.h>

#include <cstring>
#include <functional>
#include <string_view>

#include "impl/linux/system.h"
#include "model/net/bytes.h"

namespace culvert::linux_host {

// One message or several in a row, each with its header, family header and attributes.
class NetlinkRequest {
 public:
  // Starts a message. `family_header` is what follows nlmsghdr: rtmsg, ifinfomsg, nfgenmsg, …
  template <class Header>
  NetlinkRequest& message(uint16_t type, uint16_t flags, const Header& family_header) {
    begin(type, flags);
    return raw(&family_header, sizeof family_header);
  }
  NetlinkRequest& put(uint16_t type, const void* data, size_t size);
  NetlinkRequest& put(uint16_t type, std::string_view text);  // with a terminating zero
  NetlinkRequest& put(uint16_t type, net::Bytes bytes) {
    return put(type, bytes.data(), bytes.size());
  }
  NetlinkRequest& put(uint16_t type, const net::IpAddress& ip) {
    return put(type, ip.bytes().data(), ip.size());
  }
  NetlinkRequest& put32(uint16_t type, uint32_t value) { return put(type, &value, sizeof value); }
  NetlinkRequest& put16(uint16_t type, uint16_t value) { return put(type, &value, sizeof value); }
  NetlinkRequest& put8(uint16_t type, uint8_t value) { return put(type, &value, sizeof value); }
  // Big-endian, as nftables and NFQUEUE want their numbers.
  NetlinkRequest& put_be32(uint16_t type, uint32_t value) { return put32(type, htonl(value)); }
  NetlinkRequest& put_be16(uint16_t type, uint16_t value) { return put16(type, htons(value)); }
  // Attributes inside an attribute.
  NetlinkRequest& nest(uint16_t type, const std::function<void(NetlinkRequest&)>& inside);
  NetlinkRequest& raw(const void* data, size_t size);

  const net::Buffer& bytes() const { return bytes_; }
  size_t messages() const { return messages_; }
  void set_sequence(uint32_t first);

 private:
  void begin(uint16_t type, uint16_t flags);
  void close_message();
  net::Buffer bytes_;
  size_t start_ = 0, messages_ = 0;
};

class Netlink {
 public:
  // `protocol`: NETLINK_ROUTE or NETLINK_NETFILTER. The socket belongs to `netns`, and is told of
  // what concerns `groups` (RTMGRP_…).
  static net::Result<Netlink> open(int netns, int protocol, uint32_t groups = 0);
  // Sends and waits for the kernel's word on it; the kernel answers at once. `what` names it in
  // the error. A batch for nftables is answered once for each message that asks for it.
  net::Status request(NetlinkRequest& request, const std::string& what);
  int fd() const { return fd_.get(); }
  Fd release() { return std::move(fd_); }

 private:
  explicit Netlink(Fd fd) : fd_(std::move(fd)) {}
  Fd fd_;
  uint32_t sequence_ = 1;
};

}  // namespace culvert::linux_host
