#include "model/net/address.h"

#include <gtest/gtest.h>

#include <set>
#include <unordered_set>

namespace culvert::net {
namespace {

std::string round_trip(std::string_view text) {
  const auto ip = IpAddress::parse(text);
  return ip ? ip->to_string() : "refused";
}

TEST(IpAddress, v4_texts_are_taken_and_written_back) {
  for (const char* text : {"0.0.0.0", "127.0.0.1", "192.0.2.7", "255.255.255.255", "1.2.3.4"})
    EXPECT_EQ(round_trip(text), text);
  EXPECT_EQ(IpAddress::parse("192.0.2.7")->to_v4(), 0xc0000207u);
  EXPECT_EQ(IpAddress::v4(0x7f000001).to_string(), "127.0.0.1");
}

TEST(IpAddress, what_is_no_v4_address_is_refused) {
  for (const char* text : {"",          ".",         "1",
                           "1.2.3",     "1.2.3.4.5", "256.0.0.1",
                           "1.2.3.",    ".1.2.3",    "1..2.3",
                           "1.2.3.4 ",  " 1.2.3.4",  "+1.2.3.4",
                           "-1.2.3.4",  "01.2.3.4",  "1.2.3.04",
                           "0x1.2.3.4", "1.2.3.4a",  "1.2.3.1000",
                           "1.2.3.4/8", "a.b.c.d",   "99999999999.1.1.1"})
    EXPECT_EQ(round_trip(text), "refused") << text;
}

// RFC 5952: the shortest form, lower case, the longest run of zeros, never a single group.
TEST(IpAddress, v6_is_written_in_its_canonical_form) {
  const struct {
    const char *in, *out;
  } kTable[] = {
      {"::", "::"},
      {"::1", "::1"},
      {"1::", "1::"},
      {"2001:DB8::1", "2001:db8::1"},
      {"2001:db8:0:0:0:0:2:1", "2001:db8::2:1"},
      {"2001:0db8:0000:0001:0001:0001:0001:0001", "2001:db8:0:1:1:1:1:1"},
      {"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},
      {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
      {"1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"},
      {"0:2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"},
      {"1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"},
      {"::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"},
      {"fe80::0:1", "fe80::1"},
      {"::ffff:192.0.2.1", "::ffff:c000:201"},
      {"64:ff9b::192.0.2.33", "64:ff9b::c000:221"},
      {"1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"},
  };
  for (const auto& row : kTable) {
    EXPECT_EQ(round_trip(row.in), row.out);
    EXPECT_EQ(round_trip(row.out), row.out);
  }
}

TEST(IpAddress, what_is_no_v6_address_is_refused) {
  for (const char* text : {":",
                           ":::",
                           "::1::",
                           "1::2::3",
                           "1:2:3:4:5:6:7",
                           "1:2:3:4:5:6:7:8:9",
                           "1:2:3:4:5:6:7:8::",
                           "::1:2:3:4:5:6:7:8",
                           ":1:2:3:4:5:6:7:8",
                           "1:2:3:4:5:6:7:",
                           "12345::",
                           "g::",
                           "::1.2.3",
                           "::1.2.3.4:5",
                           "1.2.3.4::",
                           "1:2:3:4:5:6:7:1.2.3.4",
                           "fe80::1%eth0",
                           "[::1]",
                           "::1 ",
                           " ::1",
                           "::+1",
                           "::-1",
                           "1:2:3:4::5:6:7:8"})
    EXPECT_EQ(round_trip(text), "refused") << text;
}

TEST(IpAddress, classes_have_exact_borders) {
  const auto is = [](const char* text) { return *IpAddress::parse(text); };
  for (const char* text : {"10.0.0.0", "10.255.255.255", "172.16.0.0", "172.31.255.255",
                           "192.168.0.0", "192.168.255.255", "100.64.0.0", "100.127.255.255",
                           "169.254.0.1", "fc00::", "fdff::1", "fe80::1", "febf::1"})
    EXPECT_TRUE(is(text).is_private()) << text;
  for (const char* text :
       {"9.255.255.255", "11.0.0.0", "172.15.255.255", "172.32.0.0", "192.167.255.255",
        "192.169.0.0", "100.63.255.255", "100.128.0.0", "169.253.255.255", "169.255.0.0",
        "fbff::", "fe00::1", "fec0::1", "2001:db8::1", "8.8.8.8"})
    EXPECT_FALSE(is(text).is_private()) << text;
  EXPECT_TRUE(is("224.0.0.0").is_multicast() && is("239.255.255.255").is_multicast());
  EXPECT_FALSE(is("223.255.255.255").is_multicast() || is("240.0.0.0").is_multicast());
  EXPECT_TRUE(is("ff02::1").is_multicast());
  EXPECT_FALSE(is("fe80::1").is_multicast());
  EXPECT_TRUE(is("127.255.0.1").is_loopback() && is("::1").is_loopback());
  EXPECT_FALSE(is("128.0.0.1").is_loopback() || is("::2").is_loopback() || is("::").is_loopback());
  EXPECT_TRUE(IpAddress::any_v4().is_any() && IpAddress::any_v6().is_any());
  EXPECT_FALSE(IpAddress().is_any() || is("0.0.0.1").is_any());
}

TEST(IpAddress, none_is_equal_only_to_itself) {
  const IpAddress none;
  EXPECT_TRUE(none.is_none());
  EXPECT_EQ(none, IpAddress());
  EXPECT_NE(none, IpAddress::any_v4());
  EXPECT_NE(IpAddress::any_v4(), IpAddress::any_v6());
  EXPECT_EQ(none.size(), 0u);
  EXPECT_EQ(none.to_string(), "none");
  EXPECT_FALSE(none.is_private() || none.is_multicast() || none.is_loopback());
}

TEST(IpAddress, orders_strictly_and_hashes_apart) {
  std::set<IpAddress> ordered;
  std::unordered_set<IpAddress> hashed;
  for (uint32_t i = 0; i < 1000; ++i) {
    ordered.insert(IpAddress::v4(0x0a000000 + i));
    hashed.insert(IpAddress::v4(0x0a000000 + i));
  }
  EXPECT_EQ(ordered.size(), 1000u);
  EXPECT_EQ(hashed.size(), 1000u);
  EXPECT_EQ(ordered.begin()->to_string(), "10.0.0.0");
  EXPECT_LT(*IpAddress::parse("255.255.255.255"), *IpAddress::parse("::"));
}

TEST(Endpoint, texts_go_both_ways) {
  for (const char* text : {"192.0.2.1:3478", "[2001:db8::1]:3478", "0.0.0.0:0", "[::]:65535"})
    EXPECT_EQ(Endpoint::parse(text)->to_string(), text);
  for (const char* text :
       {"", "192.0.2.1", "192.0.2.1:", "192.0.2.1:65536", "192.0.2.1:-1", "192.0.2.1:+1",
        "192.0.2.1: 1", ":80", "2001:db8::1:80", "[192.0.2.1]:80", "[::1]", "[::1]:", "[::1]80",
        "::1]:80", "[::1:80", "name:80", "[]:80"})
    EXPECT_FALSE(Endpoint::parse(text)) << text;
}

TEST(Endpoint, differs_by_port_and_by_address) {
  const Endpoint one{IpAddress::v4(1), 1}, port{IpAddress::v4(1), 2}, ip{IpAddress::v4(2), 1};
  EXPECT_NE(one, port);
  EXPECT_NE(one, ip);
  EXPECT_TRUE(one < port && port < ip && !(ip < one));
  EXPECT_NE(std::hash<Endpoint>()(one), std::hash<Endpoint>()(port));
  EXPECT_TRUE(Endpoint().is_none());
}

TEST(Prefix, contains_exactly_its_addresses) {
  const auto in = [](const char* prefix, const char* ip) {
    return Prefix::parse(prefix)->contains(*IpAddress::parse(ip));
  };
  EXPECT_TRUE(in("10.0.0.0/8", "10.255.255.255"));
  EXPECT_FALSE(in("10.0.0.0/8", "11.0.0.0"));
  EXPECT_TRUE(in("192.0.2.128/25", "192.0.2.128"));
  EXPECT_FALSE(in("192.0.2.128/25", "192.0.2.127"));
  EXPECT_TRUE(in("192.0.2.1", "192.0.2.1"));
  EXPECT_FALSE(in("192.0.2.1", "192.0.2.0"));
  EXPECT_TRUE(in("0.0.0.0/0", "255.255.255.255"));
  EXPECT_FALSE(in("0.0.0.0/0", "::"));
  EXPECT_TRUE(in("2001:db8::/33", "2001:db8:7fff::1"));
  EXPECT_FALSE(in("2001:db8::/33", "2001:db8:8000::1"));
  EXPECT_TRUE(in("::/0", "ffff::"));
  EXPECT_FALSE(Prefix{}.contains(IpAddress::v4(0)));
}

TEST(Prefix, texts_are_checked) {
  EXPECT_EQ(Prefix::parse("10.1.2.3/8")->to_string(), "10.1.2.3/8");  // an interface's address
  EXPECT_EQ(Prefix::parse("::1")->to_string(), "::1/128");
  for (const char* text : {"", "/", "/8", "10.0.0.0/", "10.0.0.0/33", "::/129", "10.0.0.0/-1",
                           "10.0.0.0/8/8", "10.0.0.0/ 8", "10/8"})
    EXPECT_FALSE(Prefix::parse(text)) << text;
}

}  // namespace
}  // namespace culvert::net
