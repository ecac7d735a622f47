// What a client has subscribed to, and the SUBSCRIBEs and UNSUBSCRIBEs under way; made anew when a
// session was lost. Pure. MQTT 5.0 sections 3.8 to 3.11.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "model/mqtt/client/client.h"
#include "model/mqtt/client/fifo.h"

namespace culvert::mqtt {

class Wishes {
 public:
  struct Wish {
    std::vector<SubscribeRequest> filters;
    std::optional<uint32_t> subscription_id;
    SubscribeDone done;
    uint16_t id = 0;    // of the packet; 0: not sent on this connection
    bool away = false;  // UNSUBSCRIBE
  };
  void add(Wish wish);
  // A connection begins: what was not acknowledged is sent again.
  void connection_began();
  // The session was lost: whatever is not wished for again already is.
  void session_lost();
  // The next to send; null: none. Give it an identifier.
  Wish* next();
  bool empty() const { return wishes_.empty(); }
  bool uses(uint16_t id) const;
  // SUBACK or UNSUBACK. False: there is no such wish. `ended` is the wish with its outcome.
  bool acknowledged(const SubAck& ack, Wish& ended, SubscribeOutcome& outcome);
  void drop(Wish* wish, Wish& ended);  // cannot be sent
  std::vector<Wish> drop_all();
  size_t held() const { return held_.size(); }

 private:
  struct Held {
    SubscribeRequest request;
    std::optional<uint32_t> subscription_id;
  };
  void forget(const std::string& filter);

  std::vector<Held> held_;  // granted
  std::vector<Wish> wishes_;
};

}  // namespace culvert::mqtt
