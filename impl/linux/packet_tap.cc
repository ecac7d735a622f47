#include "impl/linux/packet_tap.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink_queue.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <fstream>
#include <sstream>

#include "impl/linux/flow_table.h"
#include "model/packet/glance.h"
#include "model/packet/packet.h"
#include "model/packet/selector.h"

namespace culvert::linux_host {

using net::Error;
using net::Result;
using net::Selector;
using net::Status;

namespace {

constexpr uint32_t kBypassMark = 0x43756c76;  // "Culv": ours, unlikely to meet anybody's bits
constexpr uint16_t kFirstQueue = 0x4375;      // "Cu": away from the low numbers that people choose
constexpr uint16_t kQueues = 256;             // tried, one after the other
constexpr uint32_t kQueueLength =
    8192;  // ours: packets waiting for us; the kernel's default is 1024
constexpr int kReceiveBuffer = 8 << 20;  // ours: bytes of packets waiting for us
constexpr int kPacketsPerTurn = 64;      // ours: then the sockets have their turn

constexpr uint16_t type_of(int message) {
  return static_cast<uint16_t>(NFNL_SUBSYS_QUEUE << 8 | message);
}

// Claims a queue number that nobody in this namespace has.
Result<uint16_t> bind_queue(Netlink& netlink) {
  Status status;
  for (uint16_t i = 0; i < kQueues; ++i) {
    const auto number = static_cast<uint16_t>(kFirstQueue + i);
    const nfgenmsg header{AF_UNSPEC, NFNETLINK_V0, htons(number)};
    NetlinkRequest bind;
    const nfqnl_msg_config_cmd command{NFQNL_CFG_CMD_BIND, 0, 0};
    bind.message(type_of(NFQNL_MSG_CONFIG), NLM_F_ACK, header);
    bind.put(NFQA_CFG_CMD, &command, sizeof command);
    status = netlink.request(bind, "binding packet queue " + std::to_string(number));
    if (!status.ok()) {
      // Somebody else's number is refused with EBUSY, and with EPERM too: a few tries tell.
      if (status.error == Error::in_use || (status.error == Error::not_permitted && i < 16))
        continue;
      break;
    }
    NetlinkRequest parameters;
    nfqnl_msg_config_params copy{};
    copy.copy_range = htonl(0xffff);
    copy.copy_mode = NFQNL_COPY_PACKET;
    parameters.message(type_of(NFQNL_MSG_CONFIG), NLM_F_ACK, header);
    parameters.put(NFQA_CFG_PARAMS, &copy, sizeof copy);
    parameters.put_be32(NFQA_CFG_QUEUE_MAXLEN, kQueueLength);
    status = netlink.request(parameters, "configuring packet queue " + std::to_string(number));
    if (!status.ok()) break;
    return number;
  }
  if (status.error == Error::invalid)
    return {Error::unsupported, "this kernel has no packet queues (NFQUEUE)"};
  return status;
}

Result<Fd> raw_socket(int netns, int family) {
  auto socket = open_socket(netns, family, SOCK_RAW, IPPROTO_RAW);
  if (!socket) return socket.status();
  const int fd = socket->get();
  if (family == AF_INET6) set_option(fd, IPPROTO_IPV6, IPV6_HDRINCL, 1);
  if (!set_option(fd, SOL_SOCKET, SO_MARK, static_cast<int>(kBypassMark)))
    return status_of(errno, "marking a raw socket");
  return socket;
}

}  // namespace

class HookImpl : public net::PacketHook {
 public:
  HookImpl(PacketTap& tap, std::shared_ptr<PacketTap::Hook> hook)
      : tap_(tap), hook_(std::move(hook)) {}
  ~HookImpl() override {
    hook_->removed = true;
    tap_.hooks_.remove(hook_);
    tap_.update_rules();
  }
  Status inject(net::Bytes packet) override {
    const Status status = tap_.inject(packet);
    if (status.ok()) ++hook_->stats.injected;
    return status;
  }
  net::HookStats stats() const override {
    net::HookStats out = hook_->stats;
    out.overflowed = tap_.overflowed();
    return out;
  }

 private:
  PacketTap& tap_;
  std::shared_ptr<PacketTap::Hook> hook_;
};

Result<std::unique_ptr<PacketTap>> PacketTap::open(LinuxHost& host) {
  auto raw4 = raw_socket(host.netns(), AF_INET);
  if (!raw4) return raw4.status();
  auto raw6 = raw_socket(host.netns(), AF_INET6);
  if (!raw6) return raw6.status();
  auto netlink = Netlink::open(host.netns(), NETLINK_NETFILTER);
  if (!netlink) return netlink.status();
  auto number = bind_queue(*netlink);
  if (!number) return number.status();
  auto rules = QueueRules::open(host.netns(), *number, kBypassMark);
  if (!rules) return rules.status();
  const int fd = netlink->fd();
  if (!set_option(fd, SOL_SOCKET, SO_RCVBUFFORCE, kReceiveBuffer))
    set_option(fd, SOL_SOCKET, SO_RCVBUF, kReceiveBuffer);
  return std::make_unique<PacketTap>(host, netlink->release(), *number, std::move(*rules),
                                     std::move(*raw4), std::move(*raw6));
}

PacketTap::PacketTap(LinuxHost& host, Fd queue, uint16_t number, QueueRules rules, Fd raw4, Fd raw6)
    : host_(host),
      number_(number),
      rules_(std::move(rules)),
      raw4_(std::move(raw4)),
      raw6_(std::move(raw6)),
      buffer_(70000) {
  watch(&host.loop(), std::move(queue));
}

Result<std::unique_ptr<net::PacketHook>> PacketTap::add(const Selector& selector,
                                                        net::HookFunction function) {
  auto hook = std::make_shared<Hook>();
  hook->selector = selector;
  hook->function = std::move(function);
  hooks_.push_back(hook);
  const Status status = update_rules();
  if (status.ok()) return std::unique_ptr<net::PacketHook>(std::make_unique<HookImpl>(*this, hook));
  hooks_.remove(hook);
  return status;
}

Status PacketTap::add(FlowTableImpl* table) {
  tables_.push_back(table);
  const Status status = update_rules();
  if (!status.ok()) tables_.pop_back();
  return status;
}

void PacketTap::remove(FlowTableImpl* table) {
  tables_.erase(std::remove(tables_.begin(), tables_.end(), table), tables_.end());
  update_rules();
}

Status PacketTap::update_rules() {
  std::vector<Selector> selectors;
  if (!tables_.empty()) {
    selectors.resize(2);
    selectors[0].protocol = CV_TCP;
    selectors[1].protocol = CV_UDP;
  }
  for (const auto& hook : hooks_) selectors.push_back(hook->selector);
  return rules_.select(selectors);
}

void PacketTap::turn() {
  for (int i = 0; i < kPacketsPerTurn; ++i) {
    const ssize_t size = recv(fd(), buffer_.data(), buffer_.size(), 0);
    if (size < 0) {
      if (errno == ENOBUFS) ++lost_;
      if (errno == ENOBUFS || errno == EINTR) continue;
      return;
    }
    auto left = static_cast<int>(size);
    for (auto* h = reinterpret_cast<nlmsghdr*>(buffer_.data()); NLMSG_OK(h, left);
         h = NLMSG_NEXT(h, left)) {
      if (h->nlmsg_type != type_of(NFQNL_MSG_PACKET)) continue;
      auto* attribute = reinterpret_cast<nlattr*>(static_cast<char*>(NLMSG_DATA(h)) +
                                                  NLMSG_ALIGN(sizeof(nfgenmsg)));
      const char* end = reinterpret_cast<char*>(h) + h->nlmsg_len;
      uint32_t id = 0;
      net::MutableBytes payload;
      while (reinterpret_cast<char*>(attribute) + NLA_HDRLEN <= end &&
             attribute->nla_len >= NLA_HDRLEN) {
        auto* data = reinterpret_cast<uint8_t*>(attribute) + NLA_HDRLEN;
        switch (attribute->nla_type & NLA_TYPE_MASK) {
          case NFQA_PACKET_HDR:
            id = ntohl(reinterpret_cast<nfqnl_msg_packet_hdr*>(data)->packet_id);
            break;
          case NFQA_PAYLOAD:
            payload = {data, attribute->nla_len - size_t{NLA_HDRLEN}};
            break;
          default:
            break;
        }
        attribute = reinterpret_cast<nlattr*>(reinterpret_cast<char*>(attribute) +
                                              NLA_ALIGN(attribute->nla_len));
      }
      packet(id, payload);
    }
  }
  schedule();
}

void PacketTap::packet(uint32_t id, net::MutableBytes data) {
  for (FlowTableImpl* table : tables_)
    if (table->forward(data)) return verdict(id, false, {});
  before_.assign(data.begin(), data.end());
  bool accept = true;
  const auto hooks = hooks_;  // a function may remove hooks and add some
  for (const auto& hook : hooks) {
    if (hook->removed || !packet::matches(hook->selector, data)) continue;
    ++hook->stats.matched;
    accept = hook->function(data) == net::Verdict::pass;
    ++(accept ? hook->stats.passed : hook->stats.consumed);
    if (!accept) break;
  }
  const bool changed = accept && !std::equal(data.begin(), data.end(), before_.begin());
  verdict(id, accept, changed ? data : net::MutableBytes{});
}

void PacketTap::verdict(uint32_t id, bool accept, net::Bytes changed) {
  NetlinkRequest request;
  const nfqnl_msg_verdict_hdr header{htonl(accept ? NF_ACCEPT : NF_DROP), htonl(id)};
  request.message(type_of(NFQNL_MSG_VERDICT), 0, nfgenmsg{AF_UNSPEC, NFNETLINK_V0, htons(number_)});
  request.put(NFQA_VERDICT_HDR, &header, sizeof header);
  if (!changed.empty()) request.put(NFQA_PAYLOAD, changed);
  send(fd(), request.bytes().data(), request.bytes().size(), 0);
}

Status PacketTap::inject(net::Bytes data) {
  cv_packet parsed;
  if (data.size() > 65535 || cv_parse(data.data(), data.data() + data.size(), &parsed) != CV_OK ||
      parsed.length != data.size())
    return {Error::invalid, "what is to be injected is no whole IP packet"};
  const net::Endpoint to{
      packet::address_at(data.data() + (parsed.version == 4 ? 16 : 24), parsed.version), 0};
  const SockAddr address(to);
  const int fd = (parsed.version == 4 ? raw4_ : raw6_).get();
  if (sendto(fd, data.data(), data.size(), MSG_NOSIGNAL, address.get(), address.size) >= 0)
    return {};
  return status_of(errno, "injecting a packet to " + to.ip.to_string());
}

uint64_t PacketTap::overflowed() const {
  uint64_t dropped = lost_;
  in_namespace(host_.netns(), [&] {
    // Number, port, waiting, mode, range, dropped for want of room in the queue, in the socket.
    std::ifstream file("/proc/thread-self/net/netfilter/nfnetlink_queue");
    for (std::string line; std::getline(file, line);) {
      std::istringstream fields(line);
      uint64_t number, port, waiting, mode, range, queue_dropped, socket_dropped;
      if (fields >> number >> port >> waiting >> mode >> range >> queue_dropped >> socket_dropped)
        if (number == number_) dropped = queue_dropped + socket_dropped;
    }
  });
  return dropped;
}

}  // namespace culvert::linux_host
