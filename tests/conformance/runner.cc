#include <deque>
#include <set>

#include "model/mqtt/codec.h"
#include "tests/conformance/packet_text.h"
#include "tests/conformance/world.h"

namespace culvert::conformance {
namespace {

using mqtt::Side;
using Described = std::map<std::string, std::string>;

struct Client {
  std::unique_ptr<Wire> wire;
  net::Buffer in, unsent;
  std::deque<Described> packets;  // that nobody has asked for
  bool closed = true;             // by the broker; also before it is opened
  bool dripping = false;
  std::map<std::string, std::string> aliases;  // of the broker's topics
  std::string flaw;                            // bytes from the broker that are no packet
};

class Run {
 public:
  Run(const Case& one, World& world) : case_(one), world_(world), patience_(world.patience()) {}

  std::string all() {
    for (const Step& step : case_.steps) {
      const std::string wrong = take(step);
      if (!wrong.empty()) return case_.file + ":" + std::to_string(step.line) + ": " + wrong;
    }
    if (case_.loose) return {};
    world_.settle();
    for (auto& [name, client] : clients_) {
      receive(client);
      const std::string wrong = leftover(name, client);
      if (!wrong.empty()) return case_.file + ": at the end, " + wrong;
    }
    return {};
  }

  // So that a broker which outlives the case remembers nothing of it.
  void clean() {
    for (auto& [name, client] : clients_)
      if (client.wire) client.wire->cut();
    for (const std::string& id : client_ids_) {
      Client client;
      if (!open(client)) return;
      client.wire->send(packet("CONNECT", {{"id", id}}));
      world_.run_until([&] { return receive(client), !client.packets.empty() || client.closed; },
                       patience_);
      for (const std::string& topic : retained_)
        client.wire->send(packet("PUBLISH", {{"topic", topic}, {"retain", "1"}}));
      client.wire->send(packet("DISCONNECT", {}));
      world_.run_until([&] { return receive(client), client.closed; }, patience_);
    }
  }

 private:
  net::Buffer packet(const std::string& name, const std::vector<Field>& fields) {
    const auto bytes = build(name, fields, case_.version, variables_);
    return bytes ? *bytes : net::Buffer();
  }

  bool open(Client& client) {
    client = Client();
    client.wire = world_.open();
    client.closed = !client.wire;
    return !client.closed;
  }

  // Takes what has come apart into packets.
  void receive(Client& client) {
    if (client.closed || !client.wire) return;
    const bool open = client.wire->receive(client.in);
    size_t begin = 0;
    while (client.flaw.empty()) {
      const net::Bytes rest = net::Bytes(client.in).subspan(begin);
      const auto frame = mqtt::next_frame(rest, 268'435'460, Side::server);
      if (const auto* fault = std::get_if<mqtt::Fault>(&frame)) {
        client.flaw = std::string(fault->why);
        break;
      }
      const size_t size = std::get<mqtt::Frame>(frame).size;
      if (size == 0 || size > rest.size()) break;
      const auto decoded = mqtt::decode(rest.subspan(0, size), case_.version, Side::server);
      if (const auto* fault = std::get_if<mqtt::Fault>(&decoded)) {
        client.flaw = std::string(fault->why);
        break;
      }
      Described described = describe(std::get<mqtt::Packet>(decoded), case_.version);
      described["size"] = std::to_string(size);
      resolve_alias(client, described);
      client.packets.push_back(std::move(described));
      begin += size;
    }
    client.in.erase(client.in.begin(), client.in.begin() + static_cast<ptrdiff_t>(begin));
    if (!open) client.closed = true;
  }

  // Cases name topics; that the broker shortens them shows in "alias".
  static void resolve_alias(Client& client, Described& described) {
    const auto alias = described.find("alias");
    if (described["type"] != "PUBLISH" || alias == described.end()) return;
    std::string& topic = described["topic"];
    if (topic.empty())
      topic = client.aliases[alias->second];
    else
      client.aliases[alias->second] = topic;
  }

  static std::string leftover(const std::string& name, const Client& client) {
    if (!client.flaw.empty()) return "what " + name + " got is no packet: " + client.flaw;
    if (!client.packets.empty())
      return name + " got what nobody asked for: " + to_line(client.packets.front());
    return {};
  }

  std::string take(const Step& step) {
    switch (step.what) {
      case Step::What::wait:
        world_.pass(step.time);
        return {};
      case Step::What::set_time:
        patience_ = step.time;
        return {};
      case Step::What::restart:
        world_.restart();
        for (auto& [name, client] : clients_) client = Client();
        return {};
      default:
        break;
    }
    Client& client = clients_[step.client];
    switch (step.what) {
      case Step::What::send:
      case Step::What::send_raw:
        return send(step, client);
      case Step::What::expect:
      case Step::What::expect_some:
        return expect(step, client);
      case Step::What::closed:
        world_.run_until([&] { return receive(client), client.closed || !client.packets.empty(); },
                         patience_);
        if (const std::string wrong = leftover(step.client, client); !wrong.empty()) return wrong;
        return client.closed ? "" : step.client + " should be closed";
      case Step::What::nothing:
        world_.pass(step.time);
        receive(client);
        if (const std::string wrong = leftover(step.client, client); !wrong.empty()) return wrong;
        return client.closed ? step.client + " was closed" : "";
      case Step::What::forget:
        world_.settle();
        receive(client);
        client.packets.clear();
        return {};
      case Step::What::close:
        if (client.wire) client.wire->close();
        client.closed = true;
        client.wire.reset();
        world_.settle();
        return {};
      case Step::What::cut:
        if (client.wire) client.wire->cut();
        client.closed = true;
        client.wire.reset();
        world_.settle();
        return {};
      case Step::What::drip:
        client.dripping = true;
        return {};
      default:
        return "unknown step";
    }
  }

  std::string send(const Step& step, Client& client) {
    // A CONNECT on a connection that the broker closed begins a new one.
    if (!client.wire || client.closed) {
      const bool dripping = client.dripping;
      if (!client.packets.empty()) return leftover(step.client, client);
      if (!open(client)) return "the broker cannot be reached";
      client.dripping = dripping;
    }
    net::Buffer bytes = step.raw;
    if (step.what == Step::What::send) {
      auto built = build(step.packet, step.fields, case_.version, variables_);
      if (!built) return built.status().detail;
      bytes = std::move(*built);
      note(step);
    }
    client.unsent.insert(client.unsent.end(), bytes.begin(), bytes.end());
    if (step.more) return {};
    const net::Buffer out = std::move(client.unsent);
    client.unsent.clear();
    if (client.dripping) {
      for (const uint8_t byte : out) {
        client.wire->send({&byte, 1});
        world_.settle();
      }
    } else {
      client.wire->send(out);
    }
    world_.settle();
    return {};
  }

  // What clean() must undo.
  void note(const Step& step) {
    const auto field = [&](const std::string& key) {
      for (const Field& one : step.fields)
        if (one.key == key) return one.value;
      return std::string();
    };
    if (step.packet == "CONNECT") {
      client_ids_.insert(field("id").empty() ? "conformance" : field("id"));
      if (field("will_retain") == "1") retained_.insert(field("will"));
    }
    if (step.packet == "PUBLISH" && field("retain") == "1") retained_.insert(field("topic"));
  }

  std::string expect(const Step& step, Client& client) {
    const bool some = step.what == Step::What::expect_some;
    std::string wrong = "nothing came";
    bool found = false;
    world_.run_until(
        [&] {
          receive(client);
          const size_t most =
              some ? client.packets.size() : std::min<size_t>(1, client.packets.size());
          for (size_t i = 0; i < most && !found; ++i) {
            const std::string difference =
                compare(client.packets[i], step.packet, step.fields, variables_);
            if (difference.empty()) {
              client.packets.erase(client.packets.begin() + static_cast<ptrdiff_t>(i));
              found = true;
            } else {
              wrong = difference + "; came: " + to_line(client.packets[i]);
            }
          }
          return found || client.closed || !client.flaw.empty() ||
                 (!some && !client.packets.empty());
        },
        patience_);
    if (found) return {};
    if (!client.flaw.empty()) wrong = "what came is no packet: " + client.flaw;
    return step.client + "< " + step.packet + ": " + wrong +
           (client.closed && client.packets.empty() ? " before the broker closed" : "");
  }

  const Case& case_;
  World& world_;
  net::Duration patience_;
  std::map<std::string, Client> clients_;
  Variables variables_;
  std::set<std::string> client_ids_, retained_;
};

}  // namespace

std::string run(const Case& one, World& world) {
  Run run(one, world);
  std::string wrong = run.all();
  run.clean();
  return wrong;
}

}  // namespace culvert::conformance
