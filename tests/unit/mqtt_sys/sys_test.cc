#include "model/mqtt/broker/sys.h"

#include <gmock/gmock.h>

#include <cmath>
#include <map>

#include "tests/support/fake_net.h"

namespace culvert::mqtt {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::Pair;

class Sys : public ::testing::Test {
 protected:
  void start(net::Duration interval = 10s) {
    topics_ = std::make_unique<SysTopics>(
        lone_.host, interval, "culvert 0.1.0",
        [this]() -> const BrokerCounters& { return counters_; },
        [this](const Publish& message) {
          EXPECT_TRUE(message.retain);
          ++published_;
          said_[std::string(message.topic)] = net::as_text(message.payload);
        });
    topics_->start();
  }
  std::string said(const std::string& topic) {
    const auto at = said_.find("$SYS/broker/" + topic);
    return at == said_.end() ? "(nothing)" : at->second;
  }
  testing::LoneHost lone_;
  BrokerCounters counters_;
  std::map<std::string, std::string> said_;
  size_t published_ = 0;
  std::unique_ptr<SysTopics> topics_;
};

TEST_F(Sys, SaysWhatItCounts) {
  counters_.connections = 3;
  counters_.connections_most = 9;
  counters_.sessions = 5;
  counters_.packets_in = 100;
  counters_.bytes_out = 4000;
  counters_.published_in[1] = 7;
  counters_.published_in[2] = 2;
  counters_.delivered[0] = 11;
  counters_.dropped_queue_full = 1;
  counters_.dropped_expired = 2;
  counters_.retained = 4;
  counters_.queued = 6;
  start();
  EXPECT_EQ(said("version"), "culvert 0.1.0");
  EXPECT_EQ(said("uptime"), "0 seconds");
  EXPECT_EQ(said("clients/connected"), "3");
  EXPECT_EQ(said("clients/disconnected"), "2");
  EXPECT_EQ(said("clients/total"), "5");
  EXPECT_EQ(said("clients/maximum"), "9");
  EXPECT_EQ(said("messages/received"), "100");
  EXPECT_EQ(said("bytes/sent"), "4000");
  EXPECT_EQ(said("publish/messages/received"), "9");
  EXPECT_EQ(said("publish/messages/sent"), "11");
  EXPECT_EQ(said("publish/messages/dropped"), "3");
  EXPECT_EQ(said("retained messages/count"), "4");
  EXPECT_EQ(said("messages/stored"), "10");
}

TEST_F(Sys, SaysOnlyWhatHasChanged) {
  start();
  published_ = 0;
  said_.clear();
  lone_.run_for(10s);
  EXPECT_THAT(said_, ElementsAre(Pair("$SYS/broker/uptime", "10 seconds")));
  counters_.connections = counters_.sessions = 1;
  said_.clear();
  lone_.run_for(10s);
  EXPECT_EQ(said("uptime"), "20 seconds");
  EXPECT_EQ(said("clients/connected"), "1");
  EXPECT_EQ(said("clients/disconnected"), "(nothing)");
}

TEST_F(Sys, LoadsAreAveragesOverMinutes) {
  start(1s);
  for (int second = 0; second < 60; ++second) {
    counters_.published_in[0] += 10;  // 600 a minute
    lone_.run_for(1s);
  }
  const double expected[] = {600 * (1 - std::exp(-1)), 600 * (1 - std::exp(-0.2)),
                             600 * (1 - std::exp(-1 / 15.0))};
  EXPECT_NEAR(std::stod(said("load/publish/received/1min")), expected[0], 0.01);
  EXPECT_NEAR(std::stod(said("load/publish/received/5min")), expected[1], 0.01);
  EXPECT_NEAR(std::stod(said("load/publish/received/15min")), expected[2], 0.01);
  EXPECT_EQ(said("load/publish/sent/1min"), "0.00");
}

TEST_F(Sys, IsSilentWhenItIsGone) {
  start();
  topics_.reset();
  published_ = 0;
  lone_.run_for(60s);
  EXPECT_EQ(published_, 0u);
}

}  // namespace
}  // namespace culvert::mqtt
