// Makes the namespace it runs in a router whose forwarding goes through the NAT: policy rules,
// routes, proxy neighbours. Two TUN devices, one for each side, because a hairpin packet cannot be
// told from an inbound one by its addresses.
//
//   inside ──rule: iif inside──► table 7100: default dev culvert-in ──► outbound() ─┐
//   outside ◄── table main ◄── written back into the TUN it came from ◄────────────┤
//   outside ──rule: iif outside──► table 7101: default dev culvert-out ──► inbound() ┘
//
// A public address stays on its interface (the source of the router's own packets), but is no
// longer local: its entry in table local goes, so that what comes for it is forwarded to the NAT,
// and a proxy neighbour answers for it. What the NAT leaves to the router itself is found local
// again in table 7102, which only packets from the TUNs see.
#pragma once

#include <string>
#include <vector>

#include "model/net/address.h"
#include "model/net/error.h"

namespace culvert::natbox {

constexpr const char* kTunIn = "culvert-in";
constexpr const char* kTunOut = "culvert-out";

struct PlumbingOptions {
  std::vector<std::string> inside;
  std::string outside;
  std::vector<net::IpAddress> public_addresses;  // IPv4; empty for a firewall
};

class Plumbing {
 public:
  explicit Plumbing(PlumbingOptions options) : options_(std::move(options)) {}
  ~Plumbing();  // takes rules and neighbours away again and makes the addresses local

  // The interfaces are there: otherwise not_found with a sentence.
  net::Status check() const;
  // Once both TUNs exist. invalid: an interface is on both sides. failed with what `ip` said.
  net::Status set_up();
  // Other public addresses from now on.
  net::Status change_addresses(std::vector<net::IpAddress> addresses);

 private:
  std::vector<std::string> claim(const net::IpAddress& address, const std::string& length) const;
  net::Status steer(const char* family) const;
  net::Status disown(const std::vector<net::IpAddress>& addresses) const;
  std::string length_of(const net::IpAddress& address) const;  // "/24"; "" if no interface has it
  std::vector<std::string> inner_routes(const char* family) const;

  PlumbingOptions options_;
  bool up_ = false, has_v6_ = false;
};

}  // namespace culvert::natbox
