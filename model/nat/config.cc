#include "model/nat/config.h"

#include <charconv>
#include <functional>
#include <initializer_list>

namespace culvert::nat {
namespace {

using net::Error;
using net::Status;

// One axis: its name, how its value is read and written.
struct Axis {
  std::string_view name;
  std::function<Status(Config&, std::string_view)> read;
  std::function<std::string(const Config&)> write;
};

Status wrong(std::string_view axis, std::string_view value, const std::string& right) {
  return {Error::invalid,
          std::string(axis) + " is " + right + ", not '" + std::string(value) + "'"};
}

// Axes with words for values, in the order of the enumerators.
template <class Get>
Axis words(std::string_view name, Get get, std::vector<std::string_view> values) {
  Axis axis;
  axis.name = name;
  axis.read = [=](Config& config, std::string_view value) -> Status {
    for (size_t i = 0; i < values.size(); ++i) {
      if (values[i] != value) continue;
      auto& field = get(config);
      field = static_cast<std::decay_t<decltype(field)>>(i);
      return {};
    }
    std::string right;
    for (size_t i = 0; i < values.size(); ++i) {
      if (i > 0) right += i + 1 == values.size() ? " or " : ", ";
      right += values[i];
    }
    return wrong(name, value, right);
  };
  axis.write = [=](const Config& config) {
    return std::string(values[static_cast<size_t>(get(const_cast<Config&>(config)))]);
  };
  return axis;
}

template <class Get>
Axis number(std::string_view name, Get get, uint64_t low, uint64_t high) {
  Axis axis;
  axis.name = name;
  axis.read = [=](Config& config, std::string_view value) -> Status {
    uint64_t n = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), n);
    if (error != std::errc() || end != value.data() + value.size() || n < low || n > high)
      return wrong(name, value,
                   "a number from " + std::to_string(low) + " to " + std::to_string(high));
    auto& field = get(config);
    field = static_cast<std::decay_t<decltype(field)>>(n);
    return {};
  };
  axis.write = [=](const Config& config) {
    return std::to_string(get(const_cast<Config&>(config)));
  };
  return axis;
}

struct Unit {
  std::string_view name;
  int64_t ns;
};
constexpr Unit kUnits[] = {
    {"ms", 1'000'000}, {"s", 1'000'000'000}, {"min", 60'000'000'000}, {"h", 3'600'000'000'000}};
constexpr int64_t kLongest = 30 * 24 * kUnits[3].ns;  // ours: 30 days, far from overflow

template <class Get>
Axis duration(std::string_view name, Get get, bool zero_allowed = false) {
  Axis axis;
  axis.name = name;
  axis.read = [=](Config& config, std::string_view value) -> Status {
    int64_t n = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), n);
    const std::string_view unit = value.substr(static_cast<size_t>(end - value.data()));
    if (error == std::errc() && n >= 0 && n <= kLongest) {
      if (n == 0 && zero_allowed) {
        get(config) = Duration(0);
        return {};
      }
      for (const Unit& u : kUnits) {
        if (u.name != unit || n == 0 || n > kLongest / u.ns) continue;
        get(config) = Duration(n * u.ns);
        return {};
      }
    }
    return wrong(name, value, "a time such as 500ms, 30s, 5min or 2h, at most 720h");
  };
  axis.write = [=](const Config& config) {
    const int64_t ns = get(const_cast<Config&>(config)).count();
    for (const Unit* u = std::end(kUnits) - 1; u >= kUnits; --u)
      if (ns % u->ns == 0 && ns != 0) return std::to_string(ns / u->ns) + std::string(u->name);
    return std::string("0s");
  };
  return axis;
}

#define FIELD(member) \
  [](Config & c) -> auto& { return c.member; }

const std::vector<Axis>& axes() {
  static const std::vector<Axis> table = {
      words("kind", FIELD(kind), {"nat", "firewall", "open"}),
      words("mapping", FIELD(mapping), {"eim", "adm", "apdm"}),
      words("filtering", FIELD(filtering), {"eif", "adf", "apdf"}),
      words("filter_state", FIELD(filter_state), {"mapping", "endpoint"}),
      words("binding", FIELD(binding), {"no", "yes"}),
      words("ports", FIELD(ports),
            {"preserving", "parity", "sequential", "random", "contiguous", "block"}),
      words("overloading", FIELD(overloading), {"no", "yes"}),
      number("port_first", FIELD(port_first), 1, 65535),
      number("port_last", FIELD(port_last), 1, 65535),
      number("port_step", FIELD(port_step), 1, 65535),
      number("block_size", FIELD(block_size), 1, 65535),
      number("blocks_per_subscriber", FIELD(blocks_per_subscriber), 1, 1024),
      words("pooling", FIELD(pooling), {"paired", "arbitrary"}),
      words("hairpin", FIELD(hairpin), {"none", "internal", "external"}),
      duration("udp_new", FIELD(timeouts.udp_new)),
      duration("udp_stream", FIELD(timeouts.udp_stream)),
      duration("icmp", FIELD(timeouts.icmp)),
      duration("tcp_opening", FIELD(timeouts.tcp_opening)),
      duration("tcp_established", FIELD(timeouts.tcp_established)),
      duration("tcp_half_closed", FIELD(timeouts.tcp_half_closed)),
      duration("tcp_closing", FIELD(timeouts.tcp_closing)),
      duration("tcp_reset", FIELD(timeouts.tcp_reset)),
      duration("fragment", FIELD(timeouts.fragment)),
      duration("lifetime", FIELD(timeouts.lifetime), true),
      words("udp_refresh", FIELD(udp_refresh), {"outbound", "inbound", "both"}),
      words("tcp_refresh", FIELD(tcp_refresh), {"outbound", "inbound", "both"}),
      words("icmp_refresh", FIELD(icmp_refresh), {"outbound", "inbound", "both"}),
      words("unsolicited_tcp", FIELD(unsolicited_tcp), {"drop", "rst", "icmp", "hold"}),
      duration("tcp_hold", FIELD(tcp_hold)),
      words("unsolicited_udp", FIELD(unsolicited_udp), {"drop", "icmp"}),
      words("refusal", FIELD(refusal), {"drop", "icmp"}),
      words("poisoning", FIELD(poisoning), {"no", "yes"}),
      words("tcp_loose", FIELD(tcp_loose), {"no", "yes"}),
      words("local_delivery", FIELD(local_delivery), {"none", "ping", "all"}),
      words("ipv6", FIELD(ipv6), {"drop", "firewall", "open"}),
      number("max_mappings", FIELD(max_mappings), 1, 1u << 26),
      number("max_sessions", FIELD(max_sessions), 1, 1u << 26),
      number("max_sessions_per_mapping", FIELD(max_sessions_per_mapping), 1, 1u << 26),
      number("max_inbound_sessions_per_mapping", FIELD(max_inbound_sessions_per_mapping), 0,
             1u << 26),
      number("max_mappings_per_subscriber", FIELD(max_mappings_per_subscriber), 0, 1u << 26),
      number("max_poison", FIELD(max_poison), 0, 1u << 24),
      number("max_fragments", FIELD(max_fragments), 0, 1u << 20),
      number("max_held", FIELD(max_held), 0, 1u << 16),
  };
  return table;
}

#undef FIELD

}  // namespace

Status set(Config& config, std::string_view name, std::string_view value) {
  for (const Axis& axis : axes())
    if (axis.name == name) return axis.read(config, value);
  std::string known;
  for (const Axis& axis : axes()) known += (known.empty() ? "" : ", ") + std::string(axis.name);
  return {Error::invalid, "a NAT has no axis '" + std::string(name) + "'; it has " + known};
}

std::vector<std::pair<std::string, std::string>> describe(const Config& config) {
  std::vector<std::pair<std::string, std::string>> all;
  for (const Axis& axis : axes()) all.emplace_back(axis.name, axis.write(config));
  return all;
}

Status check(const Config& config) {
  if (config.port_first < 1 || config.port_first > config.port_last)
    return {Error::invalid, "port_first is at least 1 and at most port_last"};
  const uint32_t range = config.port_last - config.port_first + 1u;
  if (config.ports == Ports::block && (config.block_size == 0 || config.block_size > range))
    return {Error::invalid, "block_size is at least 1 and at most the " + std::to_string(range) +
                                " ports from port_first to port_last"};
  if (config.ports == Ports::block && config.blocks_per_subscriber == 0)
    return {Error::invalid, "blocks_per_subscriber is at least 1"};
  if (config.port_step == 0) return {Error::invalid, "port_step is at least 1"};
  if (config.max_mappings == 0 || config.max_sessions == 0 || config.max_sessions_per_mapping == 0)
    return {Error::invalid,
            "max_mappings, max_sessions and max_sessions_per_mapping are at least 1"};
  for (const Duration d :
       {config.timeouts.udp_new, config.timeouts.udp_stream, config.timeouts.icmp,
        config.timeouts.tcp_opening, config.timeouts.tcp_established,
        config.timeouts.tcp_half_closed, config.timeouts.tcp_closing, config.timeouts.tcp_reset,
        config.timeouts.fragment, config.tcp_hold})
    if (d.count() <= 0 || d.count() > kLongest)
      return {Error::invalid, "every time-out is more than zero and at most 720h"};
  if (config.timeouts.lifetime.count() < 0 || config.timeouts.lifetime.count() > kLongest)
    return {Error::invalid, "lifetime is at most 720h; zero means none"};
  return {};
}

}  // namespace culvert::nat
