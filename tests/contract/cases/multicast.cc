// Multicast on the link a–r: membership, loopback, TTL.
#include "tests/contract/collect.h"

namespace culvert::contract {
namespace {

class MulticastCase : public ContractBothFamilies {
 protected:
  void SetUp() override {
    ContractBothFamilies::SetUp();
    if (IsSkipped()) return;
    group = family() == Family::v4 ? ip("239.1.2.3") : ip("ff05::1:2:3");
    sender = open(world->a());
    receiver = open(world->r());
  }
  void TearDown() override { sender.reset(), receiver.reset(); }
  std::unique_ptr<net::DatagramSocket> open(net::Host& host, bool share = false) {
    net::DatagramOptions options;
    options.local = {at().any, 6000};
    options.share_port = share;
    return std::move(*host.open_datagram(options));
  }
  void send(const char* text) {
    EXPECT_TRUE(sender->send_to({group, 6000}, net::as_bytes(text)).ok());
  }
  IpAddress group;
  std::unique_ptr<net::DatagramSocket> sender, receiver;
};
CONTRACT_BOTH_FAMILIES(MulticastCase);

TEST_P(MulticastCase, members_get_it_until_they_leave) {
  Inbox inbox(*receiver);
  ASSERT_TRUE(sender->set_multicast(at().a, 1, false).ok());
  send("before joining");
  world->settle();
  EXPECT_TRUE(inbox.got.empty());
  const net::Status joined = receiver->join(group, at().r_near);
  ASSERT_TRUE(joined.ok()) << joined.to_string();
  send("while a member");
  ASSERT_TRUE(until([&] { return !inbox.got.empty(); }));
  EXPECT_EQ(inbox.got[0].text, "while a member");
  EXPECT_EQ(inbox.got[0].from, (Endpoint{at().a, 6000}));
  EXPECT_EQ(inbox.got[0].to, (Endpoint{group, 6000}));
  EXPECT_EQ(inbox.got[0].ttl, 1);
  EXPECT_TRUE(receiver->leave(group, at().r_near).ok());
  send("after leaving");
  world->settle();
  EXPECT_EQ(inbox.got.size(), 1u);
}

TEST_P(MulticastCase, the_ttl_is_the_one_set) {
  Inbox inbox(*receiver);
  ASSERT_TRUE(receiver->join(group, at().r_near).ok());
  ASSERT_TRUE(sender->set_multicast(at().a, 9, false).ok());
  send("x");
  ASSERT_TRUE(until([&] { return !inbox.got.empty(); }));
  EXPECT_EQ(inbox.got[0].ttl, 9);
}

TEST_P(MulticastCase, the_sending_host_hears_itself_only_with_loopback) {
  ASSERT_TRUE(sender->join(group, at().a).ok());
  Inbox inbox(*sender);
  ASSERT_TRUE(sender->set_multicast(at().a, 1, false).ok());
  send("silent");
  world->settle();
  EXPECT_TRUE(inbox.got.empty());
  ASSERT_TRUE(sender->set_multicast(at().a, 1, true).ok());
  send("loud");
  ASSERT_TRUE(until([&] { return !inbox.got.empty(); }));
  EXPECT_EQ(inbox.got[0].text, "loud");
}

TEST_P(MulticastCase, joining_twice_is_in_use_and_leaving_what_was_left_not_available) {
  EXPECT_TRUE(receiver->join(group, at().r_near).ok());
  EXPECT_EQ(receiver->join(group, at().r_near).error, Error::in_use);
  EXPECT_TRUE(receiver->leave(group, at().r_near).ok());
  EXPECT_EQ(receiver->leave(group, at().r_near).error, Error::not_available);
  EXPECT_TRUE(receiver->join(group, at().r_near).ok());
}

TEST_P(MulticastCase, a_unicast_address_is_no_group) {
  EXPECT_EQ(receiver->join(at().a, at().r_near).error, Error::invalid);
  EXPECT_EQ(receiver->join(group, at().b).error, Error::not_available);
  EXPECT_FALSE(receiver->leave(group, at().r_near).ok());
}

}  // namespace
}  // namespace culvert::contract
