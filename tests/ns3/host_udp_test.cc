// What our UDP and routers add to ns-3's, where the contract suite does not look; that a run
// repeats to the byte; and that ns-3's own applications go on working beside a Host.
#include <gtest/gtest.h>

#include "model/ns3/udp_layer.h"
#include "ns3/inet-socket-address.h"
#include "ns3/simulator.h"
#include "ns3/socket.h"
#include "ns3/udp-header.h"
#include "ns3/udp-socket-factory.h"
#include "tests/ns3/host_lab.h"

namespace culvert::ns3_world {
namespace {

using namespace std::chrono_literals;
using net::Error;

std::unique_ptr<net::DatagramSocket> open(Ns3Host& host, const char* ip, uint16_t port) {
  net::DatagramOptions options;
  options.local = {address(ip), port};
  auto socket = host.open_datagram(options);
  EXPECT_TRUE(socket) << socket.status().to_string();
  return socket ? std::move(*socket) : nullptr;
}

std::string take(net::DatagramSocket& socket) {
  uint8_t buffer[2048];
  net::DatagramIn in;
  in.buffer = buffer;
  if (socket.receive({&in, 1}).count == 0) return {};
  return {reinterpret_cast<char*>(buffer), in.size};
}

TEST(Ns3HostUdp, a_router_without_route_says_so) {
  Lab lab;
  auto socket = open(*lab.left, "10.1.0.2", 5000);
  std::vector<net::IcmpEvent> icmp;
  socket->on_icmp([&](const net::IcmpEvent& event) { icmp.push_back(event); });
  EXPECT_TRUE(socket->send_to({address("192.0.2.1"), 9}, net::as_bytes("x")).ok());
  ASSERT_TRUE(lab.run_until([&] { return !icmp.empty(); }, 1s));
  EXPECT_EQ(icmp[0].error, Error::unreachable);
  EXPECT_EQ(icmp[0].type, 3);
  EXPECT_EQ(icmp[0].code, 0);
  EXPECT_EQ(icmp[0].reporter, address("10.1.0.1"));
}

// RFC 768: a checksum that comes out as zero is sent as 0xffff; zero would mean "none", and a NAT
// would leave it alone. ns-3 sends zero.
TEST(Ns3HostUdp, a_checksum_of_zero_is_never_sent) {
  Lab lab;
  uint16_t seen = 0;
  lab.watcher.look = [&](const ns3::Ipv4Header&, const ns3::Packet& packet) {
    uint8_t header[8];
    packet.CopyData(header, 8);
    seen = static_cast<uint16_t>(header[6] << 8 | header[7]);
    return true;
  };
  auto sender = open(*lab.left, "10.1.0.2", 5000);
  auto receiver = open(*lab.right, "10.2.0.2", 6000);
  // Two bytes that bring the sum to 0xffff: what is missing without them.
  net::Buffer datagram = {5000 >> 8, 5000 & 255, 6000 >> 8, 6000 & 255, 0, 10, 0, 0, 0, 0};
  const uint16_t missing = udp_checksum(address("10.1.0.2"), address("10.2.0.2"), datagram);
  const uint8_t payload[2] = {static_cast<uint8_t>(missing >> 8), static_cast<uint8_t>(missing)};
  EXPECT_TRUE(sender->send_to({address("10.2.0.2"), 6000}, payload).ok());
  std::string got;
  ASSERT_TRUE(lab.run_until([&] { return !(got = take(*receiver)).empty(); }, 1s));
  EXPECT_EQ(got.size(), 2u);
  EXPECT_EQ(seen, 0xffff);
}

TEST(Ns3HostUdp, a_damaged_datagram_is_dropped) {
  LabOptions options;
  options.host_on_middle = true;
  Lab lab(options);
  net::Selector udp;
  udp.protocol = 17;
  auto hook = lab.middle->add_hook(udp, [](net::MutableBytes packet) {
    packet[packet.size() - 1] ^= 1;
    return net::Verdict::pass;
  });
  auto sender = open(*lab.left, "10.1.0.2", 5000);
  auto receiver = open(*lab.right, "10.2.0.2", 6000);
  EXPECT_TRUE(sender->send_to({address("10.2.0.2"), 6000}, net::as_bytes("damaged")).ok());
  lab.run_for(1s);
  EXPECT_EQ(take(*receiver), "");
  EXPECT_EQ((*hook)->stats().passed, 1u);
}

void count_all(int* count, ns3::Ptr<ns3::Socket> socket) {
  while (socket->Recv()) ++*count;
}

TEST(Ns3HostUdp, ns3_applications_share_a_node_with_a_host) {
  Lab lab;
  const auto stock =
      ns3::Socket::CreateSocket(lab.nodes.Get(2), ns3::UdpSocketFactory::GetTypeId());
  stock->Bind(ns3::InetSocketAddress(ns3::Ipv4Address::GetAny(), 6100));
  int got = 0;
  stock->SetRecvCallback(ns3::MakeBoundCallback(&count_all, &got));
  auto sender = open(*lab.left, "10.1.0.2", 5000);
  auto receiver = open(*lab.right, "10.2.0.2", 6000);
  EXPECT_TRUE(sender->send_to({address("10.2.0.2"), 6100}, net::as_bytes("stock")).ok());
  EXPECT_TRUE(sender->send_to({address("10.2.0.2"), 6000}, net::as_bytes("ours")).ok());
  std::string ours;
  ASSERT_TRUE(lab.run_until([&] { return got == 1 && !(ours = take(*receiver)).empty(); }, 1s));
  EXPECT_EQ(ours, "ours");
  stock->Close();
}

TEST(Ns3HostUdp, what_is_sent_to_an_own_address_arrives_later_and_not_inside_the_call) {
  Lab lab;
  auto one = open(*lab.left, "10.1.0.2", 5000);
  auto two = open(*lab.left, "0.0.0.0", 6000);
  bool readable = false;
  two->on_readable([&] { readable = true; });
  EXPECT_TRUE(one->send_to({address("10.1.0.2"), 6000}, net::as_bytes("self")).ok());
  EXPECT_TRUE(one->send_to({address("127.0.0.1"), 6000}, net::as_bytes("loop")).ok());
  EXPECT_FALSE(readable);
  lab.run_for(1ms);
  EXPECT_TRUE(readable);
  EXPECT_EQ(take(*two), "self");
}

// A conversation full of timers, random delays and loss, as one text.
std::string story(uint64_t seed) {
  LabOptions options;
  options.seed = seed;
  options.loss = 0.1;
  Lab lab(options);
  auto a = open(*lab.left, "10.1.0.2", 0);
  auto b = open(*lab.right, "10.2.0.2", 6000);
  b->on_readable([&] {
    uint8_t buffer[64];
    net::DatagramIn in;
    in.buffer = buffer;
    while (b->receive({&in, 1}).count) {
      lab.right->log().write("story", "heard", {{"from", in.from}, {"ttl", int{in.ttl}}});
      b->send_to(in.from, net::Bytes(buffer, in.size));
    }
  });
  a->on_readable([&] { lab.left->log().write("story", "answered", {{"text", take(*a)}}); });
  int left = 50;
  net::Timer timer(lab.left->timers(), [&] {
    uint8_t token[8];
    lab.left->secure_random(token);
    a->send_to({address("10.2.0.2"), 6000}, token);
    lab.left->log().write("story", "sent", {{"token", uint64_t{token[0]}}});
    if (--left > 0)
      timer.arm_after(net::Duration(static_cast<int64_t>(lab.left->random().below(5000000))));
  });
  timer.arm_after(1ms);
  lab.run_for(2s);
  std::string out;
  for (const std::string& line : lab.log) out += line + '\n';
  return out;
}

TEST(Ns3HostUdp, a_run_repeats_to_the_byte_and_another_seed_differs) {
  const std::string first = story(1);
  EXPECT_GT(first.size(), 5000u);
  EXPECT_TRUE(story(1) == first);
  EXPECT_FALSE(story(2) == first);
}

TEST(Ns3HostUdp, timers_are_exact_to_the_nanosecond) {
  Lab lab;
  net::Time fired{0};
  net::Timer timer(lab.left->timers(), [&] { fired = lab.left->now(); });
  timer.arm_at(net::Time(1234567891));
  lab.run_for(2s);
  EXPECT_EQ(fired, net::Time(1234567891));
}

TEST(Ns3HostUdp, a_host_destroyed_with_work_under_way_leaves_nothing_behind) {
  Lab lab;
  bool ran = false;
  lab.left->post([&] { ran = true; });
  lab.left->offload([] {}, [&] { ran = true; });
  lab.left.reset();
  lab.run_for(1s);
  EXPECT_FALSE(ran);
  lab.left = lab.make_host(0, "left");  // the node is as good as new
  auto a = open(*lab.left, "10.1.0.2", 5000);
  auto b = open(*lab.right, "10.2.0.2", 6000);
  EXPECT_TRUE(a->send_to({address("10.2.0.2"), 6000}, net::as_bytes("again")).ok());
  EXPECT_TRUE(lab.run_until([&] { return take(*b) == "again"; }, 1s));
}

}  // namespace
}  // namespace culvert::ns3_world
