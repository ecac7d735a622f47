// The server's decisions: which socket answers, what is in the answer, what is refused.
#include "model/stun/server.h"

#include <gtest/gtest.h>

namespace culvert::stun {
namespace {

const net::Endpoint kClient = *net::Endpoint::parse("198.51.100.2:40000");

ServerOptions four() {
  ServerOptions options;
  options.endpoints = {
      *net::Endpoint::parse("203.0.113.10:3478"), *net::Endpoint::parse("203.0.113.10:3479"),
      *net::Endpoint::parse("203.0.113.11:3478"), *net::Endpoint::parse("203.0.113.11:3479")};
  return options;
}

ServerOptions one() {
  ServerOptions options;
  options.endpoints[0] = *net::Endpoint::parse("203.0.113.10:3478");
  return options;
}

Answer ask(Server& server, Builder& builder, uint8_t socket = 0, net::Time now = {}) {
  return server.handle(now, {socket}, kClient, builder.view());
}

TEST(StunServer, TellsTheSourceAddressAndItsOther) {
  Server server(four());
  Builder request(Class::request, {1});
  request.pad_to(120).fingerprint();
  const Answer answer = ask(server, request);
  ASSERT_TRUE(answer.send);
  EXPECT_EQ(answer.to, kClient);
  EXPECT_EQ(answer.from.value, 0);
  const auto message = Message::parse(answer.data);
  ASSERT_TRUE(message.ok());
  EXPECT_TRUE(message->is(Class::success));
  EXPECT_EQ(message->id, (TransactionId{1}));
  EXPECT_EQ(message->address(Type::xor_mapped_address), kClient);
  EXPECT_EQ(message->address(Type::mapped_address), kClient);
  EXPECT_EQ(message->address(Type::response_origin), four().endpoints[0]);
  EXPECT_EQ(message->address(Type::other_address), four().endpoints[3]);
  EXPECT_EQ(message->text(Type::software), "culvert");
  EXPECT_TRUE(message->fingerprinted());
}

TEST(StunServer, ChangeRequestPicksTheSocket) {
  Server server(four());
  for (uint8_t arrived = 0; arrived < 4; ++arrived) {
    for (const bool ip : {false, true}) {
      for (const bool port : {false, true}) {
        Builder request(Class::request, {});
        request.change_request(ip, port);
        const Answer answer = ask(server, request, arrived);
        ASSERT_TRUE(answer.send);
        EXPECT_EQ(answer.from.value, arrived ^ (ip ? 2 : 0) ^ (port ? 1 : 0));
        EXPECT_EQ(answer.changed, ip || port);
        const auto message = Message::parse(answer.data);
        EXPECT_EQ(message->address(Type::response_origin), four().endpoints[answer.from.value]);
        // Always the second address, where test III of a client goes that looks at the last answer.
        const uint8_t other = arrived < 2 ? arrived ^ 3 : arrived ^ 1;
        EXPECT_EQ(message->address(Type::other_address), four().endpoints[other]);
      }
    }
  }
}

TEST(StunServer, WithOneAddressTellsNoOtherAndRefusesToChange) {
  Server server(one());
  Builder plain(Class::request, {});
  const Answer answer = ask(server, plain);
  EXPECT_FALSE(Message::parse(answer.data)->has(Type::other_address));
  EXPECT_TRUE(Message::parse(answer.data)->mapped());
  Builder change(Class::request, {});
  change.change_request(true, true);
  const Answer refused = ask(server, change);
  const auto message = Message::parse(refused.data);
  EXPECT_EQ(refused.refusal, Refusal::unknown_attribute);
  EXPECT_EQ(message->error()->code, 420);
  EXPECT_EQ(refused.from.value, 0);
}

TEST(StunServer, AnswersOldClientsAsRfc3489Wants) {
  Server server(four());
  Builder request(Class::request, {5}, kBinding, 0x01020304);
  request.change_request(false, false);
  const Answer answer = ask(server, request);
  const auto message = Message::parse(answer.data);
  ASSERT_TRUE(message.ok());
  EXPECT_EQ(message->cookie, 0x01020304u);
  EXPECT_EQ(message->address(Type::mapped_address), kClient);
  EXPECT_EQ(message->address(Type::source_address), four().endpoints[0]);
  EXPECT_EQ(message->address(Type::changed_address), four().endpoints[3]);
  EXPECT_FALSE(message->has(Type::xor_mapped_address));
  EXPECT_EQ(message->attributes.size(), 3u);
}

TEST(StunServer, ResponsePortRedirectsThePortOnly) {
  Server server(four());
  Builder request(Class::request, {});
  request.response_port(50000);
  const Answer answer = ask(server, request);
  EXPECT_EQ(answer.to.to_string(), "198.51.100.2:50000");
  EXPECT_TRUE(answer.changed);
  EXPECT_EQ(Message::parse(answer.data)->mapped(), kClient);
}

TEST(StunServer, ResponsePortCannotBeAimed) {
  Server server(four());
  Builder dns(Class::request, {}), padded(Class::request, {}), empty(Class::request, {});
  dns.response_port(53);
  padded.response_port(50000).padding(1000);
  empty.bytes(Type::response_port, {});
  for (Builder* request : {&dns, &padded, &empty}) {
    const Answer answer = ask(server, *request);
    EXPECT_EQ(answer.refusal, Refusal::bad_request);
    EXPECT_EQ(answer.to, kClient);
    EXPECT_EQ(Message::parse(answer.data)->error()->code, 400);
  }
}

TEST(StunServer, NamesWhatItDoesNotUnderstand) {
  Server server(four());
  Builder request(Class::request, {});
  request.bytes(static_cast<Type>(0x0777), {}).fingerprint();
  const Answer answer = ask(server, request);
  const auto message = Message::parse(answer.data);
  EXPECT_EQ(message->error()->code, 420);
  const auto list = message->bytes(Type::unknown_attributes);
  ASSERT_EQ(list->size(), 2u);
  EXPECT_EQ((*list)[0], 7);
  EXPECT_EQ((*list)[1], 0x77);
}

// The figures that server.h promises, with 28 bytes of IP and UDP header.
TEST(StunServer, AmplifiesNoMoreThanItSays) {
  Server server(four());
  Builder bare(Class::request, {});
  EXPECT_LE(ask(server, bare).data.size() + 28, 96u);
  Builder classic(Class::request, {}, kBinding, 1);
  classic.change_request(true, true);
  EXPECT_LE(ask(server, classic).data.size() + 28, 84u);
  for (size_t size = 96; size < 1400; size += 4) {
    for (const bool padding : {false, true}) {
      Builder request(Class::request, {});
      if (padding) request.padding(size - 20 - 4 - 8);
      request.pad_to(size).fingerprint();
      const Answer answer = ask(server, request, 0, std::chrono::seconds(size));
      ASSERT_TRUE(answer.send);
      EXPECT_LE(answer.data.size(), request.size());
      EXPECT_EQ(Message::parse(answer.data)->has(Type::padding), padding);
    }
  }
}

TEST(StunServer, OneSourceGetsItsShareAndOthersTheirs) {
  ServerOptions options = four();
  options.limit = {10, 20, 4096};
  Server server(options);
  Builder request(Class::request, {});
  int answered = 0;
  for (int i = 0; i < 100; ++i) answered += ask(server, request).send;
  EXPECT_EQ(answered, 20);
  const auto other = *net::Endpoint::parse("198.51.100.3:1");
  EXPECT_TRUE(server.handle({}, {0}, other, request.view()).send);
  EXPECT_TRUE(ask(server, request, 0, std::chrono::seconds(1)).send);
}

TEST(StunServer, IsSilentToWhatIsNoRequest) {
  Server server(four());
  for (const Class cls : {Class::indication, Class::success, Class::error}) {
    Builder message(cls, {});
    EXPECT_FALSE(ask(server, message).send);
  }
  const net::Buffer junk(40, 0xc0);
  EXPECT_EQ(server.handle({}, {0}, kClient, junk).refusal, Refusal::not_stun);
}

// A refusal pays nobody: at most what server.h promises, whatever was listed.
TEST(StunServer, RefusalsAmplifyNoMoreThanAnswers) {
  for (const bool whole : {false, true}) {
    ServerOptions options = whole ? four() : one();
    options.limit.per_second = 0;
    Server server(options);
    for (const uint32_t cookie : {kMagicCookie, 1u}) {
      for (size_t unknown = 0; unknown <= kMaxAttributes; ++unknown) {
        Builder request(Class::request, {}, kBinding, cookie);
        for (size_t i = 0; i < unknown; ++i) request.flag(static_cast<Type>(0x0700 + i));
        if (unknown == 0) request.response_port(53).change_request(true, true);
        if (unknown % 2 && unknown < kMaxAttributes) request.fingerprint();
        const Answer answer = ask(server, request);
        ASSERT_TRUE(answer.send);
        EXPECT_NE(answer.refusal, Refusal::none);
        EXPECT_EQ(answer.to, kClient);
        EXPECT_TRUE(Message::parse(answer.data).ok());
        EXPECT_LE(answer.data.size() + 28, std::max<size_t>(96, request.size() + 28)) << unknown;
      }
    }
  }
}

TEST(StunServer, TheLongestDatagramIsReadAndTheAnswerFitsAnyPath) {
  Server server(four());
  Builder request(Class::request, {});
  request.bytes(Type::filler, net::Buffer(64900)).fingerprint();
  const Answer answer = ask(server, request);
  ASSERT_TRUE(answer.send);
  EXPECT_EQ(answer.refusal, Refusal::none);
  EXPECT_LT(answer.data.size(), 200u);
}

// RFC 3489's RESPONSE-ADDRESS sent answers wherever a stranger wished.
TEST(StunServer, ResponseAddressIsUnknown) {
  Server server(four());
  for (const uint32_t cookie : {kMagicCookie, 1u}) {
    Builder request(Class::request, {}, kBinding, cookie);
    request.address(Type::response_address, *net::Endpoint::parse("192.0.2.66:6666"));
    const Answer answer = ask(server, request);
    EXPECT_EQ(answer.refusal, Refusal::unknown_attribute);
    EXPECT_EQ(answer.to, kClient);
  }
}

// A spoofed source that is ourselves, or another server, starts no conversation.
TEST(StunServer, NoAnswerIsAnswered) {
  Server server(four());
  Builder good(Class::request, {}), bad(Class::request, {});
  good.change_request(true, true);
  bad.flag(static_cast<Type>(0x0777));
  for (Builder* request : {&good, &bad}) {
    const Answer first = server.handle({}, {0}, four().endpoints[3], request->view());
    ASSERT_TRUE(first.send);
    EXPECT_EQ(first.to, four().endpoints[3]);
    EXPECT_FALSE(server.handle({}, {3}, four().endpoints[0], first.data).send);
  }
}

TEST(StunServer, AFloodFromOneSourceBlocksNearlyNobodyElse) {
  Server server(four(), 7);
  Builder request(Class::request, {});
  int flooded = 0, honest = 0;
  for (int i = 0; i < 100000; ++i) flooded += ask(server, request).send;
  EXPECT_EQ(flooded, 200);  // the burst
  for (uint32_t i = 0; i < 1000; ++i) {
    const net::Endpoint from{net::IpAddress::v4(0x0a000000 + i * 251), 5000};
    honest += server.handle({}, {0}, from, request.view()).send;
  }
  EXPECT_GE(honest, 997);  // one bucket of 4096 is empty: one source in 4096 shares it
}

// A subscriber with an IPv6 /64 has one share, not 2^64.
TEST(StunServer, AnIpv6SubnetIsOneSource) {
  Server server(four());
  Builder request(Class::request, {});
  int answered = 0;
  for (int i = 1; i <= 1000; ++i) {
    const auto from = *net::Endpoint::parse("[2001:db8::" + std::to_string(i) + "]:5000");
    answered += server.handle({}, {0}, from, request.view()).send;
  }
  EXPECT_EQ(answered, 200);
  EXPECT_TRUE(
      server.handle({}, {0}, *net::Endpoint::parse("[2001:db8:0:1::1]:1"), request.view()).send);
}

}  // namespace
}  // namespace culvert::stun
