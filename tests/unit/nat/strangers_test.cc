// What neither strangers nor odd packets nor odd commands can do to a NAT.
#include <gmock/gmock.h>

#include <set>

#include "tests/unit/nat/net_of_one.h"

namespace culvert::nat {
namespace {

using namespace testing_;

const IpAddress kPublic = *IpAddress::parse("203.0.113.1");

// RFC 4787 REQ-6: without inbound refresh nobody outside can keep a mapping open, not by coming
// from ever other ports either.
TEST(Strangers, DoNotProlongAMappingThatOnlyOutboundRefreshes) {
  for (const char* kind : {"eim-eif", "eim-adf", "eim-adf,filter_state=endpoint"}) {
    NetOfOne n(std::string(kind) + ",udp_new=30s,udp_stream=30s,udp_refresh=outbound");
    const Endpoint e = n.out(kA, kX);
    n.now = 20s;
    EXPECT_EQ(n.in(kX2, e), kA) << kind;
    n.now = 30s;
    EXPECT_EQ(n.in(kX2, e), kNone) << kind;
    EXPECT_EQ(n.last.reason, Reason::no_mapping) << kind;
  }
}

TEST(Strangers, LiveAsLongAsTheMappingThatLetThemIn) {
  // The answer still leaves by the mapping it came in on (binding), however late within its life.
  NetOfOne n("apdm-eif,udp_new=30s,udp_stream=30s,udp_refresh=outbound");
  const Endpoint e = n.out(kA, kX);
  n.now = 10s;
  EXPECT_EQ(n.in(kY, e), kA);
  n.now = 20s;
  EXPECT_EQ(n.out(kA, kX), e);  // lives until 50 s
  EXPECT_EQ(n.in(kX2, e), kA);
  n.now = 45s;
  EXPECT_EQ(n.out(kA, kX2), e);  // and now until 75 s
  EXPECT_EQ(n.in(kX, e), kA);
  n.now = 74s;
  EXPECT_EQ(n.in(kX2, e), kA);
  n.now = 75s;
  EXPECT_EQ(n.in(kX2, e), kNone);
}

TEST(Strangers, ProlongItWhereInboundPacketsMay) {
  NetOfOne n("eim-eif,udp_new=30s,udp_stream=30s,udp_refresh=both");
  const Endpoint e = n.out(kA, kX);
  n.now = 20s;
  EXPECT_EQ(n.in(kX2, e), kA);
  n.now = 40s;
  EXPECT_EQ(n.in(kX2, e), kA);
}

// RFC 1122 section 3.2.2: no ICMP error to what is no single host's address.
TEST(Unsolicited, FromAnAddressThatIsNobodysIsNotAnswered) {
  NetOfOne n("eim-apdf,unsolicited_udp=icmp,unsolicited_tcp=rst");
  const Endpoint e{kPublic, 4000};
  n.in(kX, e);
  EXPECT_EQ(n.last.action, Action::reply);
  for (const char* nobody : {"0.0.0.0:9", "127.0.0.1:9", "224.0.0.1:9", "255.255.255.255:9"}) {
    n.in(at(nobody), e);
    EXPECT_EQ(n.last.action, Action::drop) << nobody;
    n.in_tcp(at(nobody), e, kSyn);
    EXPECT_EQ(n.last.action, Action::drop) << nobody;
  }
  NetOfOne firewall("firewall-only,unsolicited_udp=icmp");
  for (const char* nobody : {"[::]:9", "[::1]:9", "[ff02::1]:9"}) {
    firewall.in(at(nobody), at("[2001:db8::2]:9"));
    EXPECT_EQ(firewall.last.action, Action::drop) << nobody;
  }
}

// A large ping to the router itself comes in fragments, and the router gets all of them.
TEST(Unsolicited, AFragmentedPingReachesTheRouterWhole) {
  NetOfOne n("eim-apdf");
  Buffer first = echo(kX.ip, kPublic, 7, true, std::string(40, 'p'));
  Buffer second = first;
  set16(first, 6, 0x2000);
  fix_header(first);
  set16(second, 6, 6);  // 48 bytes further
  fix_header(second);
  EXPECT_EQ(n.nat->inbound(n.now, second).reason, Reason::fragment_early);
  EXPECT_EQ(n.nat->inbound(n.now, first).action, Action::deliver_local);
  const Outcome outcome = n.nat->inbound(n.now, second);
  EXPECT_EQ(outcome.action, Action::deliver_local);
  EXPECT_EQ(outcome.reason, Reason::no_mapping);
}

TEST(Addresses, NamedTwiceAreOne) {
  NetOfOne n("eim-apdf,port_first=1024,port_last=1027,pooling=arbitrary,udp_new=30s",
             {"203.0.113.1", "203.0.113.1"});
  for (int round = 0; round < 3; ++round) {
    std::set<Endpoint> seen;
    for (uint16_t port = 1; port <= 4; ++port) seen.insert(n.out({kA.ip, port}, kX));
    EXPECT_EQ(seen.size(), 4u);
    EXPECT_EQ(seen.count(kNone), 0u);
    EXPECT_EQ(n.out({kA.ip, 5}, kX), kNone);
    EXPECT_EQ(n.last.reason, Reason::ports_exhausted);
    n.wait(31s);
  }
}

TEST(Addresses, AreCheckedBeforeTheyAreUsed) {
  const Config nat = *from_preset("symmetric"), firewall = *from_preset("firewall-only");
  EXPECT_TRUE(check_addresses(nat, {kPublic}).ok());
  EXPECT_FALSE(check_addresses(nat, {}).ok());
  EXPECT_FALSE(check_addresses(nat, {*IpAddress::parse("2001:db8::1")}).ok());
  EXPECT_TRUE(check_addresses(firewall, {}).ok());
  std::vector<IpAddress> many;
  for (uint32_t i = 0; i < 4097; ++i) many.push_back(IpAddress::v4(0x0b000001 + i));
  EXPECT_FALSE(check_addresses(nat, many).ok());
  NetOfOne n("symmetric");
  EXPECT_THROW(n.nat->change_address(n.now, {}), std::invalid_argument);
  EXPECT_NE(n.out(kA, kX), kNone);  // nothing half-changed
}

TEST(Time, BeforeItsOriginIsNoTrap) {
  // A run may be told that its clock's origin is still to come.
  NetOfOne n("eim-eif,udp_new=30s");
  n.now = -40s;
  n.nat->reboot(n.now);
  const Endpoint e = n.out(kA, kX);
  EXPECT_EQ(n.in(kX, e), kA);
  n.now = -10s;
  EXPECT_EQ(n.in(kX, e), kNone);
  n.now = 100s;
  n.nat->expire(n.now);
  EXPECT_EQ(n.nat->mapping_count(), 0u);
}

}  // namespace
}  // namespace culvert::nat
