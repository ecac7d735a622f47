#include "model/rendezvous/frames_body.h"

namespace culvert::rendezvous {
namespace {

constexpr uint32_t kNoTime = 0xffffffff;  // on the wire: not measured
constexpr uint8_t kNoHops = 0xff;

uint32_t to_us(net::Duration d) {
  const int64_t us = (d.count() + 500) / 1000;
  return us < 0 ? 0 : us >= kNoTime ? kNoTime - 1 : static_cast<uint32_t>(us);
}
net::Duration from_us(uint32_t us) { return std::chrono::microseconds(us); }

void put(Writer& w, const stun::NatBehaviour& b) {
  w.u8(static_cast<uint8_t>(b.mapping));
  w.u8(static_cast<uint8_t>(b.filtering));
  w.u8(static_cast<uint8_t>(b.hairpin));
  w.u8(b.hops ? *b.hops : kNoHops);
  w.u32(b.far ? to_us(*b.far) : kNoTime);
  w.u32(to_us(b.rtt));
  w.u8(static_cast<uint8_t>((b.same_as_local ? 1 : 0) | (b.blocked ? 2 : 0)));
}

stun::NatBehaviour get_behaviour(Reader& r) {
  stun::NatBehaviour b;
  const uint8_t mapping = r.u8(), filtering = r.u8(), hairpin = r.u8(), hops = r.u8();
  if (mapping > 3 || filtering > 3 || hairpin > 2) r.fail();
  b.mapping = static_cast<stun::Mapping>(mapping & 3);
  b.filtering = static_cast<stun::Filtering>(filtering & 3);
  b.hairpin = static_cast<stun::Hairpin>(hairpin > 2 ? 0 : hairpin);
  if (hops != kNoHops) b.hops = hops;
  const uint32_t far = r.u32();
  if (far != kNoTime) b.far = from_us(far);
  b.rtt = from_us(r.u32());
  const uint8_t flags = r.u8();
  b.same_as_local = flags & 1;
  b.blocked = flags & 2;
  return b;
}

void put(Writer& w, const Hosts& hosts) {
  w.u8(static_cast<uint8_t>(hosts.size()));
  for (const net::Endpoint& host : hosts) w.endpoint(host);
}

Hosts get_hosts(Reader& r) {
  Hosts hosts;
  const uint8_t count = r.u8();
  if (count > kMaxHosts) {
    r.fail();
    return hosts;
  }
  for (uint8_t i = 0; i < count; ++i) hosts.push_back(r.endpoint());
  return hosts;
}

void put(Writer& w, const Sighting& s) {
  w.u32(s.sent);
  w.u32(s.received);
  w.endpoint(s.seen_from);
  w.u8(s.confirmed);
}

Sighting get_sighting(Reader& r) {
  Sighting s;
  s.sent = r.u32();
  s.received = r.u32();
  s.seen_from = r.endpoint();
  s.confirmed = r.u8() != 0;
  return s;
}

struct PutRequest {
  Writer& w;
  FrameType operator()(const Register&) const { return FrameType::register_; }
  FrameType operator()(const Measured& m) const {
    put(w, m.behaviour);
    put(w, m.hosts);
    return FrameType::measured;
  }
  FrameType operator()(const Unregister&) const { return FrameType::unregister; }
  FrameType operator()(const List&) const { return FrameType::list; }
  FrameType operator()(const Connect& c) const {
    w.text(c.peer);
    w.u8(static_cast<uint8_t>(c.technique));
    w.u64(c.token);
    return FrameType::connect;
  }
  FrameType operator()(const Acknowledge& a) const {
    w.u64(a.session);
    return FrameType::acknowledge;
  }
  FrameType operator()(const Report& p) const {
    w.u64(p.session);
    put(w, p.sighting);
    return FrameType::report;
  }
};

struct PutReply {
  Writer& w;
  FrameType operator()(const Challenge& c) const {
    w.bytes(c.cookie);
    return FrameType::challenge;
  }
  FrameType operator()(const Registered& g) const {
    w.endpoint(g.observed);
    for (const net::Endpoint& endpoint : g.endpoints) w.endpoint(endpoint);
    w.u32(g.lifetime_s);
    w.u32(to_us(g.rtt));
    return FrameType::registered;
  }
  FrameType operator()(const Gone&) const { return FrameType::gone; }
  FrameType operator()(const Listed& l) const {
    const size_t count = std::min(l.devices.size(), kMaxListed);
    w.u8(static_cast<uint8_t>(count));
    for (size_t i = 0; i < count; ++i) {
      const Listed::Device& device = l.devices[i];
      w.text(device.name);
      w.endpoint(device.observed);
      w.u8(static_cast<uint8_t>(device.mapping));
      w.u8(static_cast<uint8_t>(device.filtering));
    }
    return FrameType::listed;
  }
  FrameType operator()(const Introduction& i) const {
    w.u64(i.session);
    w.u64(i.token);
    w.u8(static_cast<uint8_t>(i.role));
    w.u8(static_cast<uint8_t>(i.technique));
    w.text(i.peer);
    w.endpoint(i.peer_observed);
    put(w, i.mine);
    put(w, i.theirs);
    w.u8(i.same_public);
    put(w, i.hosts);
    w.bytes(i.key);
    return FrameType::introduction;
  }
  FrameType operator()(const Refused& f) const {
    w.u64(f.token);
    w.u8(static_cast<uint8_t>(f.why));
    return FrameType::refused;
  }
  FrameType operator()(const PeerReport& p) const {
    w.u64(p.session);
    w.u8(p.acknowledged);
    w.u8(p.reported);
    put(w, p.sighting);
    return FrameType::peer_report;
  }
};

}  // namespace

FrameType write_body(Writer& w, const Request& request) {
  return std::visit(PutRequest{w}, request);
}

FrameType write_body(Writer& w, const Reply& reply) { return std::visit(PutReply{w}, reply); }

bool read_body(FrameType type, Reader& r, Request& out) {
  switch (type) {
    case FrameType::register_:
      out = Register{};
      return true;
    case FrameType::measured: {
      Measured m;
      m.behaviour = get_behaviour(r);
      m.hosts = get_hosts(r);
      out = m;
      return true;
    }
    case FrameType::unregister:
      out = Unregister{};
      return true;
    case FrameType::list:
      out = List{};
      return true;
    case FrameType::connect: {
      Connect c;
      c.peer = r.text(kMaxName);
      const uint8_t technique = r.u8();
      if (technique > 2) r.fail();
      c.technique = static_cast<Technique>(technique);
      c.token = r.u64();
      out = c;
      return true;
    }
    case FrameType::acknowledge:
      out = Acknowledge{r.u64()};
      return true;
    case FrameType::report: {
      Report p;
      p.session = r.u64();
      p.sighting = get_sighting(r);
      out = p;
      return true;
    }
    default:
      return false;
  }
}

bool read_body(FrameType type, Reader& r, Reply& out) {
  switch (type) {
    case FrameType::challenge:
      out = Challenge{get_array<24>(r)};
      return true;
    case FrameType::registered: {
      Registered g;
      g.observed = r.endpoint();
      for (net::Endpoint& endpoint : g.endpoints) endpoint = r.endpoint();
      g.lifetime_s = r.u32();
      g.rtt = from_us(r.u32());
      out = g;
      return true;
    }
    case FrameType::gone:
      out = Gone{};
      return true;
    case FrameType::listed: {
      Listed l;
      const uint8_t count = r.u8();
      if (count > kMaxListed) return false;
      for (uint8_t i = 0; i < count; ++i) {
        Listed::Device device;
        device.name = r.text(kMaxName);
        device.observed = r.endpoint();
        const uint8_t mapping = r.u8(), filtering = r.u8();
        if (mapping > 3 || filtering > 3) return false;
        device.mapping = static_cast<stun::Mapping>(mapping);
        device.filtering = static_cast<stun::Filtering>(filtering);
        l.devices.push_back(std::move(device));
      }
      out = std::move(l);
      return true;
    }
    case FrameType::introduction: {
      Introduction i;
      i.session = r.u64();
      i.token = r.u64();
      const uint8_t role = r.u8(), technique = r.u8();
      if (role > 1 || technique > 2) return false;
      i.role = static_cast<Role>(role);
      i.technique = static_cast<Technique>(technique);
      i.peer = r.text(kMaxName);
      i.peer_observed = r.endpoint();
      i.mine = get_behaviour(r);
      i.theirs = get_behaviour(r);
      i.same_public = r.u8() != 0;
      i.hosts = get_hosts(r);
      i.key = get_array<32>(r);
      out = std::move(i);
      return true;
    }
    case FrameType::refused: {
      Refused f;
      f.token = r.u64();
      const uint8_t why = r.u8();
      if (why < 1 || why > 2) return false;
      f.why = static_cast<RefusedWhy>(why);
      out = f;
      return true;
    }
    case FrameType::peer_report: {
      PeerReport p;
      p.session = r.u64();
      p.acknowledged = r.u8() != 0;
      p.reported = r.u8() != 0;
      p.sighting = get_sighting(r);
      out = p;
      return true;
    }
    default:
      return false;
  }
}

}  // namespace culvert::rendezvous
