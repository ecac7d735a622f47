// URLs, base64, lists: the small things.
#include "model/http/text.h"

#include <gtest/gtest.h>

namespace culvert::http {
namespace {

TEST(HttpText, Urls) {
  const auto url = parse_url("HTTPS://server.example:8443/a/b?c=d#e");
  ASSERT_TRUE(url);
  EXPECT_EQ(url->scheme, "https");
  EXPECT_EQ(url->host, "server.example");
  EXPECT_EQ(url->port, 8443);
  EXPECT_EQ(url->target, "/a/b?c=d");
  EXPECT_EQ(url->authority(), "server.example:8443");
  EXPECT_EQ(parse_url("http://[2001:db8::1]")->authority(), "[2001:db8::1]");
  EXPECT_EQ(parse_url("http://a?b")->target, "/?b");
  EXPECT_EQ(parse_url("wss://a")->port, 443);
  for (const char* bad :
       {"", "a", "ftp://a/", "http://", "http:///x", "http://a:0/", "http://a:70000/",
        "http://a:x/", "http://u:p@a/", "http://a/b c", "http://[::1", "http://[::1]x"})
    EXPECT_FALSE(parse_url(bad)) << bad;
}

TEST(HttpText, Base64AsRfc4648Says) {
  const std::pair<const char*, const char*> kCases[] = {{"", ""},
                                                        {"f", "Zg=="},
                                                        {"fo", "Zm8="},
                                                        {"foo", "Zm9v"},
                                                        {"foob", "Zm9vYg=="},
                                                        {"fooba", "Zm9vYmE="},
                                                        {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, coded] : kCases) {
    EXPECT_EQ(base64(net::as_bytes(plain)), coded);
    const auto back = unbase64(coded);
    ASSERT_TRUE(back) << coded;
    EXPECT_EQ(net::as_text(*back), plain);
  }
  for (const char* bad : {"Z", "Zg=", "Zg==Zg==", "Z===", "====", "Zm9*", "Z=9v"})
    EXPECT_FALSE(unbase64(bad)) << bad;
}

TEST(HttpText, ListsAndTokens) {
  EXPECT_TRUE(list_has("keep-alive, Upgrade", "upgrade"));
  EXPECT_FALSE(list_has("keep-alive, Upgraded", "upgrade"));
  EXPECT_FALSE(list_has("", "x"));
  EXPECT_TRUE(is_token("GET"));
  EXPECT_FALSE(is_token(""));
  EXPECT_FALSE(is_token("G T"));
  EXPECT_FALSE(is_field_value("a\r\nb"));
  EXPECT_TRUE(is_field_value("a\tb \xc3\xa9"));
}

}  // namespace
}  // namespace culvert::http
