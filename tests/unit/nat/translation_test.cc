// Packets through the NAT: checksums against full recomputation, truncated views, echo, ICMP errors
// with the packet inside, fragments, malformed input, batches.
#include <gmock/gmock.h>

#include <random>

#include "tests/unit/nat/net_of_one.h"

namespace culvert::nat {
namespace {

using namespace testing_;

std::string text_of(std::mt19937& r, size_t most) {
  std::string text(r() % (most + 1), 0);
  for (char& c : text) c = static_cast<char>(r());
  return text;
}

TEST(Checksums, OfRandomPacketsAreAsIfSummedAfresh) {
  std::mt19937 r(1);
  NetOfOne n("eim-eif,udp_refresh=both");
  for (int i = 0; i < 20000; ++i) {
    const Endpoint a{IpAddress::v4(0x0a000000 + r() % 65536), static_cast<uint16_t>(r() % 50 + 1)};
    const Endpoint x{IpAddress::v4(0xc6000000 + r() % 65536), static_cast<uint16_t>(r() % 65535)};
    Buffer p = r() & 1 ? udp(a, x, text_of(r, 40))
                       : tcp(a, x, kSyn, static_cast<uint32_t>(r()), 0, text_of(r, 40));
    const Buffer before = p;
    const Endpoint e = n.out_packet(p);  // asserts the checksums
    ASSERT_NE(e, kNone) << to_string(n.last.reason);
    // Nothing else has changed.
    Buffer q = n.packet;
    std::copy_n(before.begin() + 12, 4, q.begin() + 12);
    std::copy_n(before.begin() + 20, 2, q.begin() + 20);
    fix_header(q);
    fix_transport(q);
    ASSERT_EQ(q, before);
    Buffer answer = protocol_of(p) == 17 ? udp(x, e, text_of(r, 40))
                                         : tcp(x, e, kSyn | kAck, 5, 6, text_of(r, 40));
    ASSERT_EQ(n.in_packet(answer), a);
  }
}

TEST(Checksums, UdpWithoutOneStaysWithoutAndZeroIsSentAsAllOnes) {
  NetOfOne n("eim-apdf");
  Buffer p = udp(kA, kX);
  set16(p, 26, 0);
  n.last = n.nat->outbound(n.now, p);
  EXPECT_EQ(get16(p, 26), 0);
  const Endpoint e = source_of(p);
  // A payload chosen so that the translated packet sums to zero.
  Buffer q = udp(kX, e, "ab");
  Buffer wanted = udp(kX, kA, "ab");
  set16(wanted, 28, 0);
  set16(wanted, 26, 0);
  const uint16_t missing = transport_checksum(wanted);
  set16(q, 28, missing);
  fix_transport(q);
  EXPECT_EQ(n.in_packet(q), kA);
  EXPECT_EQ(stored_checksum(n.packet), 0xffff);
}

TEST(Checksums, AWrongOneStaysWrong) {
  NetOfOne n("eim-apdf");
  Buffer p = udp(kA, kX);
  p[26] ^= 0x40;
  n.nat->outbound(n.now, p);
  EXPECT_TRUE(header_checksum_right(p));
  EXPECT_NE(stored_checksum(p), transport_checksum(p));
}

TEST(View, OfTheHeadersIsEnough) {
  NetOfOne whole("eim-apdf"), part("eim-apdf");
  const std::string text(1200, 'x');
  for (const Buffer& packet : {udp(kA, kX, text), tcp(kA, kX, kSyn, 1, 0, text)}) {
    Buffer p = packet, q = packet;
    whole.nat->outbound(whole.now, p);
    const auto outcome = part.nat->outbound(part.now, {q.data(), 80}, q.size());
    EXPECT_EQ(outcome.action, Action::forward_out);
    EXPECT_EQ(p, q);
    EXPECT_TRUE(checksums_right(q));
  }
}

TEST(View, TooShortIsRefusedUntouched) {
  NetOfOne n("eim-apdf");
  const Buffer p = tcp(kA, kX, kSyn);
  for (size_t size = 0; size < 40; ++size) {
    Buffer q = p;
    const auto outcome = n.nat->outbound(n.now, {q.data(), size}, q.size());
    EXPECT_EQ(outcome.reason, Reason::malformed);
    EXPECT_EQ(p, q);
  }
  Buffer q = p;
  EXPECT_EQ(n.nat->outbound(n.now, q, q.size() - 1).reason, Reason::malformed);
  EXPECT_EQ(n.nat->outbound(n.now, {}, 0).reason, Reason::malformed);
}

TEST(Options, OfTheIpHeaderAreSteppedOver) {
  NetOfOne n("eim-apdf");
  Buffer p = udp(kA, kX);
  p.insert(p.begin() + 20, {1, 1, 1, 0});
  p[0] = 0x46;
  set16(p, 2, static_cast<uint32_t>(p.size()));
  fix_header(p);
  EXPECT_NE(n.out_packet(p), kNone);
}

TEST(Echo, TheIdentifierIsMappedAndOnlyTheAnswerComesBack) {
  for (const char* kind : {"eim-eif", "apdm-apdf"}) {
    NetOfOne n(kind);
    Buffer p = echo(kA.ip, kX.ip, 77, true);
    EXPECT_EQ(n.nat->outbound(n.now, p).action, Action::forward_out);
    EXPECT_TRUE(checksums_right(p));
    const uint16_t id = get16(p, 24);
    const IpAddress e = source_of(p).ip;
    Buffer other = echo(kB.ip, kX.ip, 77, true);
    n.nat->outbound(n.now, other);
    EXPECT_NE(get16(other, 24), id);
    Buffer answer = echo(kX.ip, e, id, false);
    EXPECT_EQ(n.nat->inbound(n.now, answer).action, Action::forward_in);
    EXPECT_TRUE(checksums_right(answer));
    EXPECT_EQ(destination_of(answer).ip, kA.ip);
    EXPECT_EQ(get16(answer, 24), 77);
    Buffer stranger = echo(kY.ip, e, id, false);
    EXPECT_EQ(n.nat->inbound(n.now, stranger).action, Action::drop);
    Buffer request = echo(kX.ip, e, id, true);
    EXPECT_EQ(n.nat->inbound(n.now, request).action, Action::deliver_local);
    n.wait(60s);
    Buffer late = echo(kX.ip, e, id, false);
    EXPECT_EQ(n.nat->inbound(n.now, late).reason, Reason::no_mapping);
  }
}

// The inner packet of an ICMP error, cut out.
Buffer inner_of(const Buffer& p) { return Buffer(p.begin() + 28, p.end()); }

TEST(IcmpError, FromOutsideShowsTheHostItsOwnPacket) {
  const IpAddress router = *IpAddress::parse("198.18.0.1");
  for (const Buffer& sent :
       {udp(kA, kX, "question"), tcp(kA, kX, kSyn), echo(kA.ip, kX.ip, 9, true)})
    for (const size_t quote : {28u, 1000u}) {
      NetOfOne n("eim-apdf");
      Buffer p = sent;
      ASSERT_EQ(n.nat->outbound(n.now, p).action, Action::forward_out);
      const IpAddress e = source_of(p).ip;
      Buffer error = icmp_error(router, e, 11, 0, p, quote);
      ASSERT_EQ(n.nat->inbound(n.now, error).action, Action::forward_in);
      EXPECT_TRUE(checksums_right(error));
      EXPECT_EQ(destination_of(error).ip, kA.ip);
      EXPECT_EQ(source_of(error).ip, router);
      const Buffer inner = inner_of(error);
      EXPECT_EQ(inner, Buffer(sent.begin(), sent.begin() + static_cast<long>(inner.size())));
      // About a packet that was never sent: not for anybody here.
      Buffer forged = icmp_error(router, e, 11, 0, udp({e, 1}, kX), quote);
      EXPECT_EQ(n.nat->inbound(n.now, forged).reason, Reason::unmatched_icmp);
    }
}

TEST(IcmpError, DoesNotRefreshAndComesInAViewOf128Bytes) {
  NetOfOne n("eim-apdf,udp_new=30s,udp_refresh=both");
  Buffer p = udp(kA, kX, std::string(600, 'q'));
  n.nat->outbound(n.now, p);
  n.now = 20s;
  Buffer error = icmp_error(kX.ip, source_of(p).ip, 3, 4, p, 576);
  EXPECT_EQ(n.nat->inbound(n.now, {error.data(), 128}, error.size()).action, Action::forward_in);
  EXPECT_TRUE(checksums_right(error));
  n.now = 30s;
  Buffer late = icmp_error(kX.ip, source_of(p).ip, 3, 4, p, 576);
  EXPECT_EQ(n.nat->inbound(n.now, late).reason, Reason::unmatched_icmp);
}

TEST(IcmpError, FromInsideShowsTheRemoteItsOwnPacket) {
  const IpAddress inside_router = *IpAddress::parse("10.0.0.254");
  for (const IpAddress& reporter : {kA.ip, inside_router}) {
    NetOfOne n("eim-apdf");
    const Endpoint e = n.out(kA, kX);
    const Buffer sent = udp(kX, e, "answer");
    ASSERT_EQ(n.in_packet(sent), kA);
    Buffer error = icmp_error(reporter, kX.ip, 3, 3, n.packet);
    ASSERT_EQ(n.nat->outbound(n.now, error).action, Action::forward_out);
    EXPECT_TRUE(checksums_right(error));
    EXPECT_EQ(source_of(error).ip, e.ip);
    EXPECT_EQ(inner_of(error), sent);
  }
}

TEST(IcmpError, GoesThroughAHairpin) {
  NetOfOne n("eim-eif,hairpin=external");
  const Endpoint ea = n.out(kA, kX), eb = n.out(kB, kX);
  const Buffer sent = udp(kA, eb, "over the bend");
  ASSERT_TRUE(n.hairpin(sent));
  Buffer error = icmp_error(kB.ip, ea.ip, 3, 3, n.packet);
  ASSERT_EQ(n.nat->outbound(n.now, error).action, Action::hairpin);
  EXPECT_TRUE(checksums_right(error));
  EXPECT_EQ(destination_of(error).ip, kA.ip);
  EXPECT_EQ(source_of(error).ip, eb.ip);
  EXPECT_EQ(inner_of(error), sent);
}

TEST(IcmpError, ThroughAnIpv6Firewall) {
  NetOfOne n("firewall-only");
  const Endpoint a = at("[2001:db8::2]:5000"), x = at("[2001:db8:1::1]:7000");
  Buffer p = udp(a, x);
  n.nat->outbound(n.now, p);
  Buffer error = icmp_error(x.ip, a.ip, 1, 4, p);
  EXPECT_EQ(n.nat->inbound(n.now, error).action, Action::forward_in);
  Buffer forged = icmp_error(x.ip, a.ip, 1, 4, udp(a, at("[2001:db8:1::9]:7000")));
  EXPECT_EQ(n.nat->inbound(n.now, forged).reason, Reason::unmatched_icmp);
}

// A datagram in pieces of eight-byte multiples, as IPv4 fragments.
std::vector<Buffer> fragments(const Buffer& whole, size_t piece, uint16_t id) {
  std::vector<Buffer> all;
  for (size_t i = 20; i < whole.size(); i += piece) {
    const size_t end = std::min(i + piece, whole.size());
    Buffer f(whole.begin(), whole.begin() + 20);
    f.insert(f.end(), whole.begin() + static_cast<long>(i), whole.begin() + static_cast<long>(end));
    set16(f, 2, static_cast<uint32_t>(f.size()));
    set16(f, 4, id);
    set16(f, 6, static_cast<uint32_t>((i - 20) / 8 | (end < whole.size() ? 0x2000 : 0)));
    fix_header(f);
    all.push_back(f);
  }
  return all;
}
Buffer reassembled(const std::vector<Buffer>& parts) {
  Buffer whole(parts[0].begin(), parts[0].begin() + 20);
  for (const Buffer& f : parts) {
    EXPECT_TRUE(header_checksum_right(f));
    EXPECT_EQ(Buffer(f.begin() + 12, f.begin() + 20),
              Buffer(parts[0].begin() + 12, parts[0].begin() + 20));
    whole.insert(whole.end(), f.begin() + 20, f.end());
  }
  set16(whole, 2, static_cast<uint32_t>(whole.size()));
  set16(whole, 6, 0);
  fix_header(whole);
  return whole;
}

TEST(Fragments, FollowTheFirstBothWays) {
  NetOfOne n("eim-apdf");
  const std::string text(6000, 'f');
  auto parts = fragments(udp(kA, kX, text), 1480, 99);
  ASSERT_EQ(parts.size(), 5u);
  for (Buffer& f : parts) EXPECT_EQ(n.nat->outbound(n.now, f).action, Action::forward_out);
  const Buffer sent = reassembled(parts);
  EXPECT_TRUE(checksums_right(sent));
  const Endpoint e = source_of(sent);
  EXPECT_EQ(e.ip, *IpAddress::parse("203.0.113.1"));
  parts = fragments(udp(kX, e, text), 1480, 100);
  for (Buffer& f : parts) EXPECT_EQ(n.nat->inbound(n.now, f).action, Action::forward_in);
  EXPECT_TRUE(checksums_right(reassembled(parts)));
  EXPECT_EQ(destination_of(reassembled(parts)), kA);
}

TEST(Fragments, BeforeTheFirstOrOfAnotherDatagramAreDropped) {
  NetOfOne n("eim-apdf,fragment=30s,max_fragments=4");
  auto parts = fragments(udp(kA, kX, std::string(100, 'f')), 48, 99);
  Buffer early = parts[1];
  EXPECT_EQ(n.nat->outbound(n.now, early).reason, Reason::fragment_early);
  Buffer first = parts[0];
  EXPECT_EQ(n.nat->outbound(n.now, first).action, Action::forward_out);
  Buffer second = parts[1];
  EXPECT_EQ(n.nat->outbound(n.now, second).action, Action::forward_out);
  Buffer other = fragments(udp(kA, kX, std::string(100, 'f')), 48, 98)[1];
  EXPECT_EQ(n.nat->outbound(n.now, other).reason, Reason::fragment_early);
  n.wait(30s);
  Buffer late = parts[2];
  EXPECT_EQ(n.nat->outbound(n.now, late).reason, Reason::fragment_early);
  // Five datagrams under way with room for four: the oldest is forgotten.
  for (uint16_t id = 1; id <= 5; ++id) {
    Buffer f = fragments(udp(kA, kX, std::string(100, 'f')), 48, id)[0];
    n.nat->outbound(n.now, f);
  }
  for (uint16_t id = 1; id <= 5; ++id) {
    Buffer f = fragments(udp(kA, kX, std::string(100, 'f')), 48, id)[1];
    EXPECT_EQ(n.nat->outbound(n.now, f).action == Action::forward_out, id != 1);
  }
}

TEST(Fragments, ATinyFirstTcpFragmentIsRefused) {
  NetOfOne n("eim-apdf");
  Buffer f = fragments(tcp(kA, kX, kSyn, 1, 0, "payload"), 8, 5)[0];
  EXPECT_EQ(n.nat->outbound(n.now, f).reason, Reason::malformed);
}

TEST(Fragments, OfIpv6PassTheFirewallBehindTheirFirst) {
  NetOfOne n("firewall-only");
  const Endpoint a = at("[2001:db8::2]:5000"), x = at("[2001:db8:1::1]:7000");
  const Buffer whole = udp(a, x, std::string(64, 'f'));
  const auto piece = [&](size_t from, size_t to, bool more) {
    Buffer f(whole.begin(), whole.begin() + 40);
    f[6] = 44;
    f.insert(f.end(), {17, 0, 0, 0, 0, 0, 0, 9});
    set16(f, 42, static_cast<uint32_t>(from | (more ? 1 : 0)));
    f.insert(f.end(), whole.begin() + 40 + static_cast<long>(from),
             whole.begin() + 40 + static_cast<long>(to));
    set16(f, 4, static_cast<uint32_t>(f.size() - 40));
    return f;
  };
  Buffer second = piece(40, 72, false), first = piece(0, 40, true);
  EXPECT_EQ(n.nat->outbound(n.now, second).reason, Reason::fragment_early);
  EXPECT_EQ(n.nat->outbound(n.now, first).action, Action::forward_out);
  EXPECT_EQ(n.nat->outbound(n.now, second).action, Action::forward_out);
}

TEST(Batch, GivesTheSameOutcomesAsOneByOne) {
  std::mt19937 r(3);
  NetOfOne one("apdm-adf"), many("apdm-adf");
  std::vector<Buffer> a, b;
  for (int i = 0; i < 100; ++i) {
    a.push_back(udp({kA.ip, static_cast<uint16_t>(r() % 30 + 1)},
                    {kX.ip, static_cast<uint16_t>(r() % 3 + 1)}));
    b.push_back(a.back());
  }
  std::vector<Nat::Item> items;
  for (Buffer& p : b) items.push_back({p, p.size(), Side::inside, {}});
  items.push_back({{}, 0, Side::outside, {}});
  many.nat->process(many.now, items);
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(one.nat->outbound(one.now, a[i]).mapping, items[i].outcome.mapping);
    EXPECT_EQ(a[i], b[i]);
  }
  EXPECT_EQ(items.back().outcome.reason, Reason::malformed);
}

TEST(Observer, HearsOfEveryPacketAndWhy) {
  struct Watch : Observer {
    bool wants_packets() const override { return true; }
    void mapping_created(Time, const MappingInfo& m) override {
      log += "created " + m.internal.to_string() + "\n";
    }
    void translated(Time, Side, const Tuple& before, const Tuple& after, const Outcome&) override {
      log += before.source.to_string() + ">" + before.destination.to_string() + " as " +
             after.source.to_string() + ">" + after.destination.to_string() +
             (before.icmp_error ? " error" : "") + "\n";
    }
    void refused(Time, Side, const Tuple& t, const Outcome& o) override {
      log += t.source.to_string() + " " + std::string(to_string(o.reason)) + "\n";
    }
    std::string log;
  } watch;
  NetOfOne n("eim-apdf,ports=preserving");
  n.nat->set_observer(&watch);
  const Endpoint e = n.out(kA, kX);
  const Buffer sent = n.packet;
  n.in(kX, e);
  n.in(kY, e);
  n.in_packet(icmp_error(kX.ip, e.ip, 3, 3, sent));
  EXPECT_EQ(watch.log,
            "created 10.0.0.2:5000\n"
            "10.0.0.2:5000>198.51.100.1:7000 as 203.0.113.1:5000>198.51.100.1:7000\n"
            "198.51.100.1:7000>203.0.113.1:5000 as 198.51.100.1:7000>10.0.0.2:5000\n"
            "198.51.100.2:7000 filtered_address\n"
            "203.0.113.1:5000>198.51.100.1:7000 as 10.0.0.2:5000>198.51.100.1:7000 error\n");
  EXPECT_EQ(n.nat->counters().in, 2u);
  EXPECT_EQ(n.nat->counters().by_reason[static_cast<int>(Reason::filtered_address)], 1u);
}

}  // namespace
}  // namespace culvert::nat
