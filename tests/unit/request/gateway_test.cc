#include "model/request/gateway.h"

#include <gtest/gtest.h>

namespace culvert::request {
namespace {

struct Row {
  const char* target;
  const char* topic;  // null: refused
  net::Error error;
};

TEST(Gateway, PathsBecomeTopicsOrAreRefused) {
  GatewayOptions options;
  options.path = "/api";
  options.topic_prefix = "home/";
  options.allowed = {"home/devices/#"};
  const Row table[] = {
      {"/api/devices/7/state", "home/devices/7/state", net::Error::none},
      {"/api/devices/7/state?x=1", "home/devices/7/state", net::Error::none},
      {"/api/devices/l%C3%A4mp", "home/devices/l\xC3\xA4mp", net::Error::none},
      {"/other/devices", nullptr, net::Error::not_found},
      {"/apis/devices", nullptr, net::Error::not_found},
      {"/api/users/1", nullptr, net::Error::not_permitted},
      {"/api/devices/%2B/state", nullptr, net::Error::invalid},
      {"/api/devices/%23", nullptr, net::Error::invalid},
      {"/api/devices/a%2Fb", nullptr, net::Error::invalid},
      {"/api/devices//state", nullptr, net::Error::invalid},
      {"/api/devices/", nullptr, net::Error::invalid},
      {"/api", nullptr, net::Error::invalid},
      {"/api/devices/%4", nullptr, net::Error::invalid},
      {"/api/devices/%zz", nullptr, net::Error::invalid},
      {"/api/devices/%00", nullptr, net::Error::invalid},
      {"/api/devices/%FF", nullptr, net::Error::invalid},
      {"/api/devices/%01", nullptr, net::Error::invalid},
      {"/api/devices/%7F", nullptr, net::Error::invalid},
      {"/api/devices/%C2%85", nullptr, net::Error::invalid},
      {"/api/devices/%EF%BF%BE", nullptr, net::Error::invalid},
      {"/api/devices/%EF%B7%90", nullptr, net::Error::invalid},
      {"/api/devices/%F0%9F%BF%BF", nullptr, net::Error::invalid},
      {"/api/devices/%F0%9F%98%80", "home/devices/\xF0\x9F\x98\x80", net::Error::none},
  };
  for (const Row& row : table) {
    const auto topic = topic_of(options, row.target);
    EXPECT_EQ(topic.error(), row.error) << row.target << ": " << topic.status().detail;
    if (!row.topic || !topic) continue;
    EXPECT_EQ(*topic, row.topic);
  }
}

TEST(Gateway, TheBrokersOwnTopicsAreNotServed) {
  EXPECT_EQ(topic_of(GatewayOptions{}, "/$SYS/broker/uptime").error(), net::Error::invalid);
}

}  // namespace
}  // namespace culvert::request
