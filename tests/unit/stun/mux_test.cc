// Several users on one socket.
#include <gtest/gtest.h>

#include "model/stun/message.h"
#include "tests/unit/stun/stun_lab.h"

namespace culvert::net {
namespace {

using testing::StunLab;

struct MuxLab : StunLab {
  MuxLab() : StunLab("") {}
  // Something for the client's socket, as if from outside.
  void give(Bytes data) {
    net.inject(a, {*IpAddress::parse("192.0.2.9"), 9},
               {*IpAddress::parse("198.51.100.2"), mux->local().port}, data);
    net.run_for(1s);
  }
};

TEST(DatagramMux, FirstBytesDecideAndTheFirstUserThatTakesItEndsIt) {
  MuxLab lab;
  std::string seen;
  const auto taker = [&](char name, bool takes) {
    return [&seen, name, takes](const DatagramIn&, Bytes) {
      seen += name;
      return takes;
    };
  };
  const auto a = lab.mux->attach(kStunBytes, taker('a', false));
  const auto b = lab.mux->attach(kAllBytes, taker('b', true));
  const auto c = lab.mux->attach(kStunBytes, taker('c', true));
  const uint8_t stun[] = {1, 2}, frame[] = {192, 0};
  lab.give(stun);
  EXPECT_EQ(seen, "ab");
  lab.give(frame);
  EXPECT_EQ(seen, "abb");
  EXPECT_EQ(lab.mux->unclaimed(), 0u);
}

TEST(DatagramMux, WhatNobodyTakesIsCounted) {
  MuxLab lab;
  const uint8_t byte[] = {7};
  lab.give(byte);
  EXPECT_EQ(lab.mux->unclaimed(), 1u);
}

TEST(DatagramMux, AUserMayLeaveOrEndTheMuxInItsCallback) {
  MuxLab lab;
  std::unique_ptr<DatagramMux::User> self, later;
  int first = 0, second = 0;
  self = lab.mux->attach(kAllBytes, [&](const DatagramIn&, Bytes) {
    ++first;
    later.reset();
    self.reset();
    return false;
  });
  later = lab.mux->attach(kAllBytes, [&](const DatagramIn&, Bytes) { return ++second, true; });
  const uint8_t byte[] = {1};
  lab.give(byte);
  lab.give(byte);
  EXPECT_EQ(first, 1);
  EXPECT_EQ(second, 0);
  const auto last = lab.mux->attach(kAllBytes, [&](const DatagramIn&, Bytes) {
    lab.mux.reset();
    return true;
  });
  lab.give(byte);
  EXPECT_EQ(lab.mux, nullptr);
}

}  // namespace
}  // namespace culvert::net
