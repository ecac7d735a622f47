// The differences between ns-3 and Linux that docs/fidelity.md states for our Host: each is shown,
// so that an entry goes when its difference does.
#include <gtest/gtest.h>

#include "model/ns3/convert.h"
#include "ns3/ipv6-l3-protocol.h"
#include "ns3/ipv6-static-routing-helper.h"
#include "tests/ns3/host_lab.h"

namespace culvert::ns3_world {
namespace {

using namespace std::chrono_literals;

std::unique_ptr<net::DatagramSocket> open(Ns3Host& host, const char* ip, uint16_t port) {
  net::DatagramOptions options;
  options.local = {address(ip), port};
  auto socket = host.open_datagram(options);
  EXPECT_TRUE(socket) << socket.status().to_string();
  return socket ? std::move(*socket) : nullptr;
}

// PREFIX1::2 - PREFIX1::1 | PREFIX2::1 - PREFIX2::2 beside the lab's IPv4.
void add_ipv6(Lab& lab, const std::string& near, const std::string& far) {
  const auto add = [](ns3::Ptr<ns3::NetDevice> device, const std::string& text) {
    const auto ipv6 = device->GetNode()->GetObject<ns3::Ipv6L3Protocol>();
    int32_t i = ipv6->GetInterfaceForDevice(device);
    if (i < 0) i = static_cast<int32_t>(ipv6->AddInterface(device));
    ipv6->AddAddress(
        static_cast<uint32_t>(i),
        ns3::Ipv6InterfaceAddress(ns3::Ipv6Address(text.c_str()), ns3::Ipv6Prefix(64)));
    ipv6->SetUp(static_cast<uint32_t>(i));
    ipv6->SetForwarding(static_cast<uint32_t>(i), true);
    return static_cast<uint32_t>(i);
  };
  const auto gateway = [&](int node, const std::string& text, uint32_t interface) {
    ns3::Ipv6StaticRoutingHelper()
        .GetStaticRouting(lab.nodes.Get(node)->GetObject<ns3::Ipv6>())
        ->SetDefaultRoute(ns3::Ipv6Address(text.c_str()), interface);
  };
  const uint32_t left = add(lab.near_link.Get(0), near + "::2");
  add(lab.near_link.Get(1), near + "::1");
  add(lab.far_link.Get(0), far + "::1");
  const uint32_t right = add(lab.far_link.Get(1), far + "::2");
  gateway(0, near + "::1", left);
  gateway(2, far + "::1", right);
  lab.run_for(3s);  // duplicate address detection
}

// Whether a datagram from left reaches right.
bool crosses(Lab& lab, const std::string& near, const std::string& far) {
  add_ipv6(lab, near, far);
  auto sender = open(*lab.left, (near + "::2").c_str(), 5000);
  auto receiver = open(*lab.right, (far + "::2").c_str(), 6000);
  EXPECT_TRUE(sender->send_to(receiver->local(), net::as_bytes("x")).ok());
  lab.run_for(1s);
  uint8_t buffer[16];
  net::DatagramIn in;
  in.buffer = buffer;
  return receiver->receive({&in, 1}).count == 1;
}

TEST(Ns3Fidelity, F10_streams_do_not_discover_the_path_mtu_but_are_fragmented) {
  Lab lab;
  lab.far_link.Get(0)->SetMtu(1300);
  lab.far_link.Get(1)->SetMtu(1300);
  net::ListenOptions listen;
  listen.local = {address("10.2.0.2"), 7000};
  auto listener = std::move(*lab.right->listen(listen));
  net::DialOptions dial;
  dial.remote = listen.local;
  std::unique_ptr<net::Stream> near, far;
  auto dialling = lab.left->dial(dial, [&](auto result) {
    if (result) near = std::move(*result);
  });
  ASSERT_TRUE(lab.run_until(
      [&] {
        if (!far) far = listener->accept();
        return near && far;
      },
      5s));
  int undivided = 0;
  lab.watcher.look = [&](const ns3::Ipv4Header& header, const ns3::Packet& packet) {
    undivided += packet.GetSize() + 20 > 1300 && !header.IsDontFragment();
    return true;
  };
  const std::string text(100000, 'f');
  EXPECT_EQ(near->write(net::as_bytes(text)).count, text.size());
  size_t heard = 0;
  far->on_readable([&] {
    uint8_t buffer[4096];
    heard += far->read(buffer).count;
  });
  EXPECT_TRUE(lab.run_until([&] { return heard == text.size(); }, 10s));
  EXPECT_GT(undivided, 50);
}

TEST(Ns3Fidelity, F11_ns3_does_not_forward_the_documentation_prefix) {
  {
    Lab lab;
    EXPECT_FALSE(crosses(lab, "2001:db8:1", "2001:db8:2"));
  }
  Lab lab;
  EXPECT_TRUE(crosses(lab, "fd01", "fd02"));
}

TEST(Ns3Fidelity, F12_a_datagram_socket_never_blocks_and_the_queue_drops) {
  LabOptions options;
  options.rate = "1Mbps";
  Lab lab(options);
  lab.run_for(1ms);
  auto sender = open(*lab.left, "10.1.0.2", 5000);
  net::DatagramOptions receive;
  receive.local = {address("10.2.0.2"), 6000};
  receive.receive_buffer = 1 << 30;
  auto receiver = std::move(*lab.right->open_datagram(receive));
  const net::Buffer data(1000);
  constexpr int kSent = 20000;
  for (int i = 0; i < kSent; ++i) ASSERT_TRUE(sender->send_to(receiver->local(), data).ok());
  lab.run_for(300s);
  std::vector<net::DatagramIn> batch(kSent);
  uint8_t buffer[1000];
  for (auto& in : batch) in.buffer = buffer;
  const size_t got = receiver->receive(batch).count;
  EXPECT_GT(got, 50u);
  EXPECT_LT(got, size_t{kSent});
}

TEST(Ns3Fidelity, F13_offloaded_work_takes_one_millisecond_whatever_it_does) {
  Lab lab;
  lab.run_for(1ms);
  const net::Time start = lab.left->now();
  bool worked = false;
  net::Time done{0};
  lab.left->offload([&] { worked = true; }, [&] { done = lab.left->now(); });
  EXPECT_TRUE(worked) << "ns-3 has no other thread: the work is done at once";
  lab.run_for(10ms);
  EXPECT_EQ(done - start, 1ms);
}

TEST(Ns3Fidelity, F14_the_secure_source_repeats_with_the_seed) {
  const auto draw = [](uint64_t seed) {
    LabOptions options;
    options.seed = seed;
    Lab lab(options);
    net::Buffer out(32);
    lab.left->secure_random(out);
    return out;
  };
  EXPECT_EQ(draw(1), draw(1));
  EXPECT_NE(draw(1), draw(2));
}

TEST(Ns3Fidelity, F15_hooks_do_not_see_what_a_host_sends_to_itself_over_ipv6) {
  Lab lab;
  add_ipv6(lab, "fd01", "fd02");
  int seen4 = 0, seen6 = 0;
  net::Selector udp;
  udp.protocol = 17;
  auto hook = lab.left->add_hook(udp, [&](net::MutableBytes packet) {
    ++(packet[0] >> 4 == 4 ? seen4 : seen6);
    return net::Verdict::pass;
  });
  auto four = open(*lab.left, "0.0.0.0", 6000);
  auto six = open(*lab.left, "::", 6000);
  EXPECT_TRUE(four->send_to({address("10.1.0.2"), 6000}, net::as_bytes("x")).ok());
  EXPECT_TRUE(six->send_to({address("fd01::2"), 6000}, net::as_bytes("x")).ok());
  lab.run_for(1s);
  EXPECT_EQ(seen4, 1);
  EXPECT_EQ(seen6, 0);
}

TEST(Ns3Fidelity, F16_nothing_comes_in_trains_and_tun_grants_no_offload) {
  Lab lab;
  net::DatagramOptions options;
  options.local = {address("10.2.0.2"), 6000};
  options.receive_trains = true;
  auto opened = lab.right->open_datagram(options);
  ASSERT_TRUE(opened) << opened.status().to_string();
  auto sender = open(*lab.left, "10.1.0.2", 5000);
  const net::Buffer train(3000, 1);
  net::DatagramOut out{train, options.local};
  out.segment_size = 1000;
  EXPECT_EQ(sender->send({&out, 1}).count, 1u);
  lab.run_for(1s);
  uint8_t buffer[4000];
  for (int i = 0; i < 3; ++i) {
    net::DatagramIn in;
    in.buffer = buffer;
    ASSERT_EQ((*opened)->receive({&in, 1}).count, 1u);
    EXPECT_EQ(in.size, 1000u);
    EXPECT_EQ(in.segment_size, 0);
  }
  net::TunOptions tun;
  tun.name = "tun0";
  tun.addresses = {*net::Prefix::parse("10.9.0.1/24")};
  tun.offload = true;
  auto device = lab.left->open_tun(tun);
  ASSERT_TRUE(device) << device.status().to_string();
  EXPECT_FALSE((*device)->offload());
}

}  // namespace
}  // namespace culvert::ns3_world
