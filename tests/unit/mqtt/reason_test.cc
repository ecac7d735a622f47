#include "model/mqtt/reason.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "model/mqtt/packet.h"

namespace culvert::mqtt {
namespace {

TEST(Reason, HasItsNameOrItsNumber) {
  EXPECT_EQ(to_string(Reason::success), "success");
  EXPECT_EQ(to_string(Reason::quota_exceeded), "quota_exceeded");
  EXPECT_EQ(to_string(Reason::wildcard_subscriptions_not_supported),
            "wildcard_subscriptions_not_supported");
  EXPECT_EQ(to_string(static_cast<Reason>(0x7f)), "reason_0x7f");
  EXPECT_EQ(to_string(static_cast<Reason>(0xff)), "reason_0xff");
  std::set<std::string> all;
  for (int code = 0; code < 256; ++code)
    all.insert(std::string(to_string(static_cast<Reason>(code))));
  EXPECT_EQ(all.size(), 256u);
}

TEST(Reason, ErrorsBeginAt0x80) {
  EXPECT_FALSE(is_error(Reason::success));
  EXPECT_FALSE(is_error(Reason::reauthenticate));
  EXPECT_TRUE(is_error(Reason::unspecified_error));
  EXPECT_TRUE(is_error(Reason::wildcard_subscriptions_not_supported));
}

TEST(Reason, ReturnCodesOf311GoThereAndBack) {
  for (uint8_t code = 0; code <= 5; ++code)
    EXPECT_EQ(connack_code_v311(reason_of_connack_v311(code)), code);
  EXPECT_EQ(connack_code_v311(Reason::server_busy), 3);
  EXPECT_EQ(connack_code_v311(Reason::quota_exceeded), 3);
  EXPECT_EQ(connack_code_v311(Reason::banned), 5);
  EXPECT_TRUE(is_error(reason_of_connack_v311(6)));
  // A refusal never looks like an acceptance.
  for (int code = 0x80; code < 256; ++code)
    EXPECT_NE(connack_code_v311(static_cast<Reason>(code)), 0) << code;
}

TEST(Type, HasTheSpecificationsName) {
  EXPECT_EQ(to_string(Type::connect), "CONNECT");
  EXPECT_EQ(to_string(Type::pubcomp), "PUBCOMP");
  EXPECT_EQ(to_string(Type::auth), "AUTH");
}

}  // namespace
}  // namespace culvert::mqtt
