// A publisher, a broker and a subscriber, each with a store that outlives it, and what happens to
// them: connections cut after a given packet, programs killed at a given commit. World-independent:
// runs on whatever Hosts it is given.
//
//   publisher ---- broker ---- subscriber
//
// The publisher's application notes with each message that it handed it over, in one commit; the
// subscriber's counts what came, in the commit that acknowledges it. So what is counted is what an
// application that outlives kills has seen.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "model/mqtt/broker/broker.h"
#include "model/mqtt/client/client.h"
#include "model/net/memory_store.h"

namespace culvert::mqtt::exactly_once {

enum Who { kBroker, kPublisher, kSubscriber, kPrograms };

struct Fault {
  enum class At { packet, commit } at = At::packet;
  Who who = kBroker;    // of a commit: whose; it is killed
  uint64_t number = 0;  // packets of both connections and directions from 0, commits from 1
  bool passed = false;  // the packet arrives, the commit is durable; else it is lost
};

struct Course {
  int messages = 4;  // of QoS 1, and as many of QoS 2
  Version version = Version::v5;
  OnwardQos2 broker_qos2 = OnwardQos2::at_publish;
  bool client_early = true;
  bool broker_deduplicates = true, client_deduplicates = true;
  std::vector<Fault> faults;
  net::Duration limit = std::chrono::seconds(120);
};

struct Machines {
  net::Host* hosts[kPrograms];
  net::Endpoint door;  // of the broker
  std::function<bool(const std::function<bool()>&, net::Duration)> run_until;
};

struct Outcome {
  uint64_t packets = 0, commits[kPrograms] = {}, kills = 0, cuts = 0;
  std::map<std::string, int> arrived;
  std::string wrong;  // each violation; empty: exactly once held
};

Outcome run(const Machines& machines, const Course& setup);

}  // namespace culvert::mqtt::exactly_once
