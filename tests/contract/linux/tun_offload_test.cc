// TUN with offload on Linux: super-packets larger than the MTU pass whole in both directions, with
// the metadata of the virtio network header, and metadata that a caller makes up are checked.
#include <algorithm>

#include "tests/contract/collect.h"
#include "tests/contract/packets.h"

namespace culvert::contract {
namespace {

using Segmentation = net::PacketOffload::Segmentation;

constexpr uint32_t kMtu = 1400;

// Two devices on host a, a cable between them: what is routed into one is written into the other,
// source and destination exchanged by prefix, so that a host can talk with itself through both.
class TunOffload : public ContractBothFamilies {
 protected:
  void SetUp() override {
    ContractBothFamilies::SetUp();
    if (IsSkipped()) return;
    CONTRACT_SKIP("F-02", "this machine does not let us open TUN devices");
    const bool v4 = family() == Family::v4;
    near_ = ip(v4 ? "10.9.0.1" : "fd09::1");
    beyond_ = ip(v4 ? "10.9.0.7" : "fd09::7");
    left = open(world->a(), v4 ? "10.9.0.1/24" : "fd09::1/64");
    right = open(world->b(), v4 ? "10.9.0.7/24" : "fd09::7/64");
  }
  void TearDown() override { left.reset(), right.reset(); }
  std::unique_ptr<net::TunDevice> open(net::Host& host, const char* address) {
    net::TunOptions options;
    options.name = "offload0";
    options.addresses = {*net::Prefix::parse(address)};
    options.mtu = kMtu;
    options.offload = true;
    auto opened = host.open_tun(options);
    EXPECT_TRUE(opened) << opened.status().to_string();
    return opened ? std::move(*opened) : nullptr;
  }
  // Carries what came out of `from` into `to`, metadata and all.
  void carry(net::TunDevice& from, net::TunDevice& to) {
    std::vector<net::PacketIn> batch(1);
    batch[0].buffer = buffer_;
    while (from.read(batch).count == 1) {
      const net::PacketIn& in = batch[0];
      largest = std::max(largest, in.size);
      seen.push_back(in.offload);
      net::PacketOut out;
      out.data = net::Bytes(buffer_.data(), in.size);
      out.offload = in.offload;
      const net::IoResult result = to.write({&out, 1});
      EXPECT_EQ(result.error, Error::none);
    }
  }
  void connect_devices() {
    left->on_readable([this] { carry(*left, *right); });
    right->on_readable([this] { carry(*right, *left); });
  }
  Segmentation tcp() const {
    return family() == Family::v4 ? Segmentation::tcp4 : Segmentation::tcp6;
  }
  size_t ip_header() const { return family() == Family::v4 ? 20 : 40; }
  // A packet of `size` bytes of TCP payload from beyond to near, as a super-packet would be.
  net::Buffer super_packet(size_t size) const {
    net::Buffer packet = udp_packet({beyond_, 7}, {near_, 5000}, std::string(size + 12, 'p'));
    View view(packet);
    packet[family() == Family::v4 ? 9 : 6] = 6;
    uint8_t* tcp = view.transport();
    std::fill(tcp + 4, tcp + 20, 0);
    tcp[12] = 5 << 4;
    tcp[13] = 0x10;
    view.fix_checksums();
    return packet;
  }
  net::PacketOffload metadata(uint16_t segment) const {
    net::PacketOffload offload;
    offload.segmentation = tcp();
    offload.header_size = static_cast<uint16_t>(ip_header() + 20);
    offload.segment_size = segment;
    offload.partial_checksum = true;
    offload.checksum_start = static_cast<uint16_t>(ip_header());
    offload.checksum_offset = 16;
    return offload;
  }
  net::IoResult write(const net::Buffer& packet, const net::PacketOffload& offload) {
    net::PacketOut out;
    out.data = packet;
    out.offload = offload;
    return left->write({&out, 1});
  }

  IpAddress near_, beyond_;
  std::unique_ptr<net::TunDevice> left, right;
  net::Buffer buffer_ = net::Buffer(65600);
  size_t largest = 0;
  std::vector<net::PacketOffload> seen;
};
CONTRACT_BOTH_FAMILIES(TunOffload);

TEST_P(TunOffload, a_stream_goes_through_in_super_packets) {
  ASSERT_TRUE(left && right);
  ASSERT_TRUE(left->offload() && right->offload());
  connect_devices();
  net::ListenOptions listen;
  listen.local = {beyond_, 7000};
  auto listener = std::move(*world->b().listen(listen));
  auto dialled = call(world->a(), to(listen.local));
  std::unique_ptr<net::Stream> far;
  ASSERT_TRUE(until([&] {
    if (!far) far = listener->accept();
    return dialled->done && far;
  })) << dialled->status.to_string();
  ASSERT_TRUE(dialled->stream) << dialled->status.to_string();
  Talk here(std::move(dialled->stream)), there(std::move(far));
  const std::string text = noise(4 << 20);
  here.say(text);
  here.finish();
  ASSERT_TRUE(until([&] { return there.end != Error::none; }, 60s));
  EXPECT_TRUE(there.heard == text);
  EXPECT_GT(largest, 10 * kMtu) << "no packet was larger than the MTU: nothing was offloaded";
  const auto super = std::find_if(seen.begin(), seen.end(), [&](const net::PacketOffload& o) {
    return o.segmentation == tcp();
  });
  ASSERT_NE(super, seen.end());
  EXPECT_GE(super->header_size, ip_header() + 20);
  EXPECT_LE(super->segment_size, kMtu - ip_header() - 20);
  EXPECT_GE(super->segment_size, 1200);
  EXPECT_TRUE(super->partial_checksum);
  EXPECT_EQ(super->checksum_start, ip_header());
  EXPECT_EQ(super->checksum_offset, 16);
}

TEST_P(TunOffload, a_partial_checksum_is_completed) {
  ASSERT_TRUE(left && right);
  connect_devices();
  net::DatagramOptions bind;
  bind.local = {near_, 5000};
  auto sender = std::move(*world->a().open_datagram(bind));
  bind.local = {beyond_, 6000};
  auto receiver = std::move(*world->b().open_datagram(bind));
  Inbox inbox(*receiver);
  EXPECT_TRUE(sender->send_to({beyond_, 6000}, net::as_bytes("half a checksum")).ok());
  ASSERT_TRUE(until([&] { return !inbox.got.empty(); }));
  EXPECT_EQ(inbox.got[0].text, "half a checksum");
  EXPECT_TRUE(std::any_of(seen.begin(), seen.end(), [&](const net::PacketOffload& o) {
    return o.partial_checksum && o.checksum_start == ip_header() && o.checksum_offset == 6;
  }));
}

TEST_P(TunOffload, metadata_that_contradict_the_packet_are_invalid) {
  ASSERT_TRUE(left && right);
  const net::Buffer packet = super_packet(8000);
  const auto size = static_cast<uint16_t>(packet.size());
  const auto broken = [&](const std::function<void(net::PacketOffload&)>& change) {
    net::PacketOffload offload = metadata(1340);
    change(offload);
    const net::IoResult result = write(packet, offload);
    EXPECT_EQ(result.count, 0u);
    return result.error;
  };
  EXPECT_EQ(broken([](auto& o) { o.segment_size = 0; }), Error::invalid);
  EXPECT_EQ(broken([](auto& o) { o.header_size = 0; }), Error::invalid);
  EXPECT_EQ(broken([&](auto& o) { o.header_size = static_cast<uint16_t>(ip_header()); }),
            Error::invalid);
  EXPECT_EQ(broken([&](auto& o) { o.header_size = static_cast<uint16_t>(size + 1); }),
            Error::invalid);
  EXPECT_EQ(broken([](auto& o) { o.header_size = 65535; }), Error::invalid);
  EXPECT_EQ(broken([](auto& o) { o.partial_checksum = false; }), Error::invalid);
  EXPECT_EQ(broken([&](auto& o) { o.checksum_start = static_cast<uint16_t>(size - 1); }),
            Error::invalid);
  EXPECT_EQ(broken([](auto& o) { o.checksum_start = o.checksum_offset = 65535; }), Error::invalid);
  EXPECT_EQ(broken([](auto& o) { o.checksum_start = 4; }), Error::invalid)
      << "a checksum inside the IP header";
  EXPECT_EQ(broken([](auto& o) { o.checksum_offset = 6; }), Error::invalid) << "not TCP's";
  EXPECT_EQ(broken([&](auto& o) {
              o.segmentation =
                  tcp() == Segmentation::tcp4 ? Segmentation::tcp6 : Segmentation::tcp4;
            }),
            Error::invalid)
      << "the other family";
  EXPECT_EQ(broken([](auto& o) { o.segmentation = Segmentation::udp; }), Error::invalid)
      << "UDP's metadata on a TCP segment";
  EXPECT_EQ(broken([](auto& o) { o.segmentation = static_cast<Segmentation>(99); }),
            Error::invalid);
  // The device lives.
  EXPECT_EQ(write(packet, metadata(1340)).count, 1u);
}

TEST_P(TunOffload, made_up_metadata_never_do_more_than_fail) {
  ASSERT_TRUE(left && right);
  net::Random random(7);
  const auto number = [&] {
    constexpr uint16_t kEdges[] = {0, 1, 19, 20, 40, 60, 1340, 8040, 8060, 65534, 65535};
    const uint64_t draw = random.next();
    return draw & 1 ? kEdges[(draw >> 8) % 11] : static_cast<uint16_t>(draw >> 16);
  };
  for (int i = 0; i < 5000; ++i) {
    net::Buffer packet = super_packet(random.next() % 3 ? 8000 : random.next() % 60);
    if (i % 4 == 0) packet.resize(random.next() % (packet.size() + 1));
    for (int flips = i % 3; flips > 0 && !packet.empty(); --flips)
      packet[random.next() % std::min<size_t>(packet.size(), 60)] ^=
          static_cast<uint8_t>(random.next());
    net::PacketOffload offload;
    offload.segmentation = static_cast<Segmentation>(random.next() % 5);
    offload.header_size = number(), offload.segment_size = number();
    offload.partial_checksum = random.next() & 1;
    offload.checksum_start = number(), offload.checksum_offset = number();
    const net::IoResult result = write(packet, offload);
    ASSERT_TRUE(result.count == 1 || result.error == Error::invalid)
        << i << ": " << net::to_string(result.error);
  }
  EXPECT_EQ(write(super_packet(8000), metadata(1340)).count, 1u);
}

}  // namespace
}  // namespace culvert::contract
