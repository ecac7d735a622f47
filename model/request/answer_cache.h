// The answers of late: a request that comes again, by a retry or by QoS 1, is answered from here
// and runs once. Answers are bounded by number, bytes and age; what runs is kept until it ends, so
// that it never runs twice, and whoever lets it run bounds how many do. Pure.
#pragma once

#include <cstdint>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>

#include "model/net/time.h"
#include "model/request/router.h"

namespace culvert::request {

class AnswerCache {
 public:
  AnswerCache(size_t most_entries, size_t most_bytes, net::Duration age)
      : most_entries_(most_entries), most_bytes_(most_bytes), age_(age) {}

  enum class What : uint8_t { fresh, running, answered };
  struct Found {
    What what = What::fresh;
    const Response* response = nullptr;  // answered; until the next call
  };
  // A request of whoever listens at `reply_to`. fresh: it is noted as running from now on.
  Found begin(std::string_view reply_to, const Sequence& sequence, net::Time now);
  void answered(std::string_view reply_to, const Sequence& sequence, Response response,
                net::Time now);
  // It was not run after all (refused, too late): the same number may come again.
  void forget(std::string_view reply_to, const Sequence& sequence);

  size_t size() const { return running_.size() + answered_.size(); }
  size_t bytes() const { return bytes_; }

 private:
  struct Entry {
    std::string key;
    Response response;
    bool running = true;
    net::Time since{0};  // answered
  };
  using Entries = std::list<Entry>;
  static std::string key_of(std::string_view reply_to, const Sequence& sequence);
  static size_t size_of(const Entry& entry);
  void erase(Entries::iterator at);
  void make_room(net::Time now);

  size_t most_entries_, most_bytes_;
  net::Duration age_;
  Entries running_, answered_;                                     // oldest first
  std::unordered_map<std::string_view, Entries::iterator> index_;  // keys live in the entries
  size_t bytes_ = 0;
};

}  // namespace culvert::request
