#include "model/request/answer_cache.h"

namespace culvert::request {

std::string AnswerCache::key_of(std::string_view reply_to, const Sequence& sequence) {
  std::string key;
  key.reserve(reply_to.size() + 8);
  for (int shift = 24; shift >= 0; shift -= 8)
    key.push_back(static_cast<char>(sequence.epoch >> shift));
  for (int shift = 24; shift >= 0; shift -= 8)
    key.push_back(static_cast<char>(sequence.number >> shift));
  return key.append(reply_to);
}

size_t AnswerCache::size_of(const Entry& entry) {
  return sizeof(Entry) + entry.key.size() + entry.response.body.size() +
         entry.response.content_type.size();
}

AnswerCache::Found AnswerCache::begin(std::string_view reply_to, const Sequence& sequence,
                                      net::Time now) {
  make_room(now);
  std::string key = key_of(reply_to, sequence);
  if (const auto found = index_.find(key); found != index_.end()) {
    const Entry& entry = *found->second;
    if (entry.running) return {What::running, nullptr};
    return {What::answered, &entry.response};
  }
  Entry entry;
  entry.key = std::move(key);
  bytes_ += size_of(entry);
  const auto at = running_.insert(running_.end(), std::move(entry));
  index_.emplace(at->key, at);
  return {};
}

void AnswerCache::answered(std::string_view reply_to, const Sequence& sequence, Response response,
                           net::Time now) {
  const auto found = index_.find(key_of(reply_to, sequence));
  if (found == index_.end() || !found->second->running) return;
  Entry& entry = *found->second;
  bytes_ -= size_of(entry);
  entry.response = std::move(response);
  entry.running = false;
  entry.since = now;
  bytes_ += size_of(entry);
  answered_.splice(answered_.end(), running_, found->second);
  make_room(now);
}

void AnswerCache::forget(std::string_view reply_to, const Sequence& sequence) {
  const auto found = index_.find(key_of(reply_to, sequence));
  if (found != index_.end()) erase(found->second);
}

void AnswerCache::erase(Entries::iterator at) {
  bytes_ -= size_of(*at);
  index_.erase(at->key);
  (at->running ? running_ : answered_).erase(at);
}

void AnswerCache::make_room(net::Time now) {
  while (!answered_.empty() &&
         (size() > most_entries_ || bytes_ > most_bytes_ || answered_.front().since + age_ <= now))
    erase(answered_.begin());
}

}  // namespace culvert::request
