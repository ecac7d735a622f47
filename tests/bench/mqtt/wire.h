// As much of MQTT's wire format as a load generator needs, with nothing in the way: packets are
// bytes that are patched, frames are counted, not decoded. MQTT 3.1.1 and 5.0, sections of 5.0.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>

namespace culvert::bench {

enum : uint8_t {
  kConnect = 0x10,
  kConnAck = 0x20,
  kPublish = 0x30,
  kPubAck = 0x40,
  kPubRec = 0x50,
  kPubRel = 0x62,
  kPubComp = 0x70,
  kSubscribe = 0x82,
  kSubAck = 0x90,
  kDisconnect = 0xE0,
};

inline void put16(std::string& out, size_t value) {
  out += static_cast<char>(value >> 8);
  out += static_cast<char>(value);
}
inline void put_text(std::string& out, const std::string& text) {
  put16(out, text.size());
  out += text;
}
// A packet of its first byte and its body (2.1.4).
inline std::string packet(uint8_t first, const std::string& body) {
  std::string out(1, static_cast<char>(first));
  size_t left = body.size();
  do {
    out += static_cast<char>((left & 127) | (left > 127 ? 128 : 0));
    left >>= 7;
  } while (left > 0);
  return out + body;
}

inline std::string connect_packet(const std::string& id, bool v5, bool clean) {
  std::string body;
  put_text(body, "MQTT");
  body += static_cast<char>(v5 ? 5 : 4);
  body += static_cast<char>(clean ? 2 : 0);
  put16(body, 0);  // no keep-alive: the load is what is measured
  if (v5 && clean) body += '\0';
  if (v5 && !clean) body += std::string("\x05\x11\xff\xff\xff\xff", 6);  // session expiry: never
  put_text(body, id);
  return packet(kConnect, body);
}
inline std::string subscribe_packet(const std::string& filter, int qos, bool v5) {
  std::string body;
  put16(body, 1);
  if (v5) body += '\0';
  put_text(body, filter);
  body += static_cast<char>(qos);
  return packet(kSubscribe, body);
}
// `identifier` and `payload` tell where these stand in it.
inline std::string publish_packet(const std::string& topic, int qos, size_t size, bool v5,
                                  size_t* identifier, size_t* payload) {
  std::string body;
  put_text(body, topic);
  const size_t at = body.size();
  if (qos > 0) put16(body, 0);
  if (v5) body += '\0';
  const size_t data = body.size();
  body.append(size, 'x');
  std::string out = packet(static_cast<uint8_t>(kPublish | qos << 1), body);
  *identifier = out.size() - body.size() + at;
  *payload = out.size() - body.size() + data;
  return out;
}
inline void append_ack(std::string& out, uint8_t type, uint16_t identifier) {
  const char bytes[4] = {static_cast<char>(type), 2, static_cast<char>(identifier >> 8),
                         static_cast<char>(identifier)};
  out.append(bytes, 4);
}

// The next whole packet in [at, end): its size and that of its header; 0: not there yet.
struct Cut {
  size_t size = 0, header = 0;
};
inline Cut cut(const uint8_t* at, const uint8_t* end) {
  size_t length = 0, shift = 0, i = 1;
  for (;; ++i, shift += 7) {
    if (at + i >= end || i > 4) return {};
    length |= size_t{at[i] & 127u} << shift;
    if (!(at[i] & 128)) break;
  }
  ++i;
  if (static_cast<size_t>(end - at) < i + length) return {};
  return {i + length, i};
}
inline uint16_t get16(const uint8_t* at) { return static_cast<uint16_t>(at[0] << 8 | at[1]); }

// Where the payload of a PUBLISH begins; properties are skipped, none may be longer than 127 bytes.
struct Seen {
  int qos = 0;
  uint16_t identifier = 0;
  const uint8_t* payload = nullptr;
};
inline Seen see_publish(const uint8_t* at, const Cut& frame, bool v5) {
  Seen out;
  out.qos = at[0] >> 1 & 3;
  const uint8_t* p = at + frame.header;
  p += 2 + get16(p);
  if (out.qos > 0) out.identifier = get16(p), p += 2;
  if (v5) p += 1 + *p;
  out.payload = p;
  return out;
}

}  // namespace culvert::bench
