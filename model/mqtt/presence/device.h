// A device's side of presence: birth, refreshes and will with one epoch. Stands on mqtt/client.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "model/mqtt/client/client.h"
#include "model/mqtt/presence/record.h"
#include "model/net/host.h"

namespace culvert::mqtt {

struct PresenceOptions {
  std::string prefix = "presence", device;  // the topic is PREFIX/DEVICE
  uint64_t epoch = 1;                       // see next_epoch
  net::Duration lease = std::chrono::seconds(60);
  unsigned refreshes = 3;           // in a lease: so many may be lost, less one
  uint32_t offline_kept_s = 86400;  // how long the broker remembers that it is gone (5.0)
};

// One more than the last life's, kept in the store; `done` gets it once it is durable.
void next_epoch(net::Store& store, std::function<void(net::Result<uint64_t>)> done);

// For ClientOptions::will: the will has the birth's epoch, so it is made before the client.
OwnedWill presence_will(const PresenceOptions& options);

class DevicePresence {
 public:
  // `client` has the will above, and outlives this.
  DevicePresence(net::Host& host, Client& client, PresenceOptions options);
  ~DevicePresence();
  // From Client::on_connected: the birth goes out, refreshes follow.
  void connected();
  void lost();  // from Client::on_lost: no refreshes until it is back
  // A good-bye before Client::stop: `done` when the broker has it, or cannot be told.
  void leave(std::function<void()> done);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace culvert::mqtt
