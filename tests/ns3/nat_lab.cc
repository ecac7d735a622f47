#include "tests/ns3/nat_lab.h"

#include <gtest/gtest.h>

#include "model/ns3/head_bytes.h"
#include "model/ns3/host.h"
#include "model/ns3/udp_layer.h"
#include "ns3/ipv4-static-routing.h"
#include "ns3/names.h"
#include "ns3/simulator.h"
#include "ns3/string.h"
#include "scenarios/ns3_runner/link.h"
#include "scenarios/ns3_runner/stack.h"

namespace culvert::test {
namespace {

using ns3_world::PacketTapRouting;

uint16_t get16(const std::vector<uint8_t>& bytes, size_t at) {
  return at + 1 < bytes.size() ? static_cast<uint16_t>(bytes[at] << 8 | bytes[at + 1]) : 0;
}
void put16(std::vector<uint8_t>& bytes, size_t at, uint32_t value) {
  bytes[at] = static_cast<uint8_t>(value >> 8);
  bytes[at + 1] = static_cast<uint8_t>(value);
}

// RFC 1071 over pseudo-header (TCP, UDP) and segment; 0 if the segment's checksum is right.
uint16_t check(const net::IpAddress& from, const net::IpAddress& to, uint8_t protocol,
               const std::vector<uint8_t>& segment) {
  std::vector<uint8_t> all;
  if (protocol != CV_ICMP) {
    all.insert(all.end(), from.bytes().begin(), from.bytes().begin() + 4);
    all.insert(all.end(), to.bytes().begin(), to.bytes().begin() + 4);
    all.insert(all.end(), {0, protocol, static_cast<uint8_t>(segment.size() >> 8),
                           static_cast<uint8_t>(segment.size())});
  }
  all.insert(all.end(), segment.begin(), segment.end());
  return ns3_world::internet_checksum(all);
}

net::Endpoint endpoint(const std::string& text) {
  const auto parsed = net::Endpoint::parse(text);
  return parsed ? *parsed : net::Endpoint{*net::IpAddress::parse(text), 0};
}

ns3::Ptr<runner::LinkDevice> plug(ns3::Ptr<ns3::Node> node, ns3::Ptr<runner::Link> link,
                                  std::vector<std::string> addresses, uint16_t mtu) {
  const auto device = ns3::CreateObject<runner::LinkDevice>();
  device->SetAddress(ns3::Mac48Address::Allocate());
  device->SetMtu(mtu);
  node->AddDevice(device);
  link->attach(device, 1, "lab");
  const auto ipv4 = node->GetObject<ns3::Ipv4>();
  const uint32_t interface = ipv4->AddInterface(device);
  for (const std::string& address : addresses)
    ipv4->AddAddress(interface, {ns3::Ipv4Address(address.c_str()), ns3::Ipv4Mask("/24")});
  ipv4->SetUp(interface);
  return device;
}

void default_route(ns3::Ptr<ns3::Node> node, const char* via, uint32_t interface) {
  ns3::DynamicCast<ns3::Ipv4StaticRouting>(node->GetObject<ns3::Ipv4>()->GetRoutingProtocol())
      ->SetDefaultRoute(ns3::Ipv4Address(via), interface);
}

}  // namespace

net::Endpoint Arrival::source() const {
  const bool ports = header.GetProtocol() != CV_ICMP && header.GetFragmentOffset() == 0;
  return {ns3_world::from_ns3(header.GetSource()), ports ? get16(bytes, 0) : uint16_t{0}};
}
net::Endpoint Arrival::destination() const {
  const bool ports = header.GetProtocol() != CV_ICMP && header.GetFragmentOffset() == 0;
  return {ns3_world::from_ns3(header.GetDestination()), ports ? get16(bytes, 2) : uint16_t{0}};
}
std::string Arrival::payload() const {
  return bytes.size() < 8 ? "" : std::string(bytes.begin() + 8, bytes.end());
}
bool Arrival::transport_checksum_ok() const {
  return check(source().ip, destination().ip, header.GetProtocol(), bytes) == 0;
}

Recorder::Recorder(ns3::Ptr<ns3::Node> node, bool consume) : consume_(consume) {
  PacketTapRouting::on(node)->add(*this, PacketTapRouting::kObserver);
}

PacketTapRouting::Fate Recorder::on_arrival(ns3::Ipv4Header& header, ns3::Ptr<ns3::Packet>& packet,
                                            ns3::Ptr<const ns3::NetDevice>) {
  Arrival arrival;
  arrival.when = net::Time(ns3::Simulator::Now().GetNanoSeconds());
  arrival.header = header;
  arrival.bytes.resize(packet->GetSize());
  packet->CopyData(arrival.bytes.data(), packet->GetSize());
  arrival.packet = packet->Copy();
  seen.push_back(std::move(arrival));
  return consume_ ? PacketTapRouting::Fate::consume : PacketTapRouting::Fate::next;
}

Lab::Lab(LabOptions options)
    : log_(
          "nat", [] { return net::Time(ns3::Simulator::Now().GetNanoSeconds()); },
          [this](std::string_view line) { log_lines.emplace_back(line); }) {
  ns3_world::configure_ns3_defaults();
  for (ns3::Ptr<ns3::Node>* node : {&a, &b, &nat, &core, &x}) {
    *node = ns3::CreateObject<ns3::Node>();
    runner::StackOptions stack;
    stack.forward = *node == nat || *node == core;
    stack.transports = true;
    runner::install_stack(*node, stack);
  }
  const auto link = [] {
    auto made = ns3::CreateObject<runner::Link>();
    made->options.delay = net::Duration(5000000);  // 5 ms
    return made;
  };
  const auto lan_a = link(), lan_b = link(), wan = link(), far = link();
  plug(a, lan_a, {"10.1.0.2"}, 1500);
  const auto inside_a = plug(nat, lan_a, {"10.1.0.1"}, 1500);
  plug(b, lan_b, {"10.2.0.2"}, 1500);
  const auto inside_b = plug(nat, lan_b, {"10.2.0.1"}, 1500);
  const auto outside = plug(nat, wan, {"198.51.100.2"}, options.wan_mtu);
  plug(core, wan, {"198.51.100.1"}, options.wan_mtu);
  plug(core, far, {"203.0.113.1"}, options.far_mtu);
  plug(x, far, {"203.0.113.2", "203.0.113.3"}, options.far_mtu);
  default_route(a, "10.1.0.1", 1);
  default_route(b, "10.2.0.1", 1);
  default_route(nat, "198.51.100.1", 3);
  default_route(x, "203.0.113.1", 1);

  router = ns3::CreateObject<ns3_world::NatRouter>();
  router->SetAttribute("Preset", ns3::StringValue(options.preset));
  for (const auto& [axis, value] : options.axes) {
    const net::Status status = router->SetAxis(axis, value);
    if (!status) ADD_FAILURE() << status.detail;
  }
  router->SetSeed(7);
  router->SetEventLog(&log_);
  router->TraceConnectWithoutContext(
      "Dropped",
      ns3::Callback<void, ns3::Ptr<const ns3::Packet>, const ns3::Ipv4Header&, std::string>(
          [this](ns3::Ptr<const ns3::Packet>, const ns3::Ipv4Header&, std::string why) {
            drops.push_back(why);
          }));
  std::vector<ns3::Ipv4Address> addresses;
  for (const std::string& address : options.public_addresses)
    addresses.emplace_back(address.c_str());
  const net::Status status = router->Install(nat, {inside_a, inside_b}, outside, addresses);
  if (!status) ADD_FAILURE() << status.detail;
  at_a = std::make_unique<Recorder>(a, options.hosts_consume);
  at_b = std::make_unique<Recorder>(b, options.hosts_consume);
  at_x = std::make_unique<Recorder>(x, options.hosts_consume);
}

Lab::~Lab() {
  at_a.reset();
  at_b.reset();
  at_x.reset();
  at_nat.reset();
  ns3::Simulator::Destroy();
}

void Lab::run(double seconds) {
  ns3::Simulator::Stop(ns3::Seconds(seconds));
  ns3::Simulator::Run();
}

void Lab::send(ns3::Ptr<ns3::Node> from, const std::string& source, const std::string& destination,
               uint8_t protocol, std::vector<uint8_t> bytes, uint8_t ttl, bool dont_fragment,
               std::function<void(ns3::Ptr<ns3::Packet>)> edit) {
  ns3::Ipv4Header header;
  header.SetSource(ns3_world::to_ipv4(endpoint(source).ip));
  header.SetDestination(ns3_world::to_ipv4(endpoint(destination).ip));
  header.SetProtocol(protocol);
  header.SetTtl(ttl);
  header.SetPayloadSize(static_cast<uint16_t>(bytes.size()));
  static uint16_t identification = 0;
  header.SetIdentification(++identification);
  if (dont_fragment) header.SetDontFragment();
  const auto packet = ns3::Create<ns3::Packet>(bytes.data(), static_cast<uint32_t>(bytes.size()));
  if (edit) edit(packet);
  ns3::Simulator::ScheduleNow(
      [from, packet, header] { ASSERT_TRUE(PacketTapRouting::on(from)->send(packet, header)); });
}

void Lab::udp(ns3::Ptr<ns3::Node> from, const std::string& source, const std::string& destination,
              const std::string& payload, uint8_t ttl, bool dont_fragment) {
  std::vector<uint8_t> bytes(8 + payload.size());
  put16(bytes, 0, endpoint(source).port);
  put16(bytes, 2, endpoint(destination).port);
  put16(bytes, 4, static_cast<uint32_t>(bytes.size()));
  std::copy(payload.begin(), payload.end(), bytes.begin() + 8);
  put16(bytes, 6, check(endpoint(source).ip, endpoint(destination).ip, CV_UDP, bytes));
  send(from, source, destination, CV_UDP, bytes, ttl, dont_fragment);
}

void Lab::tcp(ns3::Ptr<ns3::Node> from, const std::string& source, const std::string& destination,
              uint8_t flags) {
  std::vector<uint8_t> bytes(20);
  put16(bytes, 0, endpoint(source).port);
  put16(bytes, 2, endpoint(destination).port);
  bytes[7] = 9;  // a sequence number
  bytes[12] = 5 << 4;
  bytes[13] = flags;
  put16(bytes, 14, 65535);
  put16(bytes, 16, check(endpoint(source).ip, endpoint(destination).ip, CV_TCP, bytes));
  send(from, source, destination, CV_TCP, bytes);
}

void Lab::echo(ns3::Ptr<ns3::Node> from, const std::string& source, const std::string& destination,
               bool request, uint16_t identifier, const std::string& data) {
  std::vector<uint8_t> bytes(8 + data.size());
  bytes[0] = request ? 8 : 0;
  put16(bytes, 4, identifier);
  put16(bytes, 6, 1);
  std::copy(data.begin(), data.end(), bytes.begin() + 8);
  put16(bytes, 2, ns3_world::internet_checksum(bytes));
  send(from, source, destination, CV_ICMP, bytes);
}

std::vector<std::string> Lab::events(const std::string& name) const {
  std::vector<std::string> out;
  for (const std::string& line : log_lines)
    if (line.find("\"event\":\"" + name + "\"") != std::string::npos) out.push_back(line);
  return out;
}

}  // namespace culvert::test
