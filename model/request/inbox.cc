#include "model/request/inbox.h"

#include <algorithm>

#include "model/mqtt/topic.h"

namespace culvert::request {

Inbox::Inbox(mqtt::Client& client) : client_(client) {
  client_.on_message([this](const mqtt::IncomingMessage& message) { deliver(message); });
  client_.on_connected([this](const mqtt::ConnectedInfo& info) {
    const auto callbacks = connected_;
    for (const auto& callback : callbacks) callback(info);
  });
}

Inbox::~Inbox() {
  *alive_ = false;
  for (User* user : users_) user->inbox_ = nullptr;
  client_.on_message({});
  client_.on_connected({});
}

Inbox::User::~User() {
  if (inbox_) inbox_->detach(this);
}

std::unique_ptr<Inbox::User> Inbox::attach(
    std::string_view filter, mqtt::SubscriptionOptions options,
    std::function<void(const mqtt::IncomingMessage&)> receive, mqtt::SubscribeDone granted) {
  auto user = std::make_unique<User>();
  user->inbox_ = this;
  user->filter_ = filter;
  const auto shared = mqtt::shared(filter);
  user->plain_ = shared ? shared->filter : filter;
  user->receive_ = std::move(receive);
  users_.push_back(user.get());
  Shared& entry = filters_[user->filter_];
  ++entry.users;
  if (granted) entry.waiting.emplace_back(user.get(), std::move(granted));
  if (entry.asking) return user;  // the answer is under way
  // Asking again for what is there already is idempotent, and its answer is the callback.
  if (entry.granted && entry.waiting.empty()) return user;
  entry.asking = true;
  const auto status =
      client_.subscribe({{user->filter_, options}},
                        [this, filter = user->filter_, alive = std::weak_ptr<bool>(alive_)](
                            const mqtt::SubscribeOutcome& outcome) {
                          if (!alive.expired()) answered(filter, outcome);
                        });
  if (!status) {
    mqtt::SubscribeOutcome outcome;
    outcome.status = status;
    answered(user->filter_, outcome);
  }
  return user;
}

void Inbox::answered(const std::string& filter, const mqtt::SubscribeOutcome& outcome) {
  const auto found = filters_.find(filter);
  if (found == filters_.end()) return;
  found->second.asking = false;
  found->second.granted =
      outcome.status.ok() && !outcome.reasons.empty() && !mqtt::is_error(outcome.reasons.front());
  const auto waiting = std::move(found->second.waiting);
  found->second.waiting.clear();
  for (const auto& [user, done] : waiting)
    // One of them may have destroyed another.
    if (std::find(users_.begin(), users_.end(), user) != users_.end()) done(outcome);
}

void Inbox::deliver(const mqtt::IncomingMessage& message) {
  bool claimed = false;
  const std::weak_ptr<bool> alive = alive_;
  auto at = users_.begin();
  cursor_ = &at;
  while (at != users_.end()) {
    User* user = *at++;
    if (!mqtt::matches(user->plain_, message.publish.topic)) continue;
    claimed = true;
    const auto receive = user->receive_;  // it may destroy its user
    receive(message);
    if (alive.expired()) return;
  }
  cursor_ = nullptr;
  if (claimed) return;
  ++unclaimed_;
  if (message.token != 0) client_.acknowledge(message.token);
}

void Inbox::on_connected(std::function<void(const mqtt::ConnectedInfo&)> callback) {
  connected_.push_back(std::move(callback));
}

void Inbox::detach(User* user) {
  const auto at = std::find(users_.begin(), users_.end(), user);
  if (cursor_ && *cursor_ == at) ++*cursor_;
  users_.erase(at);
  const auto found = filters_.find(user->filter_);
  auto& waiting = found->second.waiting;
  waiting.erase(std::remove_if(waiting.begin(), waiting.end(),
                               [&](const auto& entry) { return entry.first == user; }),
                waiting.end());
  if (--found->second.users > 0) return;
  filters_.erase(found);
  client_.unsubscribe({user->filter_});
}

}  // namespace culvert::request
