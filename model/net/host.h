// A Host is one machine: all that the logic may touch of the world. ns-3 and Linux each implement
// it; tests/contract holds what "the same" means.
//
// The rules, for every handle that a Host gives:
//   - no callback runs inside the call that caused it;
//   - destroying a handle cancels its callbacks, also from inside one of them;
//   - a callback may destroy any handle, its own included;
//   - the Host outlives its handles; everything of one Host runs on one thread;
//   - only post() may be called from another Host's thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "model/net/address.h"
#include "model/net/datagram.h"
#include "model/net/error.h"
#include "model/net/event_log.h"
#include "model/net/flow_table.h"
#include "model/net/packet_hook.h"
#include "model/net/random.h"
#include "model/net/store.h"
#include "model/net/stream.h"
#include "model/net/timer.h"
#include "model/net/tun.h"

namespace culvert::net {

struct InterfaceAddress {
  std::string interface;
  Prefix address;
  uint32_t mtu = 1500;
};

// A name look-up under way.
class Lookup {
 public:
  virtual ~Lookup() = default;  // cancels it
};

class Host {
 public:
  virtual ~Host() = default;

  virtual const std::string& name() const = 0;
  virtual Time now() const = 0;  // monotonic
  virtual TimerQueue& timers() = 0;
  virtual Random& random() = 0;                     // seeded: everything that may repeat
  virtual void secure_random(MutableBytes out) = 0;  // keys and tokens; seeded in ns-3 only
  virtual EventLog& log() = 0;

  // Runs `task` on this Host's loop, after the current callback. From any thread.
  virtual void post(std::function<void()> task) = 0;
  // Runs `work` where blocking hurts nobody, then `done` on this Host's loop. `work` must touch
  // nothing of the Host's. ns-3 runs it at once and calls `done` after a stated delay.
  virtual void offload(std::function<void()> work, std::function<void()> done) = 0;

  virtual Result<std::unique_ptr<DatagramSocket>> open_datagram(const DatagramOptions& options) = 0;
  virtual Result<std::unique_ptr<Listener>> listen(const ListenOptions& options) = 0;
  // `done` runs once, unless the Dial is destroyed first.
  virtual Result<std::unique_ptr<Dial>> dial(const DialOptions& options, DialDone done) = 0;
  // invalid and not_permitted come at once; all else through the handle.
  virtual Result<std::unique_ptr<TunDevice>> open_tun(const TunOptions& options) = 0;
  virtual Result<std::unique_ptr<PacketHook>> add_hook(const Selector& selector,
                                                       HookFunction function) = 0;
  // At most `limit` flows. Packets of installed flows are rewritten and routed on by this host.
  virtual Result<std::unique_ptr<FlowTable>> open_flow_table(size_t limit) = 0;
  virtual Result<std::unique_ptr<Store>> open_store(const std::string& name) = 0;

  // Addresses of a name, or of a literal address. Destroying the returned handle cancels it.
  using Resolved = std::function<void(Result<std::vector<IpAddress>>)>;
  virtual std::unique_ptr<Lookup> resolve(const std::string& name, Resolved done) = 0;
  virtual std::vector<InterfaceAddress> interfaces() const = 0;
  // A secret by its name: a file in the daemon's secrets folder, or what the scenario gave.
  virtual Result<Buffer> secret(const std::string& name) = 0;
};

}  // namespace culvert::net
