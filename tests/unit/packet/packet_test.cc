// Headers read and rewritten in place: against an independent builder, against recomputation, on
// every truncation, and RFC 1624's own example.
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>
#include <string>

#include "model/packet/glance.h"
#include "model/packet/icmp_error.h"
#include "model/packet/rewrite.h"
#include "model/packet/soft_flow_table.h"
#include "tests/unit/nat/packets.h"

namespace culvert::packet {
namespace {

using namespace culvert::testing;
using net::FlowKey;
using net::FlowRewrite;

int parse(const Buffer& p, cv_packet* out) { return cv_parse(p.data(), p.data() + p.size(), out); }

const Endpoint k4 = at("10.0.0.2:5000"), k4x = at("198.51.100.1:7000"),
               k4y = at("203.0.113.7:8000"), k6 = at("[2001:db8::2]:5000"),
               k6x = at("[2001:db8:1::1]:7000"), k6y = at("[2001:db8:2::9]:8000");

TEST(Checksum, RfcExampleGivesZeroNotAllOnes) {
  // RFC 1624 section 4: HC = dd2f, m = 5555, m' = 3285, the right HC' is 0000.
  uint8_t field[2] = {0x55, 0x55};
  cv_u32 delta = 0;
  cv_replace16(field, cv_swap16(0x3285), &delta);
  EXPECT_EQ(cv_swap16(cv_checksum_adjust(cv_swap16(0xdd2f), delta)), 0x0000);
}

TEST(Parse, ReadsPortsFlagsAndEchoes) {
  cv_packet p;
  ASSERT_EQ(parse(udp(k4, k4x), &p), CV_OK);
  EXPECT_EQ(p.protocol, CV_UDP);
  EXPECT_EQ(p.source_port, 5000);
  EXPECT_EQ(p.destination_port, 7000);
  EXPECT_EQ(p.l4, 20);
  EXPECT_EQ(p.length, 33u);
  ASSERT_EQ(parse(tcp(k6, k6x, kSyn | kAck), &p), CV_OK);
  EXPECT_EQ(p.version, 6);
  EXPECT_EQ(p.tcp_flags, CV_SYN | CV_ACK);
  EXPECT_EQ(p.l4, 40);
  ASSERT_EQ(parse(echo(k6.ip, k6x.ip, 77, true), &p), CV_OK);
  EXPECT_EQ(p.flags, CV_PORTS | CV_ECHO_REQUEST);
  EXPECT_EQ(p.source_port, 77);
  ASSERT_EQ(parse(icmp_error(k4x.ip, k4.ip, 11, 0, udp(k4, k4x)), &p), CV_OK);
  EXPECT_EQ(p.flags, CV_ICMP_ERROR);
}

TEST(Parse, StepsOverIpv6ExtensionHeaders) {
  Buffer p = udp(k6, k6x);
  p[6] = 0;  // hop-by-hop, then destination options of 16 bytes, then UDP
  Buffer options = {60, 0, 1, 4, 0, 0, 0, 0, 17, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
  p.insert(p.begin() + 40, options.begin(), options.end());
  set16(p, 4, static_cast<uint32_t>(p.size() - 40));
  cv_packet parsed;
  ASSERT_EQ(parse(p, &parsed), CV_OK);
  EXPECT_EQ(parsed.protocol, CV_UDP);
  EXPECT_EQ(parsed.l4, 64);
  EXPECT_EQ(parsed.source_port, 5000);
}

TEST(Parse, EveryTruncationAndEveryBadLengthIsSaid) {
  for (const Buffer& whole : {udp(k4, k4x), tcp(k4, k4x, kSyn), udp(k6, k6x), tcp(k6, k6x, kSyn),
                              echo(k4.ip, k4x.ip, 1, true)}) {
    cv_packet p;
    const size_t headers = header_size(whole) + (protocol_of(whole) == 6 ? 20 : 8);
    for (size_t size = 0; size < whole.size(); ++size) {
      // A copy of its own, so that the sanitizers see a read behind its end.
      const Buffer cut(whole.begin(), whole.begin() + static_cast<long>(size));
      EXPECT_EQ(parse(cut, &p), size < headers ? CV_TRUNCATED : CV_OK);
    }
    Buffer bad = whole;
    set16(bad, is_v4(bad) ? 2 : 4, 3);
    EXPECT_EQ(parse(bad, &p), CV_MALFORMED);
    bad = whole;
    bad[0] = 0x75;
    EXPECT_EQ(parse(bad, &p), CV_MALFORMED);
  }
  cv_packet p;
  Buffer bad = udp(k4, k4x);
  set16(bad, 24, 7);
  EXPECT_EQ(parse(bad, &p), CV_MALFORMED);
  set16(bad, 24, 5000);
  EXPECT_EQ(parse(bad, &p), CV_MALFORMED);
  bad = tcp(k4, k4x, kSyn);
  bad[32] = 0x40;
  EXPECT_EQ(parse(bad, &p), CV_MALFORMED);
  bad = udp(k4, k4x);
  bad[0] = 0x44;
  EXPECT_EQ(parse(bad, &p), CV_MALFORMED);
}

FlowRewrite to(const Endpoint& source, const Endpoint& destination, uint32_t seq = 0,
               uint32_t ack = 0) {
  return {source, destination, seq, ack};
}

TEST(SoftFlowTable, RewritesEverythingAndChecksumsAreAsIfSummedAfresh) {
  std::mt19937 r(5);
  for (const bool v6 : {false, true}) {
    SoftFlowTable table(10, 3);
    const Endpoint a = v6 ? k6 : k4, b = v6 ? k6x : k4x, c = v6 ? k6y : k4y;
    ASSERT_TRUE(table.install({6, a, b}, to(b, c, 0xfffffff0u, 12345)).ok());
    ASSERT_TRUE(table.install({17, a, b}, to(c, a)).ok());
    uint64_t bytes = 0;
    for (int i = 0; i < 2000; ++i) {
      const std::string text(r() % 30, 'x');
      const auto seq = static_cast<uint32_t>(r()), ack = static_cast<uint32_t>(r());
      Buffer t = tcp(a, b, kAck, seq, ack, text), u = udp(a, b, text);
      ASSERT_EQ(table.process(net::Time(i), t), SoftFlowTable::Verdict::rewritten);
      EXPECT_EQ(t, tcp(b, c, kAck, seq + 0xfffffff0u, ack + 12345, text));
      ASSERT_EQ(table.process(net::Time(i), u), SoftFlowTable::Verdict::rewritten);
      EXPECT_EQ(u, udp(c, a, text));
      bytes += t.size();
    }
    const auto stats = table.stats({6, a, b});
    ASSERT_TRUE(stats.ok());
    EXPECT_EQ(stats->packets, 2000u);
    EXPECT_EQ(stats->bytes, bytes);
    EXPECT_EQ(stats->last_seen, net::Time(1999));
  }
}

TEST(SoftFlowTable, ShiftsSackBlocksWhereverTheyLie) {
  for (const int pads : {0, 1, 2, 3}) {
    SoftFlowTable table(1);
    ASSERT_TRUE(table.install({6, k4, k4x}, to(k4x, k4y, 100, 0x10000000)).ok());
    const auto options = [&](uint32_t shift) {
      Buffer o(static_cast<size_t>(pads), 1);
      o.insert(o.end(), {5, 18});
      const size_t first = o.size();
      o.resize(first + 16);
      for (uint32_t k = 0; k < 4; ++k) set32(o, first + 4 * k, 0xf0001234u + k * 0x1111111 + shift);
      while (o.size() % 4) o.push_back(1);
      return o;
    };
    Buffer p = tcp(k4, k4x, kAck, 1, 2, "payload", options(0));
    ASSERT_EQ(table.process(net::Time(0), p), SoftFlowTable::Verdict::rewritten);
    EXPECT_EQ(p, tcp(k4x, k4y, kAck, 101, 2 + 0x10000000, "payload", options(0x10000000)));
  }
}

TEST(SoftFlowTable, WorksOnAViewAndLeavesTheRestAlone) {
  SoftFlowTable table(1);
  ASSERT_TRUE(table.install({6, k4, k4x}, to(k4x, k4y, 5, 6)).ok());
  Buffer p = tcp(k4, k4x, kAck, 1, 2, std::string(1000, 'x'));
  EXPECT_EQ(table.process(net::Time(0), {p.data(), 80}, p.size()),
            SoftFlowTable::Verdict::rewritten);
  EXPECT_EQ(p, tcp(k4x, k4y, kAck, 6, 8, std::string(1000, 'x')));
  const Buffer other = tcp(k4x, k4, kAck);
  for (size_t size = 0; size <= other.size(); ++size) {
    Buffer q = other;
    EXPECT_EQ(table.process(net::Time(0), {q.data(), size}, q.size()),
              SoftFlowTable::Verdict::miss);
    EXPECT_EQ(q, other);
  }
}

TEST(SoftFlowTable, ReusesFreedPlacesAndRefusesInWords) {
  using net::Error;
  SoftFlowTable table(2);
  EXPECT_EQ(table.install({1, k4, k4x}, to(k4, k4x)).error, Error::invalid);
  EXPECT_EQ(table.install({6, k4, k6x}, to(k4, k4x)).error, Error::invalid);
  EXPECT_EQ(table.install({17, k4, k4x}, to(k4, k4x, 1)).error, Error::invalid);
  EXPECT_TRUE(table.install({6, k4, k4x}, to(k4, k4x)).ok());
  EXPECT_EQ(table.install({6, k4, k4x}, to(k4, k4y)).error, Error::in_use);
  EXPECT_TRUE(table.install({17, k4, k4x}, to(k4, k4x)).ok());
  EXPECT_EQ(table.install({17, k4, k4y}, to(k4, k4x)).error, Error::exhausted);
  EXPECT_TRUE(table.remove({6, k4, k4x}).ok());
  EXPECT_EQ(table.remove({6, k4, k4x}).error, Error::not_found);
  EXPECT_EQ(table.stats({6, k4, k4x}).error(), Error::not_found);
  EXPECT_TRUE(table.install({17, k4, k4y}, to(k4, k4x)).ok());
  EXPECT_EQ(table.size(), 2u);
}

TEST(Partial, ChecksumsFollowTheAddressesOnly) {
  Buffer p = udp(k4, k4x);
  const uint32_t sum = sum_of(p.data() + 12, 8, 17 + 13);
  set16(p, 26, static_cast<uint16_t>(sum_of(nullptr, 0, sum)));
  cv_packet parsed;
  ASSERT_EQ(parse(p, &parsed), CV_OK);
  cv_rewrite rewrite = {};
  rewrite.what = CV_SET_SOURCE | CV_SET_SOURCE_PORT;
  std::copy_n(k4y.ip.bytes().begin(), 4, rewrite.source);
  rewrite.source_port = 8000;
  cv_deltas deltas;
  ASSERT_EQ(cv_rewrite_fields(p.data(), p.data() + p.size(), &parsed, &rewrite, &deltas), CV_OK);
  cv_apply_deltas_partial(p.data(), p.data() + p.size(), &parsed, &deltas);
  // Whoever completes it sums the segment with the field holding the pseudo-header's sum.
  Buffer done = p;
  set16(done, 26, folded(sum_of(done.data() + 20, done.size() - 20)));
  EXPECT_EQ(done, udp(k4y, k4x));
}

TEST(FlatIndex, AgreesWithAMapUnderChurn) {
  std::mt19937 r(9);
  FlatIndex index;
  std::vector<bool> there(1000);
  const auto hash = [](uint32_t i) { return i % 7 * 0x01000000u + i % 97; };  // many collisions
  size_t count = 0;
  for (int step = 0; step < 20000; ++step) {
    const uint32_t i = static_cast<uint32_t>(r() % there.size());
    if (there[i]) {
      EXPECT_TRUE(index.erase(hash(i), i));
    } else {
      index.insert(hash(i), i);
    }
    count += there[i] ? -1 : 1;
    there[i] = !there[i];
    const uint32_t k = static_cast<uint32_t>(r() % there.size());
    ASSERT_EQ(index.find(hash(k), [&](uint32_t x) { return x == k; }), there[k] ? k : kNoRecord);
    ASSERT_EQ(index.size(), count);
  }
}

TEST(Bpf, TheHeadersCompileForTheKernel) {
  if (std::system("clang --version > /dev/null 2>&1") != 0) GTEST_SKIP() << "no clang";
  const std::string command = std::string("clang -target bpf -O2 -Wall -Wextra -Werror -I ") +
                              CULVERT_SOURCE_DIR + " -c " + CULVERT_SOURCE_DIR +
                              "/tests/unit/packet/rewrite.bpf.c -o /dev/null";
  EXPECT_EQ(std::system(command.c_str()), 0) << command;
}

TEST(SoftFlowTable, TellsOfAPacketOnItsLastHopAndLeavesItAlone) {
  for (const bool v4 : {true, false}) {
    SoftFlowTable table(1);
    const FlowKey key{CV_UDP, v4 ? k4 : k6, v4 ? k4x : k6x};
    ASSERT_TRUE(table.install(key, {v4 ? k4x : k6x, v4 ? k4y : k6y}).ok());
    for (const uint8_t ttl : {0, 1}) {
      Buffer p = udp(key.source, key.destination);
      p[v4 ? 8 : 7] = ttl;
      const Buffer before = p;
      EXPECT_EQ(table.process(net::Time(0), p), SoftFlowTable::Verdict::expired);
      EXPECT_EQ(p, before);
    }
    EXPECT_EQ(table.stats(key)->packets, 0u);
  }
}

TEST(IcmpError, QuotesThePacketAndIsAsAnIndependentBuilderMakesIt) {
  const Buffer about4 = udp(k4, k4x), about6 = udp(k6, k6x);
  const struct {
    const Buffer& about;
    IcmpError what;
    uint8_t type, code;
  } rows[] = {{about4, IcmpError::ttl_exceeded, 11, 0},
              {about4, IcmpError::too_big, 3, 4},
              {about6, IcmpError::ttl_exceeded, 3, 0},
              {about6, IcmpError::too_big, 2, 0}};
  for (const auto& row : rows) {
    const bool v4 = row.about[0] >> 4 == 4;
    const net::IpAddress source = v4 ? k4y.ip : k6y.ip;
    const uint32_t mtu = row.what == IcmpError::too_big ? 1300 : 0;
    const Buffer made = make_icmp_error(row.about, row.what, source, mtu);
    cv_packet parsed;
    ASSERT_EQ(parse(made, &parsed), CV_OK);
    EXPECT_EQ(parsed.flags, CV_ICMP_ERROR);
    EXPECT_EQ(parsed.icmp_type, row.type);
    EXPECT_EQ(parsed.icmp_code, row.code);
    EXPECT_EQ(parsed.length, made.size());
    EXPECT_EQ(address_at(&made[v4 ? 12 : 8], v4 ? 4 : 6), source);
    EXPECT_EQ(address_at(&made[v4 ? 16 : 24], v4 ? 4 : 6), v4 ? k4.ip : k6.ip);
    EXPECT_EQ(Buffer(made.begin() + parsed.l4 + 8, made.end()), row.about);
    EXPECT_EQ(cv_swap32(cv_load32(&made[parsed.l4 + 4u])), mtu);
    EXPECT_TRUE(checksums_right(made));
  }
}

TEST(IcmpError, IsNotSentToWhatIsNoSingleHost) {
  for (const char* sender : {"0.0.0.0:1", "127.0.0.1:1", "224.0.0.1:1", "255.255.255.255:1"})
    EXPECT_TRUE(make_icmp_error(udp(at(sender), k4x), IcmpError::ttl_exceeded, k4y.ip).empty());
  EXPECT_TRUE(make_icmp_error(udp(k4, k4x), IcmpError::ttl_exceeded, k6.ip).empty());
  const Buffer whole = udp(k4, k4x);
  for (size_t n = 0; n < 20; ++n)
    EXPECT_TRUE(make_icmp_error({whole.data(), n}, IcmpError::too_big, k4y.ip).empty());
}

}  // namespace
}  // namespace culvert::packet
