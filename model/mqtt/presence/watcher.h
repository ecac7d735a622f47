// Who is online: the other side of presence. A retained "online" outlives its device when the
// broker is killed and the will is lost, so it only counts for the rest of its lease, and the epoch
// tells a late will from the present life's. Stands on mqtt/client.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "model/mqtt/client/client.h"
#include "model/mqtt/presence/record.h"
#include "model/net/host.h"

namespace culvert::mqtt {

enum class Presence : uint8_t {
  unknown,  // we have no connection, or have not heard of it
  likely,   // the broker remembers it as online; the device has not said so since we look
  online,   // it said so, within its lease
  offline,
};
std::string_view to_string(Presence presence);

class PresenceWatcher {
 public:
  struct Change {
    std::string_view device;
    Presence presence = Presence::unknown;
    uint64_t epoch = 0;
    std::string_view
        why;  // "birth", "refresh", "retained", "said", "lease", "absent", "connection"
  };
  // Watches PREFIX/+ through `client`, which outlives it. At most `most` devices are remembered;
  // beyond it those that are offline are forgotten first, and further ones not taken in.
  PresenceWatcher(net::Host& host, Client& client, std::string prefix, size_t most = 100'000);
  ~PresenceWatcher();
  void on_change(std::function<void(const Change&)> callback);

  // The client's callbacks are the application's: it passes these on.
  void connected();                      // from on_connected
  void lost();                           // from on_lost
  bool message(const Publish& publish);  // from on_message; false: not ours

  Presence of(std::string_view device) const;
  size_t size() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace culvert::mqtt
