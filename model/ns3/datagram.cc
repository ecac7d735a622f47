#include "model/ns3/datagram.h"

#include <algorithm>
#include <cstring>

#include "model/ns3/convert.h"

namespace culvert::ns3_world {
namespace {

constexpr size_t kOverhead = 256;   // ours: about what Linux charges for a small datagram's buffer
constexpr size_t kMaxIcmp = 64;     // ours: errors kept for a socket until its turn
constexpr size_t kUdpHeader = 8;    // RFC 768
constexpr size_t kMaxIpv4 = 65507;  // 65535 less 20 and 8
constexpr size_t kMaxIpv6 = 65527;  // RFC 8200 section 3: the payload length counts the UDP header

void put16(uint8_t* at, size_t value) {
  at[0] = static_cast<uint8_t>(value >> 8);
  at[1] = static_cast<uint8_t>(value);
}

}  // namespace

Ns3Datagram::Ns3Datagram(Loop& loop, IpOutput& output, UdpLayer& layer, Ports& ports,
                         const net::Endpoint& local, const net::DatagramOptions& options)
    : loop_(loop),
      output_(output),
      layer_(layer),
      ports_(ports),
      local_(local),
      share_(options.share_port),
      dont_fragment_(options.dont_fragment),
      receive_limit_(options.receive_buffer),
      readable_turn_(loop, [this] { tell_readable(); }),
      icmp_turn_(loop, [this] { tell_icmp(); }) {
  ports_.take(local_, share_);
  layer_.add(*this);
}

Ns3Datagram::~Ns3Datagram() {
  for (const auto& [group, index] : groups_) leave_at(group, index);
  layer_.remove(*this);
  ports_.release(local_, share_);
}

std::optional<Route> Ns3Datagram::route_to(const net::IpAddress& to) const {
  if (!to.is_multicast()) {
    const bool broadcast = to.is_v4() && to.to_v4() == 0xffffffff;
    if (!broadcast) return output_.route(to);
    return output_.route_on(output_.interface_of(local_.ip, to.family()), to);
  }
  const int32_t chosen = multicast_interface_ >= 0 ? multicast_interface_
                                                   : output_.interface_of(local_.ip, to.family());
  return output_.route_on(chosen, to);
}

net::Error Ns3Datagram::send_one(const net::DatagramOut& out, net::Bytes data) {
  const net::IpAddress& to = out.to.ip;
  if (const net::Error sense = net::check(out, local_.ip.family()); sense != net::Error::none)
    return sense;
  if (data.size() > (to.is_v4() ? kMaxIpv4 : kMaxIpv6)) return net::Error::too_big;
  if (!out.from.is_none() && !out.from.is_any() && !output_.is_local(out.from))
    return net::Error::not_available;
  const std::optional<Route> route = route_to(to);
  if (!route) return net::Error::unreachable;
  const size_t headers = (to.is_v4() ? 20 : 40) + kUdpHeader;
  if (dont_fragment_ && data.size() + headers > output_.path_mtu(to, route->mtu, loop_.now()))
    return net::Error::too_big;
  net::IpAddress from = local_.ip;
  if (from.is_any()) from = out.from.is_none() || out.from.is_any() ? route->source : out.from;

  net::Buffer bytes(kUdpHeader + data.size());
  put16(&bytes[0], local_.port);
  put16(&bytes[2], out.to.port);
  put16(&bytes[4], to.is_v6() && bytes.size() > 0xffff ? 0 : bytes.size());
  if (!data.empty()) std::memcpy(&bytes[kUdpHeader], data.data(), data.size());
  put16(&bytes[6], udp_checksum(from, to, bytes));

  IpOutput::Options options;
  options.protocol = UdpLayer::kProtocol;
  options.ttl = out.ttl.value_or(to.is_multicast() ? multicast_ttl_ : kDefaultTtl);
  options.traffic_class = out.traffic_class;
  options.dont_fragment = dont_fragment_;
  if (to.is_multicast() && multicast_loopback_) {
    ReceivedDatagram copy;
    copy.data.assign(data.begin(), data.end());
    copy.from = {from, local_.port};
    copy.to = out.to;
    copy.ttl = options.ttl;
    copy.traffic_class = out.traffic_class;
    const int32_t index = output_.interface_of(route->source, to.family());
    layer_.loop_back(to, index, copy);
  }
  if (!to.is_multicast() || options.ttl > 0)
    output_.send(ns3::Create<ns3::Packet>(bytes.data(), static_cast<uint32_t>(bytes.size())), from,
                 to, *route, options);
  return net::Error::none;
}

net::IoResult Ns3Datagram::send(boost::span<const net::DatagramOut> batch) {
  net::IoResult result;
  for (const net::DatagramOut& out : batch) {
    const size_t step = out.segment_size > 0 ? out.segment_size : out.data.size();
    size_t offset = 0;
    do {
      const size_t size = std::min(step, out.data.size() - offset);
      result.error = send_one(out, {out.data.data() + offset, size});
      offset += size;
    } while (result.ok() && offset < out.data.size());
    if (!result.ok()) return result;
    ++result.count;
  }
  return result;
}

net::IoResult Ns3Datagram::receive(boost::span<net::DatagramIn> batch) {
  net::IoResult result;
  for (net::DatagramIn& in : batch) {
    if (received_.empty()) break;
    const ReceivedDatagram& first = received_.front();
    in.size = std::min(first.data.size(), in.buffer.size());
    if (in.size > 0) std::memcpy(in.buffer.data(), first.data.data(), in.size);
    in.truncated = in.size < first.data.size();
    in.from = first.from;
    in.to = first.to;
    in.ttl = first.ttl;
    in.traffic_class = first.traffic_class;
    in.segment_size = 0;
    receive_used_ -= first.data.size() + kOverhead;
    received_.pop_front();
    ++result.count;
  }
  if (result.count < batch.size()) result.error = net::Error::would_block;
  if (!received_.empty() && on_readable_) readable_turn_.request();
  return result;
}

void Ns3Datagram::deliver(ReceivedDatagram datagram) {
  const size_t charge = datagram.data.size() + kOverhead;
  // The first always fits, or a small limit would make the socket deaf.
  if (!received_.empty() && receive_used_ + charge > receive_limit_) return;
  receive_used_ += charge;
  received_.push_back(std::move(datagram));
  if (on_readable_) readable_turn_.request();
}

void Ns3Datagram::deliver_icmp(const net::IcmpEvent& event) {
  if (!on_icmp_) return;
  if (icmp_.size() >= kMaxIcmp) icmp_.pop_front();
  icmp_.push_back(event);
  if (on_icmp_) icmp_turn_.request();
}

void Ns3Datagram::on_readable(std::function<void()> callback) {
  on_readable_ = std::move(callback);
  if (on_readable_ && !received_.empty()) readable_turn_.request();
}

void Ns3Datagram::on_icmp(std::function<void(const net::IcmpEvent&)> callback) {
  on_icmp_ = std::move(callback);
  if (!on_icmp_) icmp_.clear();
}

void Ns3Datagram::tell_readable() {
  if (received_.empty() || !on_readable_) return;
  const auto callback = on_readable_;  // it may set another, or destroy the socket
  callback();
}

void Ns3Datagram::tell_icmp() {
  if (icmp_.empty() || !on_icmp_) return;
  const net::IcmpEvent event = icmp_.front();
  icmp_.pop_front();
  if (!icmp_.empty()) icmp_turn_.request();  // before the callback, which may destroy the socket
  const auto callback = on_icmp_;
  callback(event);
}

net::Status Ns3Datagram::set_dont_fragment(bool on) {
  dont_fragment_ = on;
  return {};
}

net::Result<uint32_t> Ns3Datagram::path_mtu(const net::Endpoint& to) const {
  const std::optional<Route> route = route_to(to.ip);
  if (!route) return {net::Error::unreachable, "no route to " + to.ip.to_string()};
  return output_.path_mtu(to.ip, route->mtu, loop_.now());
}

net::Result<int32_t> Ns3Datagram::group_interface(const net::IpAddress& group,
                                                  const net::IpAddress& interface) const {
  if (!group.is_multicast() || group.family() != local_.ip.family())
    return {net::Error::invalid,
            group.to_string() + " is no multicast group of this socket's family"};
  const int32_t index = output_.interface_of(interface, group.family());
  if (index < 0)
    return {net::Error::not_available, interface.to_string() + " is no address of this host"};
  return index;
}

net::Status Ns3Datagram::join(const net::IpAddress& group, const net::IpAddress& interface) {
  const auto index = group_interface(group, interface);
  if (!index) return index.status();
  if (!groups_.insert({group, *index}).second)
    return {net::Error::in_use, "already a member of " + group.to_string()};
  if (group.is_v6())
    output_.v6()->AddMulticastAddress(to_ipv6(group), static_cast<uint32_t>(*index));
  return {};
}

net::Status Ns3Datagram::leave(const net::IpAddress& group, const net::IpAddress& interface) {
  const auto index = group_interface(group, interface);
  if (!index) return index.status();
  if (groups_.erase({group, *index}) == 0)
    return {net::Error::not_available, "not a member of " + group.to_string()};
  leave_at(group, *index);
  return {};
}

void Ns3Datagram::leave_at(const net::IpAddress& group, int32_t index) {
  if (group.is_v6())
    output_.v6()->RemoveMulticastAddress(to_ipv6(group), static_cast<uint32_t>(index));
}

net::Status Ns3Datagram::set_multicast(const net::IpAddress& interface, uint8_t ttl,
                                       bool loopback) {
  int32_t index = -1;
  if (!interface.is_none() && !interface.is_any()) {
    index = output_.interface_of(interface, local_.ip.family());
    if (interface.family() != local_.ip.family() || index < 0)
      return {net::Error::not_available, interface.to_string() + " is no address of this host"};
  }
  multicast_interface_ = index;
  multicast_ttl_ = ttl;
  multicast_loopback_ = loopback;
  return {};
}

bool Ns3Datagram::in_group(const net::IpAddress& group, int32_t index) const {
  return groups_.count({group, index}) > 0;
}

}  // namespace culvert::ns3_world
