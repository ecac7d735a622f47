#include "tests/exactly_once/lab.h"

#include "model/mqtt/codec.h"

namespace culvert::mqtt::exactly_once {
namespace {

using namespace std::chrono_literals;

constexpr net::Duration kReboot = 20ms, kPatience = 50ms;  // the second: beyond any one-way delay
constexpr const char* kNames[] = {"broker", "publisher", "subscriber"};

class Run;

// Counts the packets of a connection and ends it at the one that is meant to be the last.
class Tap : public net::Stream {
 public:
  Tap(Run& run, net::Host& host, std::unique_ptr<net::Stream> under)
      : run_(run), under_(std::move(under)), cut_(host.timers(), [this] { cut(); }) {}

  net::Endpoint local() const override { return under_->local(); }
  net::Endpoint remote() const override { return under_->remote(); }
  net::IoResult read(net::MutableBytes buffer) override;
  net::IoResult write(net::Bytes data) override;
  void shutdown_write() override { under_->shutdown_write(); }
  void reset() override { under_->reset(); }
  void on_readable(std::function<void()> callback) override {
    readable_ = callback;
    under_->on_readable(std::move(callback));
  }
  void on_writable(std::function<void()> callback) override {
    if (!ending_) under_->on_writable(std::move(callback));
  }
  net::Status set_no_delay(bool on) override { return under_->set_no_delay(on); }
  net::PathStats stats() const override { return under_->stats(); }

 private:
  // How many bytes may pass; sets `last` if the connection ends there.
  struct Flow {
    net::Buffer head;
    size_t rest = 0;  // of the packet under way
  };
  size_t passing(Flow& flow, net::Bytes data, Side sender, bool& last, bool& arrives);
  void cut() {
    under_->reset();
    over_ = true;
    if (const auto callback = readable_) callback();
  }

  Run& run_;
  std::unique_ptr<net::Stream> under_;
  net::Timer cut_;
  std::function<void()> readable_;
  Flow up_, down_;
  bool ending_ = false, over_ = false;
};

class TapConnector : public net::Connector {
 public:
  TapConnector(Run& run, net::Host& host, std::unique_ptr<net::Connector> under)
      : run_(run), host_(host), under_(std::move(under)) {}
  std::unique_ptr<net::Connecting> connect(Done done, Failed failed) override {
    return under_->connect(
        [this, done = std::move(done)](net::Connected connected) {
          connected.stream = std::make_unique<Tap>(run_, host_, std::move(connected.stream));
          done(std::move(connected));
        },
        std::move(failed));
  }
  std::string describe() const override { return under_->describe(); }

 private:
  Run& run_;
  net::Host& host_;
  std::unique_ptr<net::Connector> under_;
};

class Run {
 public:
  Run(const Machines& machines, const Course& setup) : machines_(machines), setup_(setup) {
    for (int who = 0; who < kPrograms; ++who) {
      Program& program = programs_[who];
      program.restart = std::make_unique<net::Timer>(machines.hosts[who]->timers(),
                                                     [this, who] { boot(Who(who)); });
      program.disk.judge([this, who](uint64_t n, const net::StoreBatch&) {
        outcome.commits[who] = n;
        for (const Fault& fault : setup_.faults)
          if (fault.at == Fault::At::commit && fault.who == who && fault.number == n)
            return fault.passed ? net::MemoryDisk::Fate::lose_power_after
                                : net::MemoryDisk::Fate::lose_power_before;
        return net::MemoryDisk::Fate::written;
      });
      program.disk.on_power_lost([this, who] { kill(Who(who)); });
    }
  }
  ~Run() {
    for (int who : {kPublisher, kSubscriber, kBroker}) destroy(Who(who));
  }

  void go() {
    boot(kBroker);
    boot(kSubscriber);
    const bool ended = machines_.run_until([this] { return done(); }, setup_.limit);
    // Whatever would still come twice has time to.
    machines_.run_until([] { return false; }, 1s);
    if (!ended) outcome.wrong += "it never ended; ";
    for (const auto& [key, value] : programs_[kSubscriber].disk.contents("s"))
      if (key.rfind("app/", 0) == 0) outcome.arrived[key.substr(4)] = value[0];
    for (const auto& [payload, times] : repeated_) outcome.arrived[payload] += times;
    for (int i = 0; i < setup_.messages; ++i)
      for (int qos : {1, 2}) {
        const std::string payload = name(qos, i);
        const int times = outcome.arrived.count(payload) ? outcome.arrived[payload] : 0;
        if (times == 0 || (qos == 2 && times > 1))
          outcome.wrong += payload + " arrived " + std::to_string(times) + " times; ";
      }
    if (in_doubt_) outcome.wrong += "a message is in doubt; ";
  }

  // True: the connection ends with this packet.
  bool ends_at_next_packet(bool& arrives) {
    const uint64_t number = outcome.packets++;
    for (const Fault& fault : setup_.faults)
      if (fault.at == Fault::At::packet && fault.number == number) {
        arrives = fault.passed;
        ++outcome.cuts;
        return true;
      }
    return false;
  }
  Outcome outcome;

 private:
  struct Program {
    net::MemoryDisk disk{1ms};
    std::unique_ptr<net::Store> store;
    std::unique_ptr<Access> access;
    std::unique_ptr<Broker> broker;
    std::unique_ptr<net::Listener> listener;
    std::unique_ptr<Client> client;
    std::unique_ptr<net::Timer> restart;
  };
  static std::string name(int qos, int i) {
    return "q" + std::to_string(qos) + "-" + std::to_string(i);
  }

  void destroy(Who who) {
    Program& p = programs_[who];
    p.client.reset();
    p.listener.reset();
    p.broker.reset();
    p.access.reset();
    p.store.reset();
  }
  void kill(Who who) {
    ++outcome.kills;
    destroy(who);
    programs_[who].restart->arm_after(kReboot);
  }
  void boot(Who who) {
    Program& p = programs_[who];
    net::Host& host = *machines_.hosts[who];
    auto store = p.disk.open(host, "s");
    if (!store) {
      outcome.wrong += "no store: " + store.status().detail;
      return;
    }
    p.store = std::move(*store);
    if (who == kBroker) return boot_broker(p, host);
    ClientOptions options;
    options.version = setup_.version;
    options.client_id = kNames[who];
    options.clean_start = false;
    options.session_expiry_s = 3600;
    options.keep_alive_s = 2;
    options.ping_patience = 1s;
    options.backoff_least = 10ms;
    options.backoff_most = 200ms;
    options.connect_patience = 2s;
    options.store = p.store.get();
    options.manual_ack = true;
    options.qos2_early = setup_.client_early;
    options.deduplicate = setup_.client_deduplicates;
    net::TcpTarget target;
    target.host = machines_.door.ip.to_string();
    target.port = machines_.door.port;
    target.timeout = 2s;
    p.client = std::make_unique<Client>(
        host, options,
        std::make_unique<TapConnector>(*this, host, net::tcp_connector(host, target)));
    who == kPublisher ? boot_publisher(p) : boot_subscriber(p);
    p.client->start();
  }
  void boot_broker(Program& p, net::Host& host) {
    p.access = allow_all();
    BrokerOptions options;
    options.qos2 = setup_.broker_qos2;
    options.deduplicate = setup_.broker_deduplicates;
    p.broker = std::make_unique<Broker>(host, options, *p.access, p.store.get());
    if (const auto status = p.broker->start(); !status)
      outcome.wrong += "the broker: " + status.to_string();
    net::ListenOptions listen;
    listen.local = machines_.door;
    auto listener = host.listen(listen);
    if (!listener) {  // the old connections have not gone yet
      destroy(kBroker);
      p.restart->arm_after(kReboot);
      return;
    }
    p.listener = std::move(*listener);
    p.listener->on_readable([&p] {
      while (auto stream = p.listener->accept()) {
        Peer peer;
        peer.remote = stream->remote();
        p.broker->attach(std::move(stream), peer);
      }
    });
  }
  void boot_publisher(Program& p) {
    p.client->on_recovered(
        [this](const Publish&, const PublishOutcome& o) { in_doubt_ |= o.in_doubt; });
    for (int i = 0; i < setup_.messages; ++i)
      for (uint8_t qos : {uint8_t(2), uint8_t(1)}) {
        const std::string payload = name(qos, i);
        if (p.store->get("app/" + payload)) continue;
        OutgoingMessage message;
        message.topic = "t/" + std::to_string(qos);
        message.payload.assign(payload.begin(), payload.end());
        message.qos = qos;
        net::StoreBatch note;
        note.changes.push_back({"app/" + payload, false, {1}});
        p.client->publish(
            std::move(message), [this](const PublishOutcome& o) { in_doubt_ |= o.in_doubt; },
            std::move(note));
      }
  }
  void boot_subscriber(Program& p) {
    counts_.clear();
    p.store->scan("app/", [this](const std::string& key, net::Bytes value) {
      counts_[key.substr(4)] = value[0];
    });
    p.client->on_message([this, &p](const IncomingMessage& m) {
      const std::string payload(net::as_text(m.publish.payload));
      if (m.token == 0) {
        ++repeated_[payload];  // only a client that does not deduplicate
        return;
      }
      net::StoreBatch batch;
      batch.changes.push_back({"app/" + payload, false, {++counts_[payload]}});
      p.client->acknowledge(m.token, Reason::success, std::move(batch));
    });
    p.client->subscribe({{"t/#", {2}}}, [this](const SubscribeOutcome& o) {
      if (!o.status.ok() || published_) return;
      published_ = true;
      boot(kPublisher);
    });
  }
  bool done() {
    const Program& publisher = programs_[kPublisher];
    if (!publisher.client || publisher.client->unacknowledged() > 0) return false;
    const auto count = [](net::MemoryDisk& disk) {
      const auto& all = disk.contents("s");
      size_t n = 0;
      for (auto at = all.lower_bound("app/"); at != all.end() && at->first.rfind("app/", 0) == 0;
           ++at)
        ++n;
      return n;
    };
    const size_t wanted = 2 * static_cast<size_t>(setup_.messages);
    return count(programs_[kPublisher].disk) == wanted &&
           count(programs_[kSubscriber].disk) == wanted;
  }

  const Machines& machines_;
  const Course& setup_;
  Program programs_[kPrograms];
  std::map<std::string, uint8_t> counts_;
  std::map<std::string, int> repeated_;
  bool published_ = false, in_doubt_ = false;
};

size_t Tap::passing(Flow& flow, net::Bytes data, Side sender, bool& last, bool& arrives) {
  for (size_t i = 0; i < data.size();) {
    if (flow.rest == 0) {
      flow.head.push_back(data[i++]);
      const auto cut = next_frame(flow.head, 1 << 28, sender);
      const Frame* frame = std::get_if<Frame>(&cut);
      if (!frame || frame->size == 0) continue;
      flow.rest = frame->size - flow.head.size();
    } else {
      const size_t part = std::min(flow.rest, data.size() - i);
      flow.rest -= part;
      i += part;
    }
    if (flow.rest > 0) continue;
    flow.head.clear();
    if (run_.ends_at_next_packet(arrives)) {
      last = true;
      return i;
    }
  }
  return data.size();
}

net::IoResult Tap::write(net::Bytes data) {
  if (over_) return {0, net::Error::reset};
  if (ending_) return {0, net::Error::would_block};
  bool last = false, arrives = false;
  // Only what the stream takes counts.
  const net::IoResult result = under_->write(data.first(std::min<size_t>(data.size(), 16384)));
  passing(up_, data.first(result.count), Side::client, last, arrives);
  if (!last) return result;
  // Written behind it in the same turn: the broker sees that, too, as a cut may be anywhere after.
  ending_ = true;
  cut_.arm_after(arrives ? kPatience : net::Duration(0));
  if (!arrives) under_->reset();
  return {result.count, net::Error::would_block};
}

net::IoResult Tap::read(net::MutableBytes buffer) {
  if (over_) return {0, net::Error::reset};
  if (ending_) return {0, net::Error::would_block};
  net::IoResult result = under_->read(buffer);
  bool last = false, arrives = false;
  const size_t count = passing(down_, buffer.first(result.count), Side::server, last, arrives);
  if (!last) return result;
  ending_ = true;
  cut_.arm_after(net::Duration(0));
  if (!arrives) return {0, net::Error::would_block};
  return {count, net::Error::none};
}

}  // namespace

Outcome run(const Machines& machines, const Course& setup) {
  Run run(machines, setup);
  run.go();
  return run.outcome;
}

}  // namespace culvert::mqtt::exactly_once
