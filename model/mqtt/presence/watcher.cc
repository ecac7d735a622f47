#include "model/mqtt/presence/watcher.h"

#include <algorithm>
#include <map>
#include <set>
#include <vector>

namespace culvert::mqtt {
namespace {

// Ours: what a broker with retained messages for us has sent by then, after SUBACK.
constexpr net::Duration kRetainedPatience = std::chrono::seconds(5);

struct Device {
  Presence presence = Presence::unknown;
  uint64_t epoch = 0;
  net::Time deadline = net::Time::max();  // of its lease
};

}  // namespace

std::string_view to_string(Presence presence) {
  constexpr std::string_view kNames[] = {"unknown", "likely", "online", "offline"};
  return kNames[static_cast<size_t>(presence)];
}

struct PresenceWatcher::Impl {
  Impl(net::Host& h, Client& c, std::string p, size_t m)
      : host(h),
        client(c),
        prefix(std::move(p) + "/"),
        most(m),
        timer(h.timers(), [this] { due(); }),
        absence(h.timers(), [this] { judge_absent(); }) {}

  void tell(const std::string& name, Device& device, Presence presence, std::string_view why) {
    const bool new_life = why == "birth";
    if (device.presence == presence && !new_life) return;
    device.presence = presence;
    if (changed) changed({name, presence, device.epoch, why});
  }
  void set_deadline(const std::string& name, Device& device, net::Time deadline) {
    if (device.deadline != net::Time::max()) deadlines.erase({device.deadline, name});
    device.deadline = deadline;
    if (deadline != net::Time::max()) deadlines.insert({deadline, name});
    arm();
  }
  void arm() {
    if (deadlines.empty())
      timer.cancel();
    else
      timer.arm_at(deadlines.begin()->first);
  }
  void due() {
    while (!deadlines.empty() && deadlines.begin()->first <= host.now()) {
      const std::string name = deadlines.begin()->second;
      Device& device = devices[name];
      set_deadline(name, device, net::Time::max());
      tell(name, device, Presence::offline, "lease");
    }
    arm();
  }

  // A device to note something of; null: there is no room.
  Device* find(const std::string& name) {
    const auto at = devices.find(name);
    if (at != devices.end()) return &at->second;
    if (devices.size() >= most) {
      const auto gone = std::find_if(devices.begin(), devices.end(), [](const auto& one) {
        return one.second.presence == Presence::offline;
      });
      if (gone == devices.end()) return nullptr;
      devices.erase(gone);
    }
    return &devices[name];
  }

  void heard(const std::string& name, const PresenceRecord& record, const Publish& publish) {
    Device* device = find(name);
    if (!device || record.epoch < device->epoch) return;  // of an earlier life
    // The broker's memory of this very life says nothing new to whoever heard it from the device.
    const bool newer = record.epoch > device->epoch;
    device->epoch = record.epoch;
    if (!record.online) {
      set_deadline(name, *device, net::Time::max());
      tell(name, *device, Presence::offline, publish.retain ? "retained" : "said");
      return;
    }
    if (!publish.retain) {
      set_deadline(name, *device, host.now() + record.lease);
      tell(name, *device, Presence::online, record.refresh == 0 && newer ? "birth" : "refresh");
      return;
    }
    if (!newer && (device->presence == Presence::online || device->presence == Presence::offline))
      return;
    // What is left of the lease, if the broker says so (5.0); it counts while nobody refreshes.
    net::Duration left = record.lease;
    if (publish.properties.expiry_s)
      left = std::min<net::Duration>(left, std::chrono::seconds(*publish.properties.expiry_s));
    set_deadline(name, *device, host.now() + left);
    tell(name, *device, Presence::likely, "retained");
  }

  void subscribe() {
    SubscribeRequest request;
    request.filter = prefix + "+";
    request.options.qos = 1;
    request.options.retain_handling = 0;  // the memory, each time we come back
    client.subscribe({request}, [this](const SubscribeOutcome& outcome) {
      if (outcome.status) absence.arm_after(kRetainedPatience);
    });
  }
  // The broker has told what it remembers: whoever is still unknown is not there.
  void judge_absent() {
    for (auto& [name, device] : devices)
      if (device.presence == Presence::unknown) tell(name, device, Presence::offline, "absent");
  }
  void forget_all() {
    absence.cancel();
    for (auto& [name, device] : devices) {
      set_deadline(name, device, net::Time::max());
      tell(name, device, Presence::unknown, "connection");
    }
  }

  net::Host& host;
  Client& client;
  const std::string prefix;
  const size_t most;
  std::function<void(const Change&)> changed;
  std::map<std::string, Device, std::less<>> devices;  // ordered: what it tells has an order
  std::set<std::pair<net::Time, std::string>> deadlines;
  net::Timer timer, absence;
};

PresenceWatcher::PresenceWatcher(net::Host& host, Client& client, std::string prefix, size_t most)
    : impl_(std::make_unique<Impl>(host, client, std::move(prefix), most)) {}
PresenceWatcher::~PresenceWatcher() = default;

void PresenceWatcher::on_change(std::function<void(const Change&)> callback) {
  impl_->changed = std::move(callback);
}
void PresenceWatcher::connected() { impl_->subscribe(); }
void PresenceWatcher::lost() { impl_->forget_all(); }

bool PresenceWatcher::message(const Publish& publish) {
  const std::string& prefix = impl_->prefix;
  if (publish.topic.substr(0, prefix.size()) != prefix) return false;
  const std::string name(publish.topic.substr(prefix.size()));
  if (name.empty() || name.find('/') != std::string::npos) return false;
  if (const auto record = parse_presence(publish.payload)) impl_->heard(name, *record, publish);
  return true;
}

Presence PresenceWatcher::of(std::string_view device) const {
  const auto at = impl_->devices.find(device);
  return at == impl_->devices.end() ? Presence::unknown : at->second.presence;
}
size_t PresenceWatcher::size() const { return impl_->devices.size(); }

}  // namespace culvert::mqtt
