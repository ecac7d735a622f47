// Durable key-value stores: what is seen at once, what is durable when, what is lost.
#include "tests/contract/contract.h"

namespace culvert::contract {
namespace {

using net::Buffer;
using net::Status;
using net::Store;
using net::StoreBatch;
using Pairs = std::vector<std::pair<std::string, std::string>>;

StoreBatch put(const Pairs& pairs) {
  StoreBatch batch;
  for (const auto& [key, value] : pairs)
    batch.changes.push_back({key, false, Buffer(value.begin(), value.end())});
  return batch;
}
StoreBatch erase(const std::vector<std::string>& keys) {
  StoreBatch batch;
  for (const std::string& key : keys) batch.changes.push_back({key, true, {}});
  return batch;
}

class StoreCase : public Contract {
 protected:
  std::unique_ptr<Store> open(const std::string& name = "box") {
    auto opened = world->a().open_store(name);
    if (!opened) {
      ADD_FAILURE() << opened.status().to_string();
      return nullptr;
    }
    return std::move(*opened);
  }
  static std::string get(const Store& store, const std::string& key) {
    auto value = store.get(key);
    return value ? std::string(net::as_text(*value)) : "!" + std::string(to_string(value.error()));
  }
  static Pairs scan(const Store& store, const std::string& prefix) {
    Pairs out;
    store.scan(prefix, [&](const std::string& key, Bytes value) {
      out.emplace_back(key, net::as_text(value));
    });
    return out;
  }
  // Commits and waits until it is durable.
  Status keep(Store& store, StoreBatch batch) {
    Status status(Error::failed, "never told");
    bool told = false;
    store.commit(std::move(batch), [&](Status s) {
      status = std::move(s);
      told = true;
    });
    EXPECT_TRUE(until([&] { return told; }));
    return status;
  }
};

TEST_F(StoreCase, what_is_durable_is_there_when_the_store_is_opened_again) {
  auto store = open();
  ASSERT_TRUE(store);
  EXPECT_EQ(get(*store, "a"), "!not_found");
  EXPECT_TRUE(keep(*store, put({{"a", "1"}, {"b", "2"}})));
  EXPECT_TRUE(keep(*store, erase({"a"})));
  store.reset();
  store = open();
  ASSERT_TRUE(store);
  EXPECT_EQ(get(*store, "a"), "!not_found");
  EXPECT_EQ(get(*store, "b"), "2");
  EXPECT_EQ(scan(*store, ""), (Pairs{{"b", "2"}}));
}

TEST_F(StoreCase, a_commit_is_seen_at_once_and_durable_later) {
  auto store = open();
  ASSERT_TRUE(store);
  ASSERT_TRUE(keep(*store, put({{"k/1", "old"}, {"k/2", "stays"}, {"k/3", "goes"}})));
  bool durable = false;
  StoreBatch batch = put({{"k/1", "new"}, {"k/4", "more"}});
  batch.changes.push_back({"k/3", true, {}});
  store->commit(std::move(batch), [&](const Status& status) {
    durable = true;
    EXPECT_TRUE(status) << status.to_string();
  });
  EXPECT_FALSE(durable);
  EXPECT_EQ(get(*store, "k/1"), "new");
  EXPECT_EQ(get(*store, "k/3"), "!not_found");
  EXPECT_EQ(scan(*store, "k/"), (Pairs{{"k/1", "new"}, {"k/2", "stays"}, {"k/4", "more"}}));
  store->commit(put({{"k/1", "newer"}}), nullptr);
  EXPECT_EQ(get(*store, "k/1"), "newer");
  ASSERT_TRUE(until([&] { return durable; }));
  EXPECT_EQ(get(*store, "k/1"), "newer");
  EXPECT_EQ(scan(*store, "k/"), (Pairs{{"k/1", "newer"}, {"k/2", "stays"}, {"k/4", "more"}}));
}

TEST_F(StoreCase, scans_go_in_the_order_of_bytes_and_keep_to_their_prefix) {
  auto store = open();
  ASSERT_TRUE(store);
  const std::string zero("z\0", 2), high = "z\xff", higher = "z\xff\xff";
  const Pairs all = {{"", "empty"},    {"a", ""},     {"b", "2"},
                     {"z", "3"},       {zero, "4"},   {"z1", std::string("\0\xff", 2)},
                     {high, "6"},      {higher, "7"}, {"\xff", "8"},
                     {"\xff\xff", "9"}};
  const Pairs shuffled(all.rbegin(), all.rend());
  for (const bool durable : {false, true}) {
    if (durable)
      ASSERT_TRUE(keep(*store, {}));
    else
      store->commit(put(shuffled), nullptr);
    EXPECT_EQ(scan(*store, ""), all);
    EXPECT_EQ(scan(*store, "z"), Pairs(all.begin() + 3, all.begin() + 8));
    EXPECT_EQ(scan(*store, high), Pairs(all.begin() + 6, all.begin() + 8));
    EXPECT_EQ(scan(*store, "\xff"), Pairs(all.begin() + 8, all.end()));
    EXPECT_EQ(scan(*store, "c"), Pairs());
    EXPECT_EQ(get(*store, "a"), "");
    EXPECT_EQ(get(*store, zero), "4");
    EXPECT_EQ(get(*store, ""), "empty");
  }
}

TEST_F(StoreCase, a_scan_mixes_what_is_durable_with_what_is_not_yet) {
  auto store = open();
  ASSERT_TRUE(store);
  ASSERT_TRUE(keep(*store, put({{"1", "d"}, {"3", "d"}, {"5", "d"}})));
  StoreBatch batch = put({{"0", "p"}, {"2", "p"}, {"5", "p"}, {"6", "p"}});
  batch.changes.push_back({"3", true, {}});
  store->commit(std::move(batch), nullptr);
  EXPECT_EQ(scan(*store, ""), (Pairs{{"0", "p"}, {"1", "d"}, {"2", "p"}, {"5", "p"}, {"6", "p"}}));
  std::string seen;
  store->scan("", [&](const std::string& key, Bytes) {
    store->commit(erase({key}), nullptr);  // allowed, and not seen by this scan
    seen += key + (store->get(key) ? "+" : "-");
  });
  EXPECT_EQ(seen, "0-1-2-5-6-");
  EXPECT_EQ(scan(*store, ""), Pairs());
}

TEST_F(StoreCase, the_last_change_of_a_key_counts_within_a_batch) {
  auto store = open();
  ASSERT_TRUE(store);
  StoreBatch batch = put({{"x", "1"}, {"y", "1"}, {"x", "2"}});
  batch.changes.push_back({"y", true, {}});
  ASSERT_TRUE(keep(*store, std::move(batch)));
  EXPECT_EQ(scan(*store, ""), (Pairs{{"x", "2"}}));
}

TEST_F(StoreCase, thousands_of_commits_become_durable_in_their_order) {
  auto store = open();
  ASSERT_TRUE(store);
  constexpr int kMany = 5000;
  std::vector<int> told;
  for (int i = 0; i < kMany; ++i) {
    StoreBatch batch = put({{"m/" + std::to_string(i), std::string(100, 'm')}});
    if (i >= 100) batch.changes.push_back({"m/" + std::to_string(i - 100), true, {}});
    store->commit(std::move(batch), [&told, i](const Status& status) {
      EXPECT_TRUE(status) << status.to_string();
      told.push_back(i);
    });
    if (i % 500 == 499) world->run_for(200us);
  }
  ASSERT_TRUE(until([&] { return told.size() == kMany; }));
  for (int i = 0; i < kMany; ++i) ASSERT_EQ(told[static_cast<size_t>(i)], i);
  store.reset();
  store = open();
  ASSERT_TRUE(store);
  EXPECT_EQ(scan(*store, "m/").size(), 100u);
}

TEST_F(StoreCase, a_destroyed_handle_tells_nothing_and_loses_only_what_was_not_durable) {
  auto store = open();
  ASSERT_TRUE(store);
  ASSERT_TRUE(keep(*store, put({{"safe", "1"}})));
  int told = 0;
  for (int i = 0; i < 10; ++i)
    store->commit(put({{"risk/" + std::to_string(i), "1"}}), [&](const Status&) { ++told; });
  store.reset();
  world->settle();
  EXPECT_EQ(told, 0);
  store = open();
  ASSERT_TRUE(store);
  EXPECT_EQ(get(*store, "safe"), "1");
}

TEST_F(StoreCase, a_callback_may_destroy_the_store_or_commit_more) {
  auto store = open();
  ASSERT_TRUE(store);
  std::string order;
  store->commit(put({{"1", ""}}), [&](const Status&) {
    order += 'a';
    store->commit(put({{"3", ""}}), [&](const Status&) {
      order += 'c';
      store.reset();
    });
    store->commit(put({{"4", ""}}), [&](const Status&) { order += 'd'; });
  });
  store->commit(put({{"2", ""}}), [&](const Status&) { order += 'b'; });
  ASSERT_TRUE(until([&] { return !store; }));
  world->settle();
  EXPECT_EQ(order, "abc");
  store = open();
  ASSERT_TRUE(store);
  EXPECT_EQ(scan(*store, "").size(), 4u) << "3 and 4 shared a write";
}

TEST_F(StoreCase, a_name_is_open_once_and_names_are_plain) {
  auto store = open("one");
  ASSERT_TRUE(store);
  EXPECT_EQ(world->a().open_store("one").error(), Error::in_use);
  auto other = open("two");
  ASSERT_TRUE(other);
  ASSERT_TRUE(keep(*store, put({{"k", "one"}})));
  EXPECT_EQ(get(*other, "k"), "!not_found");
  auto elsewhere = world->b().open_store("one");  // another machine's
  ASSERT_TRUE(elsewhere) << elsewhere.status().to_string();
  EXPECT_EQ(get(**elsewhere, "k"), "!not_found");
  store.reset();
  EXPECT_EQ(get(*open("one"), "k"), "one");
  const std::string longest(64, 'n');
  EXPECT_TRUE(open(longest));
  for (const std::string& name :
       {std::string(), std::string("."), std::string(".."), std::string("../one"),
        std::string("a/b"), std::string("a\0b", 3), std::string(".x"), longest + "n"})
    EXPECT_EQ(world->a().open_store(name).error(), Error::invalid) << name;
}

TEST_F(StoreCase, what_is_too_large_is_refused_and_changes_nothing) {
  auto store = open();
  ASSERT_TRUE(store);
  const std::string long_key(net::kStoreKeyMost, 'k');
  EXPECT_TRUE(keep(*store, put({{long_key, "fits"}})));
  EXPECT_EQ(keep(*store, put({{"a", "1"}, {long_key + "k", "too long"}})).error, Error::too_big);
  EXPECT_EQ(keep(*store, put({{"b", std::string(net::kStoreValueMost + 1, 'v')}})).error,
            Error::too_big);
  EXPECT_EQ(get(*store, "a"), "!not_found");
  EXPECT_EQ(scan(*store, ""), (Pairs{{long_key, "fits"}}));
  const std::string mebibyte(1 << 20, 'v');
  EXPECT_TRUE(keep(*store, put({{"c", mebibyte}})));
  EXPECT_EQ(get(*store, "c"), mebibyte);
}

}  // namespace
}  // namespace culvert::contract
