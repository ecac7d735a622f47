// The MQTT broker: sessions, routing, QoS, retained messages, wills, shared subscriptions. It is
// given streams and knows nothing of what carries them. Durable when it is given a store.
// MQTT 3.1.1 and 5.0; docs/decisions/0008 on QoS 2. Stands on model/mqtt, model/net.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "model/mqtt/broker/access.h"
#include "model/mqtt/broker/options.h"
#include "model/net/host.h"

namespace culvert::mqtt {

class Broker {
 public:
  // `store` null: in memory. Both outlive the broker.
  Broker(net::Host& host, BrokerOptions options, Access& access, net::Store* store);
  ~Broker();  // closes every connection without a word, as a crash would; see stop()

  // Loads what the store holds.
  net::Status start();
  // DISCONNECT 0x8B to everybody, what is queued is written out for at most `patience`, then
  // `done`.
  void stop(net::Duration patience, std::function<void()> done);

  // A new connection, of which no byte was read yet. Over the limit it is refused (0x97 or 0x9F).
  void attach(std::unique_ptr<net::Stream> stream, Peer peer);
  // The other end of a pipe for a client inside this process: no socket, the same protocol, and
  // `user` needs no password. Give it to a Client through pipe_connector (client/connectors.h).
  std::unique_ptr<net::Stream> attach_local(const std::string& user);

  // Publishes as the broker itself ($SYS, presence, the bridge): no access check.
  void publish(const Publish& message);
  // Ends a session's connection with this reason (an operator's wish); false: it has none.
  bool disconnect(std::string_view client_id, Reason reason);
  // Whoever's access changed: what was granted is asked for anew.
  void access_changed(std::string_view user);
  void access_changed_of_all();
  // Ends every connection of this user; how many there were.
  size_t disconnect_user(std::string_view user, Reason reason);

  const BrokerCounters& counters() const;
  void on_event(std::function<void(const BrokerEvent&)> callback);  // presence; at most one

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace culvert::mqtt
