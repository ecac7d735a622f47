// Stores in memory: their time, and the faults that tests give them.
#include "model/net/memory_store.h"

#include <gtest/gtest.h>

#include "tests/support/fake_net.h"

namespace culvert::net {
namespace {

using Fate = MemoryDisk::Fate;

class MemoryStoreTest : public ::testing::Test {
 protected:
  MemoryStoreTest() { disk().set_commit_delay(10ms); }
  Host& host() { return net_.at(node_); }
  MemoryDisk& disk() { return net_.disk(node_); }
  std::unique_ptr<Store> open() { return std::move(*host().open_store("box")); }
  // Commits {key: value} and notes key and outcome when it is told.
  void commit(Store& store, const std::string& key) {
    StoreBatch batch;
    batch.changes.push_back({key, false, Buffer{1}});
    store.commit(std::move(batch), [this, key](const Status& status) {
      told_ += key + (status ? "+" : "-");
      at_ = host().now();
    });
  }
  void run(Duration length) { net_.run_for(length); }
  std::string durable() {
    std::string out;
    for (const auto& [key, value] : disk().contents("box")) out += key;
    return out;
  }

  testing::FakeNet net_{1};
  testing::FakeNet::Node node_ = net_.host("a");
  std::string told_;
  Time at_{0};
};

TEST_F(MemoryStoreTest, a_write_takes_its_delay_and_what_comes_meanwhile_shares_the_next) {
  const auto store = open();
  const Time start = host().now();
  commit(*store, "a");
  run(4ms);
  commit(*store, "b");
  commit(*store, "c");
  run(5ms);
  EXPECT_EQ(told_, "");
  EXPECT_EQ(durable(), "");
  run(1ms);
  EXPECT_EQ(told_, "a+");
  EXPECT_EQ(at_ - start, 10ms);
  run(10ms);
  EXPECT_EQ(told_, "a+b+c+");
  EXPECT_EQ(at_ - start, 20ms);
  EXPECT_EQ(disk().commits(), 3u);
}

TEST_F(MemoryStoreTest, a_failed_commit_is_not_applied_and_the_next_one_is) {
  const auto store = open();
  disk().judge([](uint64_t n, const StoreBatch&) {
    return n == 1 ? Fate::no_room : n == 2 ? Fate::broken : Fate::written;
  });
  for (const char* key : {"a", "b", "c"}) commit(*store, key);
  EXPECT_TRUE(store->get("a"));
  run(50ms);
  EXPECT_EQ(told_, "a-b-c+");
  EXPECT_EQ(durable(), "c");
  EXPECT_FALSE(store->get("a"));
}

TEST_F(MemoryStoreTest, power_is_lost_before_or_after_the_nth_commit) {
  for (const Fate fate : {Fate::lose_power_before, Fate::lose_power_after}) {
    disk().wipe();
    told_.clear();
    auto store = open();
    const uint64_t second = disk().commits() + 2;
    disk().judge([&](uint64_t n, const StoreBatch&) { return n == second ? fate : Fate::written; });
    bool lost = false;
    disk().on_power_lost([&] {
      lost = true;
      store.reset();  // the program dies
    });
    commit(*store, "a");
    run(11ms);
    commit(*store, "b");
    run(1ms);
    commit(*store, "c");
    run(50ms);
    EXPECT_TRUE(lost);
    EXPECT_EQ(told_, "a+");
    EXPECT_EQ(durable(), fate == Fate::lose_power_before ? "a" : "ab");
    disk().judge(nullptr);
    store = open();
    commit(*store, "d");
    run(11ms);
    EXPECT_EQ(told_, "a+d+");
  }
}

TEST_F(MemoryStoreTest, after_a_loss_of_power_the_old_handle_is_dead) {
  auto store = open();
  disk().judge([](uint64_t, const StoreBatch&) { return Fate::lose_power_before; });
  commit(*store, "a");
  run(50ms);
  disk().judge(nullptr);
  commit(*store, "b");
  run(50ms);
  EXPECT_EQ(told_, "");
  EXPECT_EQ(durable(), "");
}

}  // namespace
}  // namespace culvert::net
