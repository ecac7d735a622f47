#include "model/nat/presets.h"

#include <string>

namespace culvert::nat {
namespace {

// RFC 3489 section 5 names four kinds; RFC 4787 section 4.1 says which axes they mean. Seed 003
// sections 2.2.2 and 3.6.3 use the same names. Ports of the four are random and not overloaded: the
// names say nothing about ports, and overloading would make every mapping look
// endpoint-independent.
const std::vector<Preset> kPresets = {
    {"full-cone", "mapping=eim filtering=eif", "RFC 3489 section 5; RFC 4787 sections 4.1, 5"},
    {"restricted-cone", "mapping=eim filtering=adf",
     "RFC 3489 section 5; RFC 4787 sections 4.1, 5"},
    {"port-restricted-cone", "mapping=eim filtering=apdf",
     "RFC 3489 section 5; RFC 4787 sections 4.1, 5"},
    {"symmetric", "mapping=apdm filtering=apdf", "RFC 3489 section 5; RFC 4787 sections 4.1, 5"},
    {"symmetric-sequential", "mapping=apdm filtering=apdf ports=sequential",
     "P2PSP core, doc/NTS: 'symmetric sequential', one port further for each new destination"},
    {"symmetric-preserving", "mapping=apdm filtering=apdf ports=preserving",
     "P2PSP core, doc/NTS: 'symmetric port-preserving', random when the port is taken"},
    {"rfc4787",
     "mapping=eim filtering=apdf ports=parity hairpin=external pooling=paired "
     "udp_new=5min udp_stream=5min unsolicited_tcp=hold",
     "RFC 4787 REQ-1 to REQ-9 as recommended, filtering for security; RFC 5382 REQ-4, REQ-5"},
    {"rfc4787-transparent",
     "mapping=eim filtering=eif ports=parity hairpin=external "
     "pooling=paired unsolicited_tcp=hold",
     "RFC 4787 REQ-8: endpoint-independent filtering where transparency matters most"},
    {"linux-masquerade",
     "mapping=apdm filtering=apdf ports=preserving overloading=yes hairpin=none udp_new=30s "
     "udp_stream=120s udp_refresh=both icmp=30s tcp_opening=120s tcp_established=120h "
     "tcp_half_closed=120s tcp_closing=120s tcp_reset=10s",
     "Linux nf_conntrack's default time-outs (nf_conntrack-sysctl; tcp_half_closed is fin_wait) "
     "and "
     "nf_nat's port choice; INPUT policy drop"},
    {"linux-masquerade-input-accept",
     "mapping=apdm filtering=apdf ports=preserving overloading=yes hairpin=none udp_new=30s "
     "udp_stream=120s udp_refresh=both icmp=30s tcp_opening=120s tcp_established=120h "
     "tcp_half_closed=120s tcp_closing=120s tcp_reset=10s poisoning=yes unsolicited_tcp=rst "
     "unsolicited_udp=icmp",
     "the same with INPUT policy accept, as Mininet leaves it: early inbound packets poison the "
     "port (field note on punching, measured)"},
    {"linux-masquerade-random",
     "mapping=apdm filtering=apdf ports=random overloading=yes hairpin=none udp_new=30s "
     "udp_stream=120s udp_refresh=both icmp=30s tcp_opening=120s tcp_established=120h "
     "tcp_half_closed=120s tcp_closing=120s tcp_reset=10s",
     "nftables masquerade fully-random: the kernel's symmetric NAT"},
    {"cgnat-port-block",
     "mapping=eim filtering=eif ports=block block_size=512 blocks_per_subscriber=1 pooling=paired "
     "hairpin=external max_mappings_per_subscriber=1024 refusal=icmp udp_new=2min udp_stream=5min",
     "RFC 6888 REQ-1 to REQ-4 and RFC 7422: a block a subscriber, a limit, paired addresses"},
    {"cgnat-symmetric-block",
     "mapping=apdm filtering=apdf ports=block block_size=512 blocks_per_subscriber=4 "
     "pooling=paired "
     "max_mappings_per_subscriber=2048 udp_new=30s udp_stream=2min",
     "field note on punching: port-block CGNAT of band 512 to 2048, endpoint-dependent"},
    {"mobile-cgn",
     "mapping=eim filtering=apdf ports=block block_size=1024 blocks_per_subscriber=2 "
     "pooling=paired udp_new=30s udp_stream=30s tcp_established=270s tcp_half_closed=270s",
     "Haetoenen 2010: UDP minimum 30 s; one mobile CGN drops idle TCP at 270 s (field note on "
     "NAT)"},
    {"home-short-timeouts",
     "mapping=eim filtering=apdf ports=preserving udp_new=30s udp_stream=30s",
     "Haetoenen 2010, 34 home gateways: the shortest UDP time-out found is 30 s"},
    {"firewall-only", "kind=firewall filtering=apdf", "RFC 6092 REC-14, REC-31: stateful, no NAT"},
    {"open", "kind=open ipv6=open", "no NAT, no filter"},
};

constexpr std::string_view kMappings[] = {"eim", "adm", "apdm"};
constexpr std::string_view kFilterings[] = {"eif", "adf", "apdf"};

// Applies "axis=value" items. On error says which.
net::Status apply(Config& config, std::string_view items, char separator) {
  while (!items.empty()) {
    const size_t end = items.find(separator);
    const std::string_view item = items.substr(0, end);
    items = end == std::string_view::npos ? std::string_view() : items.substr(end + 1);
    const size_t equals = item.find('=');
    if (equals == std::string_view::npos)
      return {net::Error::invalid, "'" + std::string(item) + "' should read axis=value"};
    const auto status = set(config, item.substr(0, equals), item.substr(equals + 1));
    if (!status.ok()) return status;
  }
  return {};
}

std::string known_names() {
  std::string names;
  for (const Preset& p : presets()) names += std::string(p.name) + ", ";
  return names + "or one of the nine eim-eif ... apdm-apdf";
}

}  // namespace

const std::vector<Preset>& presets() { return kPresets; }

net::Result<Config> from_preset(std::string_view spec) {
  const size_t comma = spec.find(',');
  const std::string_view name = spec.substr(0, comma);
  const std::string_view changes =
      comma == std::string_view::npos ? std::string_view() : spec.substr(comma + 1);
  Config config;
  bool found = false;
  for (const Preset& p : kPresets) {
    if (p.name != name) continue;
    const auto status = apply(config, p.axes, ' ');
    if (!status.ok()) return status;
    found = true;
  }
  for (size_t m = 0; m < 3 && !found; ++m)
    for (size_t f = 0; f < 3 && !found; ++f) {
      if (name != std::string(kMappings[m]) + "-" + std::string(kFilterings[f])) continue;
      config.mapping = static_cast<Mapping>(m);
      config.filtering = static_cast<Filtering>(f);
      found = true;
    }
  if (!found)
    return net::Status{net::Error::not_found, "no NAT kind is called '" + std::string(name) +
                                                  "'; there are " + known_names()};
  auto status = apply(config, changes, ',');
  if (status.ok()) status = check(config);
  if (!status.ok()) return status;
  return config;
}

}  // namespace culvert::nat
