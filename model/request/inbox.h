// One MQTT client, several users: each gets the messages of the filters it asked for. Takes the
// client's on_message and on_connected for itself; a filter wanted twice is subscribed once.
#pragma once

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "model/mqtt/client/client.h"

namespace culvert::request {

class Inbox {
 public:
  explicit Inbox(mqtt::Client& client);
  ~Inbox();
  Inbox(const Inbox&) = delete;
  Inbox& operator=(const Inbox&) = delete;

  // What a user holds; destroying it unsubscribes when it was the last of its filter.
  class User {
   public:
    ~User();

   private:
    friend class Inbox;
    Inbox* inbox_ = nullptr;
    std::string filter_, plain_;  // plain_: without $share/GROUP/
    std::function<void(const mqtt::IncomingMessage&)> receive_;
  };

  // `granted` runs once, later: when the broker has answered, or at once after this call if the
  // filter is subscribed already.
  std::unique_ptr<User> attach(std::string_view filter, mqtt::SubscriptionOptions options,
                               std::function<void(const mqtt::IncomingMessage&)> receive,
                               mqtt::SubscribeDone granted = {});

  // Others who want to know that the connection is up or down.
  void on_connected(std::function<void(const mqtt::ConnectedInfo&)> callback);
  mqtt::Client& client() { return client_; }
  uint64_t unclaimed() const { return unclaimed_; }  // messages that no user's filter matched

 private:
  struct Shared {
    size_t users = 0;
    bool granted = false, asking = false;
    std::vector<std::pair<User*, mqtt::SubscribeDone>> waiting;
  };
  void deliver(const mqtt::IncomingMessage& message);
  void answered(const std::string& filter, const mqtt::SubscribeOutcome& outcome);
  void detach(User* user);

  mqtt::Client& client_;
  std::list<User*> users_;
  std::map<std::string, Shared> filters_;
  std::vector<std::function<void(const mqtt::ConnectedInfo&)>> connected_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::list<User*>::iterator* cursor_ = nullptr;  // of the delivery under way
  uint64_t unclaimed_ = 0;
};

}  // namespace culvert::request
