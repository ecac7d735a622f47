#include "model/ns3/tun.h"

#include <algorithm>
#include <cstring>

#include "model/ns3/convert.h"
#include "model/ns3/packet_tap.h"
#include "model/ns3/packet_tap6.h"
#include "ns3/ipv4-l3-protocol.h"
#include "ns3/ipv4-static-routing.h"
#include "ns3/ipv6-static-routing-helper.h"
#include "ns3/mac48-address.h"

namespace culvert::ns3_world {
namespace {

constexpr size_t kQueue = 500;                      // packets; Linux's tun_net default txqueuelen
constexpr uint32_t kMinMtu4 = 68, kMinMtu6 = 1280;  // RFC 791, RFC 8200 section 5

uint16_t get16(const uint8_t* at) { return static_cast<uint16_t>(at[0] << 8 | at[1]); }

ns3::Ipv4Mask mask_of(uint8_t length) {
  return ns3::Ipv4Mask(length == 0 ? 0u : ~uint32_t{0} << (32 - length));
}

}  // namespace

net::Status TunPool::check(const net::TunOptions& options) {
  if (options.name.find_first_of("/ %:") != std::string::npos)
    return {net::Error::invalid, "a TUN device's name has no '/', ' ', '%' and ':'"};
  bool v6 = false;
  for (const auto* list : {&options.addresses, &options.routes})
    for (const net::Prefix& prefix : *list) {
      if (prefix.ip.is_none()) return {net::Error::invalid, "an address or route is missing"};
      v6 = v6 || prefix.ip.is_v6();
    }
  const uint32_t least = v6 ? kMinMtu6 : kMinMtu4;
  if (options.mtu < least || options.mtu > 65535)
    return {net::Error::invalid, "an MTU of " + std::to_string(options.mtu) + " is not between " +
                                     std::to_string(least) + " and 65535"};
  return {};
}

std::shared_ptr<TunPool::Port> TunPool::open(const net::TunOptions& options) {
  std::shared_ptr<Port> port;
  for (const auto& old : ports_)
    if (!old->used) port = old;
  if (!port) {
    port = std::make_shared<Port>();
    port->device = ns3::CreateObject<ns3::VirtualNetDevice>();
    port->device->SetAddress(ns3::Mac48Address::Allocate());
    port->device->SetNeedsArp(false);
    port->device->SetIsPointToPoint(true);
    output_.node()->AddDevice(port->device);
    if (output_.v4()) port->v4 = static_cast<int32_t>(output_.v4()->AddInterface(port->device));
    if (output_.v6()) port->v6 = static_cast<int32_t>(output_.v6()->AddInterface(port->device));
    if (const auto tap = PacketTap6::existing(output_.node())) tap->watch(port->device);
    ports_.push_back(port);
  }
  port->used = true;
  port->name = options.name.empty() ? "tun" + std::to_string(ports_.size() - 1) : options.name;
  port->device->SetMtu(static_cast<uint16_t>(options.mtu));
  for (const net::Prefix& address : options.addresses) {
    if (address.ip.is_v4() && port->v4 >= 0)
      output_.v4()->AddAddress(
          static_cast<uint32_t>(port->v4),
          ns3::Ipv4InterfaceAddress(to_ipv4(address.ip), mask_of(address.length)));
    if (address.ip.is_v6() && port->v6 >= 0)
      output_.v6()->AddAddress(
          static_cast<uint32_t>(port->v6),
          ns3::Ipv6InterfaceAddress(to_ipv6(address.ip), ns3::Ipv6Prefix(address.length)));
  }
  if (port->v4 >= 0) output_.v4()->SetUp(static_cast<uint32_t>(port->v4));
  if (port->v6 >= 0) output_.v6()->SetUp(static_cast<uint32_t>(port->v6));
  for (const net::Prefix& route : options.routes) {
    if (route.ip.is_v4() && port->v4 >= 0) {
      const auto routing = PacketTapRouting::find<ns3::Ipv4StaticRouting>(output_.v4());
      const ns3::Ipv4Mask mask = mask_of(route.length);
      if (routing)
        routing->AddNetworkRouteTo(to_ipv4(route.ip).CombineMask(mask), mask,
                                   static_cast<uint32_t>(port->v4));
    }
    if (route.ip.is_v6() && port->v6 >= 0) {
      const auto routing = ns3::Ipv6StaticRoutingHelper().GetStaticRouting(output_.v6());
      const ns3::Ipv6Prefix prefix(route.length);
      if (routing)
        routing->AddNetworkRouteTo(to_ipv6(route.ip).CombinePrefix(prefix), prefix,
                                   static_cast<uint32_t>(port->v6));
    }
  }
  return port;
}

void TunPool::close(Port& port) {
  port.used = false;
  port.device->SetSendCallback({});
  if (port.v4 >= 0) {
    const auto i = static_cast<uint32_t>(port.v4);
    output_.v4()->SetDown(i);  // takes the routes off, too
    while (output_.v4()->GetNAddresses(i) > 0) output_.v4()->RemoveAddress(i, 0u);
  }
  if (port.v6 >= 0) {
    const auto i = static_cast<uint32_t>(port.v6);
    output_.v6()->SetDown(i);
    while (output_.v6()->GetNAddresses(i) > 0) output_.v6()->RemoveAddress(i, 0u);
  }
}

std::string TunPool::name_of(const ns3::NetDevice& device) const {
  for (const auto& port : ports_)
    if (ns3::PeekPointer(port->device) == &device) return port->name;
  return {};
}

Ns3Tun::Ns3Tun(Loop& loop, TunPool& pool, std::shared_ptr<TunPool::Port> port)
    : pool_(pool), port_(std::move(port)), turn_(loop, [this] { tell(); }) {
  port_->device->SetSendCallback(ns3::MakeCallback(&Ns3Tun::sent, this));
}

Ns3Tun::~Ns3Tun() { pool_.close(*port_); }

bool Ns3Tun::sent(ns3::Ptr<ns3::Packet> packet, const ns3::Address&, const ns3::Address&,
                  uint16_t) {
  if (queue_.size() >= kQueue) return false;
  net::Buffer bytes(packet->GetSize());
  packet->CopyData(bytes.data(), packet->GetSize());
  queue_.push_back(std::move(bytes));
  if (on_readable_) turn_.request();
  return true;
}

net::IoResult Ns3Tun::read(boost::span<net::PacketIn> batch) {
  net::IoResult result;
  for (net::PacketIn& in : batch) {
    if (queue_.empty()) break;
    const net::Buffer& first = queue_.front();
    in.size = std::min(first.size(), in.buffer.size());
    std::memcpy(in.buffer.data(), first.data(), in.size);
    in.offload = {};
    queue_.pop_front();
    ++result.count;
  }
  if (result.count < batch.size()) result.error = net::Error::would_block;
  if (!queue_.empty() && on_readable_) turn_.request();
  return result;
}

net::IoResult Ns3Tun::write(boost::span<const net::PacketOut> batch) {
  net::IoResult result;
  for (const net::PacketOut& out : batch) {
    const net::Bytes& data = out.data;
    const bool v4 = data.size() >= 20 && data[0] >> 4 == 4 && (data[0] & 15) == 5 &&
                    get16(&data[2]) == data.size();
    const bool v6 = data.size() >= 40 && data[0] >> 4 == 6 && get16(&data[4]) + 40u == data.size();
    if (!v4 && !v6) result.error = net::Error::invalid;
    if (out.offload.segmentation != net::PacketOffload::Segmentation::none ||
        out.offload.partial_checksum)
      result.error = net::Error::unsupported;  // offload() says so
    if (!result.ok()) return result;
    port_->device->Receive(
        ns3::Create<ns3::Packet>(data.data(), static_cast<uint32_t>(data.size())),
        v4 ? ns3::Ipv4L3Protocol::PROT_NUMBER : ns3::Ipv6L3Protocol::PROT_NUMBER,
        port_->device->GetAddress(), port_->device->GetAddress(), ns3::NetDevice::PACKET_HOST);
    ++result.count;
  }
  return result;
}

void Ns3Tun::on_readable(std::function<void()> callback) {
  on_readable_ = std::move(callback);
  if (on_readable_ && !queue_.empty()) turn_.request();
}

void Ns3Tun::tell() {
  if (!on_readable_ || queue_.empty()) return;
  const auto callback = on_readable_;
  callback();
}

}  // namespace culvert::ns3_world
