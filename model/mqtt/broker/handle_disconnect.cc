// DISCONNECT from a client (MQTT 5.0 section 3.14).
#include <algorithm>

#include "model/mqtt/broker/core.h"

namespace culvert::mqtt {

void Core::handle_disconnect(Connection& c, const Disconnect& p) {
  Session* s = c.session;
  if (s != nullptr && p.session_expiry_s && c.version == Version::v5) {
    if (c.asked_expiry_s == 0 && *p.session_expiry_s != 0) {  // 3.1.2.11.2, 3.14.2.2.2
      return fault(c, {Reason::protocol_error,
                       "DISCONNECT makes a session live on that CONNECT let end", ""});
    }
    s->expiry_s = std::min(*p.session_expiry_s, options_.session_expiry_most_s);
  }
  c.clean_end = p.reason != Reason::disconnect_with_will;
  // Kept back so that the will goes out for 0x04 and for nothing else (3.14.4-3).
  doom(c, p.reason, false, c.clean_end ? "the client said good-bye" : "the client wants its will");
}

}  // namespace culvert::mqtt
