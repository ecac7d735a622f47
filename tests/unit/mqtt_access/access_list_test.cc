#include "model/mqtt/broker/access_list.h"

#include <gmock/gmock.h>

#include "model/net/crypto.h"
#include "tests/support/fake_net.h"

namespace culvert::mqtt {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string line(const std::string& user, const std::string& password) {
  return user + ":" + *net::hash_password(password, {1, 8}) + "\n";
}

class AccessLists : public ::testing::Test {
 protected:
  AccessLists() {
    world_.offload_delay = 20ms;
    world_.secret("passwords", line("alice", "secret") + line("bob", "builder"));
  }
  AccessList make(AccessListOptions options) {
    AccessList access(host_, std::move(options));
    const net::Status status = access.load();
    EXPECT_TRUE(status) << status.to_string();
    return access;
  }
  // Asks and waits for the answer, at most a minute.
  LoginAnswer login(AccessList& access, std::optional<std::string_view> user,
                    std::string_view password, const Peer& peer = {}) {
    std::optional<LoginAnswer> answer;
    LoginRequest request{peer, "client"};
    request.user_name = user;
    if (user) request.password = net::as_bytes(password);
    const auto at_once = access.login(request, [&](LoginAnswer later) { answer = later; });
    if (at_once) return *at_once;
    EXPECT_TRUE(world_.run_until([&] { return answer.has_value(); }, 60s));
    return answer.value_or(LoginAnswer{});
  }
  testing::LoneHost world_;
  net::Host& host_ = world_.host;
};

TEST_F(AccessLists, LetInWhoKnowsThePassword) {
  auto access = make({"passwords"});
  EXPECT_EQ(login(access, "alice", "secret").reason, Reason::success);
  EXPECT_EQ(login(access, "alice", "secret").user, "alice");
  EXPECT_EQ(login(access, "alice", "Secret").reason, Reason::bad_user_name_or_password);
  EXPECT_EQ(login(access, "alice", "").reason, Reason::bad_user_name_or_password);
  EXPECT_EQ(login(access, "bob", "secret").reason, Reason::bad_user_name_or_password);
  EXPECT_EQ(login(access, "bob", "builder").user, "bob");
}

TEST_F(AccessLists, AnUnknownUserTakesAsLongAsAKnownOne) {
  auto access = make({"passwords"});
  const net::Time before = world_.now();
  // Even with the password whose hash serves as the decoy.
  EXPECT_EQ(login(access, "mallory", "secret").reason, Reason::bad_user_name_or_password);
  EXPECT_EQ(world_.now() - before, 20ms);
}

TEST_F(AccessLists, AnonymousOnlyWhereAllowed) {
  auto closed = make({"passwords"});
  EXPECT_EQ(login(closed, {}, "").reason, Reason::not_authorized);
  auto open = make({"passwords", "", true});
  EXPECT_EQ(login(open, {}, "").reason, Reason::success);
  EXPECT_EQ(login(open, {}, "").user, "");
  EXPECT_EQ(login(open, "alice", "x").reason, Reason::bad_user_name_or_password);
  // Without a password file a name is nobody's.
  auto no_file = make({"", "", true});
  EXPECT_EQ(login(no_file, "alice", "x").reason, Reason::success);
  EXPECT_EQ(login(no_file, "alice", "x").user, "");
  auto nothing = make({});
  EXPECT_EQ(login(nothing, "alice", "x").reason, Reason::bad_user_name_or_password);
}

TEST_F(AccessLists, ACertificatesNameIsTheUser) {
  Peer peer;
  peer.tls_common_name = "device-7";
  AccessListOptions options{"passwords"};
  auto without = make(options);
  EXPECT_EQ(login(without, {}, "", peer).reason, Reason::not_authorized);
  options.certificate_is_user = true;
  auto with = make(options);
  EXPECT_EQ(login(with, "alice", "wrong", peer).user, "device-7");
  EXPECT_EQ(login(with, {}, "").reason, Reason::not_authorized) << "no certificate";
}

TEST_F(AccessLists, AClientInThisProcessIsWhoItSays) {
  Peer peer;
  peer.user = "bridge";
  auto access = make({"passwords"});
  EXPECT_EQ(login(access, {}, "", peer).user, "bridge");
}

TEST_F(AccessLists, AnotherMethodOfAuthenticationIsRefused) {
  auto access = make({"passwords", "", true});
  const Peer peer;
  LoginRequest request{peer, "c"};
  request.method = "SCRAM-SHA-256";
  EXPECT_EQ(access.login(request, {})->reason, Reason::bad_authentication_method);
}

TEST_F(AccessLists, AFewChecksRunAtATimeAndABoundedNumberWaits) {
  AccessListOptions options{"passwords"};
  options.checks_at_once = 2;
  options.checks_waiting = 3;
  auto access = make(options);
  const Peer peer;
  LoginRequest request{peer, "c"};
  request.user_name = "alice";
  request.password = net::as_bytes("secret");
  std::vector<net::Time> answered;
  for (int i = 0; i < 5; ++i) {
    EXPECT_FALSE(access.login(request, [&](LoginAnswer answer) {
      EXPECT_EQ(answer.reason, Reason::success);
      answered.push_back(world_.now());
    }));
  }
  EXPECT_EQ(access.login(request, {})->reason, Reason::server_busy);
  EXPECT_EQ(access.checks_under_way(), 5u);
  EXPECT_TRUE(world_.run_until([&] { return answered.size() == 5; }, 10s));
  EXPECT_THAT(answered, ElementsAre(20ms, 20ms, 40ms, 40ms, 60ms));
  EXPECT_EQ(access.checks_under_way(), 0u);
}

TEST_F(AccessLists, AnAnswerThatComesAfterTheListIsGoneIsDropped) {
  auto access = std::make_unique<AccessList>(host_, AccessListOptions{"passwords"});
  ASSERT_TRUE(access->load());
  const Peer peer;
  LoginRequest request{peer, "c"};
  request.user_name = "alice";
  request.password = net::as_bytes("secret");
  bool answered = false;
  EXPECT_FALSE(access->login(request, [&](LoginAnswer) { answered = true; }));
  access.reset();
  world_.run_for(1s);
  EXPECT_FALSE(answered);
}

TEST_F(AccessLists, AreReadAnewAndTellWhatChanged) {
  world_.secret("acl", "user alice\ntopic read a\n");
  auto access = make({"passwords", "acl"});
  world_.secret("passwords", line("alice", "new"));
  world_.secret("acl", "user alice\ntopic read b\n");
  ASSERT_TRUE(access.load());
  EXPECT_EQ(login(access, "alice", "secret").reason, Reason::bad_user_name_or_password);
  EXPECT_EQ(login(access, "alice", "new").reason, Reason::success);
  EXPECT_THAT(access.changes().logins, ElementsAre("alice", "bob"));
  EXPECT_THAT(access.changes().rights, ElementsAre("alice"));
  EXPECT_FALSE(access.changes().rights_of_all);
}

TEST_F(AccessLists, WhatCannotBeReadChangesNothing) {
  world_.secret("acl", "user alice\ntopic read a\n");
  auto access = make({"passwords", "acl"});
  world_.secret("passwords", line("carol", "x"));
  world_.secret("acl", "nonsense\n");
  const net::Status status = access.load();
  EXPECT_EQ(status.error, net::Error::invalid);
  EXPECT_THAT(status.detail, HasSubstr("secret 'acl': line 1"));
  EXPECT_EQ(login(access, "alice", "secret").reason, Reason::success);
  EXPECT_EQ(AccessList(host_, {"missing"}).load().error, net::Error::not_found);
}

TEST_F(AccessLists, ALoginTakenBackWhileItIsCheckedFails) {
  auto access = make({"passwords"});
  const Peer peer;
  LoginRequest request{peer, "c"};
  request.user_name = "alice";
  request.password = net::as_bytes("secret");
  std::optional<LoginAnswer> answer;
  EXPECT_FALSE(access.login(request, [&](LoginAnswer later) { answer = later; }));
  world_.secret("passwords", line("bob", "builder"));
  ASSERT_TRUE(access.load());
  ASSERT_TRUE(world_.run_until([&] { return answer.has_value(); }, 1s));
  EXPECT_EQ(answer->reason, Reason::bad_user_name_or_password);
}

TEST_F(AccessLists, TheAclDecidesAndLocalClientsAreFree) {
  world_.secret("acl", "user alice\ntopic write a\n");
  auto access = make({"passwords", "acl"});
  EXPECT_FALSE(access.unrestricted("alice"));
  EXPECT_TRUE(make({"passwords"}).unrestricted("alice"));
  Peer peer;
  AccessRequest request{peer, "c", "alice", Action::publish, "a"};
  EXPECT_EQ(access.may(request, {}), Reason::success);
  request.topic = "b";
  EXPECT_EQ(access.may(request, {}), Reason::not_authorized);
  peer.transport = "local";
  EXPECT_EQ(access.may(request, {}), Reason::success);
}

}  // namespace
}  // namespace culvert::mqtt
