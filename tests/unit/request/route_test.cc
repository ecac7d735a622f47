#include "model/request/route.h"

#include <gtest/gtest.h>

namespace culvert::request {
namespace {

struct Match {
  const char *pattern, *topic;
  bool matches;
};

TEST(Route, HolesTakeWhatTheirKindTakes) {
  const Match table[] = {
      {"state", "state", true},
      {"state", "state/", false},
      {"state", "States", false},
      {"devices/{id}/state", "devices/7/state", true},
      {"devices/{id}/state", "devices//state", false},
      {"devices/{id}/state", "devices/7", false},
      {"devices/{id}/state", "devices/7/state/more", false},
      {"n/{n:int}", "n/-12", true},
      {"n/{n:int}", "n/12x", false},
      {"n/{n:int}", "n/99999999999999999999", false},
      {"x/{x:real}", "x/21.5", true},
      {"x/{x:real}", "x/nan", false},
      {"x/{x:real}", "x/inf", false},
      {"b/{b:bool}", "b/true", true},
      {"b/{b:bool}", "b/yes", false},
      {"files/{p:rest}", "files/a/b/c", true},
      {"files/{p:rest}", "files", false},
      {"files/{p:rest}", "files/", false},
  };
  for (const Match& row : table) {
    const auto route = Route::parse(row.pattern);
    ASSERT_TRUE(route) << row.pattern;
    Parameters parameters;
    EXPECT_EQ(route->matches(row.topic, parameters), row.matches)
        << row.pattern << " and " << row.topic;
    if (row.matches) continue;
    EXPECT_EQ(parameters.size(), 0u) << "what did not match leaves nothing";
  }
}

TEST(Route, ParametersAreTyped) {
  const auto route = Route::parse("{id}/{n:int}/{x:real}/{b:bool}/{rest:rest}");
  ASSERT_TRUE(route);
  Parameters p;
  ASSERT_TRUE(route->matches("dev/-3/2.5/1/a/b", p));
  EXPECT_EQ(p.text("id"), "dev");
  EXPECT_EQ(p.integer("n"), -3);
  EXPECT_EQ(p.real("x"), 2.5);
  EXPECT_TRUE(p.boolean("b"));
  EXPECT_EQ(p.text("rest"), "a/b");
  EXPECT_EQ(p.text("none"), "");
}

TEST(Route, BadPatternsAreExplained) {
  for (const char* pattern : {"", "a/+/b", "a/#", "{", "a/{}", "{x:colour}", "{r:rest}/more",
                              "{x}/{x}", "a{x}", "{x}b"}) {
    const auto route = Route::parse(pattern);
    EXPECT_FALSE(route) << pattern;
    EXPECT_NE(route.status().detail.find(pattern), std::string::npos);
  }
}

TEST(Route, FixedLevelsAreNearerThanHoles) {
  const auto fixed = Route::parse("a/b"), integer = Route::parse("a/{n:int}"),
             text = Route::parse("a/{x}"), rest = Route::parse("a/{x:rest}");
  EXPECT_LT(fixed->nearer_than(*integer), 0);
  EXPECT_LT(integer->nearer_than(*text), 0);
  EXPECT_LT(text->nearer_than(*rest), 0);
  EXPECT_GT(rest->nearer_than(*fixed), 0);
  EXPECT_EQ(fixed->nearer_than(*fixed), 0);
}

}  // namespace
}  // namespace culvert::request
