// Transactions over a network in memory: repetition, matching, answers that must not be believed.
#include "model/stun/client.h"

#include <gtest/gtest.h>

#include <functional>

#include "tests/unit/stun/stun_lab.h"

namespace culvert::stun {
namespace {

using testing::StunLab;

std::optional<Outcome> ask(StunLab& lab, const Request& request, net::Duration limit = 60s) {
  std::optional<Outcome> outcome;
  Client client(lab.net.at(lab.a), *lab.mux);
  const auto pending = client.ask(request, [&](const Outcome& o) { outcome = o; });
  EXPECT_FALSE(outcome);  // no callback runs inside the call that caused it
  lab.net.run_until([&] { return outcome.has_value(); }, limit);
  return outcome;
}

TEST(StunClient, GetsItsAddressAndAnExactRoundTrip) {
  StunLab lab("eim-apdf");
  Request request;
  request.to = lab.primary;
  const auto outcome = ask(lab, request);
  ASSERT_TRUE(outcome && outcome->ok());
  EXPECT_EQ(outcome->mapped.ip.to_string(), "198.51.100.2");
  EXPECT_EQ(outcome->other.to_string(), "203.0.113.11:3479");
  EXPECT_EQ(outcome->rtt, 32ms);
  EXPECT_EQ(outcome->tries, 1);
}

TEST(StunClient, MeasuresTheRoundTripOfTheTryThatWasAnswered) {
  StunLab lab("eim-apdf");
  int sent = 0;
  lab.net.tap = [&](testing::FakeNet::Node sender, const net::Endpoint&, const net::Endpoint&,
                    net::Bytes) { return sender == lab.a && ++sent <= 2; };
  Request request;
  request.to = lab.primary;
  const auto outcome = ask(lab, request);
  ASSERT_TRUE(outcome && outcome->ok());
  EXPECT_EQ(outcome->rtt, 32ms);
  EXPECT_EQ(outcome->tries, 3);
}

// RFC 8489 section 6.2.1: with RTO 500 ms the requests go at 0, 500, 1500, 3500, 7500, 15500 and
// 31500 ms, and it is over at 39500 ms.
TEST(StunClient, RepeatsAsTheRfcSays) {
  StunLab lab("eim-apdf");
  std::vector<double> times;
  lab.net.tap = [&](testing::FakeNet::Node, const net::Endpoint&, const net::Endpoint&,
                    net::Bytes) {
    times.push_back(net::to_ms(lab.net.now()));
    return true;
  };
  Request request;
  request.to = lab.primary;
  const auto outcome = ask(lab, request);
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->status.error, net::Error::timed_out);
  EXPECT_EQ(times, (std::vector<double>{0, 500, 1500, 3500, 7500, 15500, 31500}));
  EXPECT_EQ(lab.net.now(), 39500ms);
}

TEST(StunClient, OldClientsQuestionsAreAnswered) {
  StunLab lab("eim-apdf");
  Request request;
  request.to = lab.primary;
  request.classic = true;
  const auto outcome = ask(lab, request);
  ASSERT_TRUE(outcome && outcome->ok());
  EXPECT_EQ(outcome->mapped.ip.to_string(), "198.51.100.2");
}

// Somebody off the path does not know the 96 random bits; somebody who does must still come from
// the address that was asked.
TEST(StunClient, ForgedAnswersAreNotBelieved) {
  StunLab lab("");
  const net::Endpoint liar = *net::Endpoint::parse("192.0.2.66:6666");
  lab.net.tap = [&](testing::FakeNet::Node sender, const net::Endpoint& from,
                    const net::Endpoint& to, net::Bytes data) {
    if (sender != lab.a) return false;
    const net::Buffer copy(data.begin(), data.end());
    const auto asked = Message::parse(copy);
    TransactionId guessed = asked->id;
    guessed[0] ^= 1;
    Builder wrong_id(Class::success, guessed), wrong_source(Class::success, asked->id);
    for (Builder* forged : {&wrong_id, &wrong_source})
      forged->xor_address(Type::xor_mapped_address, liar).fingerprint();
    const net::Endpoint local{*net::IpAddress::parse("198.51.100.2"), from.port};
    lab.net.inject(lab.a, to, local, wrong_id.view());
    lab.net.inject(lab.a, liar, local, wrong_source.view());
    return false;
  };
  Request request;
  request.to = lab.primary;
  const auto outcome = ask(lab, request);
  ASSERT_TRUE(outcome && outcome->ok());
  EXPECT_EQ(outcome->mapped.ip.to_string(), "198.51.100.2");
}

TEST(StunClient, AnErrorResponseIsAnErrorWithItsCode) {
  StunLab lab("", false);
  Request request;
  request.to = lab.primary;
  request.change_ip = true;
  const auto outcome = ask(lab, request);
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->status.error, net::Error::failed);
  EXPECT_EQ(outcome->code, 420);
}

// What the server says is up to the test: every request of the client's ends here.
using Reply = std::function<void(const Message& asked, std::function<void(Builder&)> say)>;

std::optional<Outcome> ask_scripted(const Request& what, const Reply& reply) {
  StunLab lab("");
  Request request = what;
  request.to = lab.primary;
  lab.net.tap = [&](testing::FakeNet::Node sender, const net::Endpoint& from,
                    const net::Endpoint& to, net::Bytes data) {
    if (sender != lab.a) return false;
    const net::Buffer copy(data.begin(), data.end());
    const net::Endpoint local{*net::IpAddress::parse("198.51.100.2"), from.port};
    reply(*Message::parse(copy),
          [&](Builder& answer) { lab.net.inject(lab.a, to, local, answer.view()); });
    return true;
  };
  return ask(lab, request);
}

const net::Endpoint kTrue = *net::Endpoint::parse("198.51.100.2:7");
const net::Endpoint kLie = *net::Endpoint::parse("192.0.2.66:6666");

TEST(StunClient, WithoutTheRightIntegrityAnAnswerIsAsIfNeverReceived) {
  Request request;
  request.credential = Credential{"ali", "sesame", false};
  const auto outcome = ask_scripted(request, [](const Message& asked, const auto& say) {
    EXPECT_TRUE(asked.integrity_ok(short_term_key("sesame")));
    Builder bare = Builder::reply(Class::success, asked);
    Builder forged = bare, error = Builder::reply(Class::error, asked);
    bare.xor_address(Type::xor_mapped_address, kLie).fingerprint();
    forged.xor_address(Type::xor_mapped_address, kLie).integrity(short_term_key("mustard"));
    error.error(500, "Server Error").integrity(short_term_key("mustard"));
    for (Builder* lie : {&bare, &forged, &error}) say(*lie);
    if (asked.id.back() == 0) return;
    Builder good = Builder::reply(Class::success, asked);
    good.xor_address(Type::xor_mapped_address, kTrue).integrity(short_term_key("sesame"));
    say(good);
  });
  ASSERT_TRUE(outcome && outcome->ok());
  EXPECT_EQ(outcome->mapped, kTrue);
  EXPECT_EQ(outcome->tries, 2);
}

// A round trip longer than the RTO, or a duplicate: the first tries are all challenged.
TEST(StunClient, ASecondChallengeToEarlierTriesDoesNotEndTheLogin) {
  const auto key = long_term_key("ali", "example.org", "sesame");
  Request request;
  request.credential = Credential{"ali", "sesame", true};
  const auto outcome = ask_scripted(request, [&](const Message& asked, const auto& say) {
    if (asked.has(Type::username)) {
      EXPECT_TRUE(asked.integrity_ok(key));
      Builder good = Builder::reply(Class::success, asked);
      good.xor_address(Type::xor_mapped_address, kTrue).integrity(key);
      return say(good);
    }
    if (asked.id.back() == 0) return;
    for (uint8_t attempt : {0, 1, 1}) {
      TransactionId id = asked.id;
      id.back() = attempt;
      Builder challenge(Class::error, id);
      challenge.error(401, "Unauthenticated").text(Type::realm, "example.org");
      challenge.text(Type::nonce, "n0nce").fingerprint();
      say(challenge);
    }
  });
  ASSERT_TRUE(outcome && outcome->ok()) << outcome->status.to_string();
  EXPECT_EQ(outcome->mapped, kTrue);
  EXPECT_EQ(outcome->tries, 3);
}

TEST(StunClient, AStrangersReasonIsShortAndPrintable) {
  const auto outcome = ask_scripted({}, [](const Message& asked, const auto& say) {
    net::Buffer value(4000, 'x');
    value[2] = 5;
    value[3] = 0;
    value[4] = '\x1b';
    value[5] = '\n';
    Builder error = Builder::reply(Class::error, asked);
    error.bytes(Type::error_code, value);
    say(error);
  });
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->code, 500);
  EXPECT_NE(outcome->status.detail.find("500 ??xx"), std::string::npos);
  EXPECT_LT(outcome->status.detail.size(), 200u);
}

}  // namespace
}  // namespace culvert::stun
