// Wills (MQTT 5.0 section 3.1.2.5) and their delay (3.1.3.2.2).
#include <algorithm>

#include "model/mqtt/broker/core.h"

namespace culvert::mqtt {

void Core::keep_will(Session& s, const Will& will) {
  // $SYS is the broker's: a will there is taken (mosquitto's bridges have one) and never goes out.
  if (will.topic.substr(0, 5) == "$SYS/" || will.topic == "$SYS") {
    if (s.rare) s.rare->will.reset();
    return;
  }
  Session::Rare& rare = s.need_rare();
  rare.will = Message::make(will, now_);
  rare.will_delay_s = will.delay_s;
}

void Core::forget_will(Session& s) {
  set_due(s, Due::will, net::Time::max());
  if (s.rare) s.rare->will.reset();
}

void Core::will_on_close(Session& s, bool clean_end, bool session_ends) {
  if (!s.rare || !s.rare->will) return;
  if (clean_end) return forget_will(s);  // 3.1.2-10
  if (session_ends) return;              // end_session() publishes it
  if (s.rare->will_delay_s == 0) return publish_will(s);
  // At the latest when the session ends (3.1.3-9 is resume's business).
  const uint32_t delay_s = std::min(s.rare->will_delay_s, s.expiry_s);
  set_due(s, Due::will, now_ + std::chrono::seconds(delay_s));
}

void Core::publish_will(Session& s) {
  if (!s.rare || !s.rare->will) return;
  const MessagePtr will = std::move(s.rare->will);
  forget_will(s);
  // Its expiry counts from now on, so it is made anew.
  Publish p;
  p.topic = will->topic();
  p.payload = will->payload();
  p.qos = will->qos();
  p.retain = will->retain();
  p.properties = will->properties();
  if (logs()) log("will_published", {{"client", s.client_id}, {"topic", p.topic}});
  publish_message(Message::make(p, now_), &s);
}

}  // namespace culvert::mqtt
