#include "model/punch/reason.h"

namespace culvert::punch {
namespace {

using stun::Filtering;
using stun::Mapping;

constexpr std::string_view kWords[] = {"",
                                       "port_changed",
                                       "same_nat_no_hairpin",
                                       "one_address_trusted",
                                       "udp_blocked",
                                       "peer_silent",
                                       "peer_unknown",
                                       "no_server",
                                       "one_way"};

bool endpoint_dependent(const stun::NatBehaviour& b) {
  return b.mapping == Mapping::adm || b.mapping == Mapping::apdm;
}

// "by its address" / "by its address and port".
std::string dependence(const stun::NatBehaviour& b) {
  return b.mapping == Mapping::adm ? "for every address" : "for every address and port";
}

std::string trust(const stun::NatBehaviour& b) {
  switch (b.filtering) {
    case Filtering::apdf:
      return "admits only addresses and ports that were sent to";
    case Filtering::adf:
      return "admits only addresses that were sent to";
    case Filtering::eif:
      return "admits everybody";
    case Filtering::unknown:
      break;
  }
  return "admits we do not know whom";
}

}  // namespace

std::string_view to_string(Reason reason) { return kWords[static_cast<size_t>(reason)]; }

Conclusion conclude(const Evidence& e) {
  const bool heard = e.mine.received > 0;
  const bool was_heard = e.theirs && e.theirs->received > 0;
  // Seen, not only measured: a packet came from another endpoint than the one told.
  const bool they_moved = heard && !e.mine.seen_from.is_none() && e.mine.seen_from != e.told;
  const bool we_moved = was_heard && !e.moved_ourselves && !e.theirs->seen_from.is_none() &&
                        !e.my_told.is_none() && e.theirs->seen_from != e.my_told;
  const bool mine_changes = endpoint_dependent(e.me) || we_moved;
  const bool theirs_changes = endpoint_dependent(e.them) || they_moved;
  const std::string who = "'" + e.peer + "'";

  if (!heard && !was_heard && e.same_public) {
    return {Reason::same_nat_no_hairpin,
            "both are behind " + e.told.ip.to_string() +
                " and nothing sent there came back in: the NAT that we share with " + who +
                " does not hairpin, and no private address of the other answered"};
  }
  if (!heard && !e.theirs && !e.peer_acknowledged) {
    return {Reason::peer_silent, "the server introduced us, but " + who +
                                     " never acknowledged it and nothing came from there"};
  }
  if (mine_changes) {
    std::string detail;
    if (we_moved) {
      detail = "our NAT changed the port: " + who + " saw us as " +
               e.theirs->seen_from.to_string() + ", the server as " + e.my_told.to_string();
    } else {
      detail = "our NAT takes another port " + dependence(e.me) + ", so what " + who +
               " sends to the port that the server saw meets a port that " + trust(e.me);
    }
    if (theirs_changes) {
      detail += "; the port of " + who + " changes too";
    } else {
      detail += "; the NAT of " + who + " " + trust(e.them);
    }
    return {Reason::port_changed, detail};
  }
  if (theirs_changes) {
    if (they_moved) {
      return {Reason::port_changed,
              "the port of " + who + " changed: the server told " + e.told.to_string() +
                  ", its packets came from " + e.mine.seen_from.to_string() +
                  (e.answers_seen_address ? ", and what we answered did not get in"
                                          : ", where this technique sends nothing")};
    }
    return {Reason::one_address_trusted,
            "our NAT " + trust(e.me) + ", that is " + e.told.to_string() + ", and the NAT of " +
                who + " takes another port towards us (" + dependence(e.them) + ")"};
  }
  if (heard != was_heard && (heard || e.theirs)) {
    return {Reason::one_way, heard
                                 ? "packets of " + who + " came in, but none of ours arrived there"
                                 : who + " received packets of ours, but none of its own came in"};
  }
  if (heard) {
    return {Reason::one_way,
            "packets arrived in both directions, but no answer to ours came back in time"};
  }
  if (!e.theirs && e.peer_acknowledged == false) {
    return {Reason::peer_silent, who + " was introduced but nothing came from there"};
  }
  if (e.prohibited > 0) {
    return {Reason::udp_blocked,
            "a router on the way to " + who + " says that our packets are prohibited (ICMP)"};
  }
  if (e.theirs && e.theirs->sent > 0) {
    return {Reason::udp_blocked,
            "both sides sent from ports that do not change, and nothing arrived "
            "on either side: UDP between them is dropped on the way"};
  }
  return {Reason::peer_silent, "nothing came from " + who + ", and it did not say what it saw"};
}

}  // namespace culvert::punch
