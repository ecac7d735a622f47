#include "model/request/router.h"

#include <gtest/gtest.h>

#include "model/request/test_client.h"
#include "tests/support/fake_net.h"

namespace culvert::request {
namespace {

std::string text(const Response& response) { return std::string(net::as_text(response.body)); }

Handler says(std::string what) {
  return [what](const Request&, Reply reply) { reply(Response::text(what)); };
}

struct RouterTest : ::testing::Test {
  culvert::testing::LoneHost lone;
};

TEST_F(RouterTest, TheNearestRouteWinsWhateverTheOrder) {
  Router router;
  ASSERT_TRUE(router.on("devices/{id:rest}", says("rest")));
  ASSERT_TRUE(router.on("devices/{id}", says("text")));
  ASSERT_TRUE(router.on("devices/{n:int}", says("int")));
  ASSERT_TRUE(router.on("devices/all", says("all")));
  request::TestClient client(lone.host, router);
  EXPECT_EQ(text(client.get("devices/all")), "all");
  EXPECT_EQ(text(client.get("devices/7")), "int");
  EXPECT_EQ(text(client.get("devices/x")), "text");
  EXPECT_EQ(text(client.get("devices/x/y")), "rest");
}

TEST_F(RouterTest, MethodsAreToldApart) {
  Router router;
  ASSERT_TRUE(router.on("valve", says("read"), "GET"));
  ASSERT_TRUE(router.on("valve", says("set"), "POST"));
  request::TestClient client(lone.host, router);
  EXPECT_EQ(text(client.get("valve")), "read");
  EXPECT_EQ(text(client.post("valve", "1")), "set");
  EXPECT_EQ(client.call("PUT", "valve")->status, status::method_not_allowed);
  EXPECT_EQ(client.get("nothing").status, status::not_found);
  EXPECT_FALSE(router.on("valve", says("again"), "GET")) << "it stands there already";
}

TEST_F(RouterTest, RoutersNestAndParametersAddUp) {
  Router valves;
  ASSERT_TRUE(valves.on("{n:int}/open", [](const Request& r, Reply reply) {
    reply(Response::text(std::string(r.parameters.text("id")) + ":" +
                         std::to_string(r.parameters.integer("n"))));
  }));
  Router root;
  ASSERT_TRUE(root.mount("devices/{id}/valves", std::move(valves)));
  request::TestClient client(lone.host, root);
  EXPECT_EQ(text(client.get("devices/d1/valves/4/open")), "d1:4");
  EXPECT_EQ(client.get("devices/d1/valves").status, status::not_found);
  EXPECT_EQ(root.routes(), std::vector<std::string>{"devices/{id}/valves/{n:int}/open"});
}

TEST_F(RouterTest, MiddlewareStandsAroundInOrder) {
  std::string trace;
  const auto layer = [&trace](char name) -> Middleware {
    return [&trace, name](const Request& request, Reply reply, const Handler& next) {
      trace += name;
      next(request, Reply([&trace, name, reply](Response response) {
             trace += static_cast<char>(name - 'a' + 'A');
             reply(std::move(response));
           }));
    };
  };
  Router inner;
  inner.use(layer('c'));
  ASSERT_TRUE(inner.on("x", says("x")));
  Router root;
  root.use(layer('a'));
  root.use(layer('b'));
  ASSERT_TRUE(root.mount("in", std::move(inner)));
  request::TestClient client(lone.host, root);
  EXPECT_EQ(text(client.get("in/x")), "x");
  EXPECT_EQ(trace, "abcCBA");
}

TEST_F(RouterTest, MiddlewareMayAnswerItself) {
  Router router;
  bool reached = false;
  ASSERT_TRUE(router.on("x", [&](const Request&, Reply reply) {
    reached = true;
    reply({});
  }));
  router.use([](const Request&, Reply reply, const Handler&) {
    reply(Response::problem(status::forbidden, "not you"));
  });
  request::TestClient client(lone.host, router);
  EXPECT_EQ(client.get("x").status, status::forbidden);
  EXPECT_FALSE(reached);
}

TEST_F(RouterTest, AHandlerThatForgetsToAnswerIsAnError) {
  Router router;
  ASSERT_TRUE(router.on("x", [](const Request&, Reply) {}));
  request::TestClient client(lone.host, router);
  EXPECT_EQ(client.get("x").status, status::error);
}

TEST_F(RouterTest, AHandlerMayAnswerLaterButOnce) {
  Router router;
  std::optional<Reply> kept;
  ASSERT_TRUE(router.on("x", [&](const Request&, Reply reply) { kept = reply; }));
  request::TestClient client(lone.host, router);
  int answers = 0;
  EXPECT_FALSE(client.call("GET", "x", {}, {}, [&](Response) { ++answers; }));
  (*kept)(Response::text("now"));
  (*kept)(Response::text("again"));
  kept.reset();
  EXPECT_EQ(answers, 1);
}

}  // namespace
}  // namespace culvert::request
