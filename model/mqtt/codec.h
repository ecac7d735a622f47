// Bytes to control packets and back, without I/O. Every refusal has the reason code that MQTT 5.0
// names for it and the identifier of the normative statement. Stands on packet.h.
#pragma once

#include <string>
#include <variant>

#include "model/mqtt/packet.h"
#include "model/net/error.h"

namespace culvert::mqtt {

enum class Side : uint8_t { client, server };  // who sent the bytes

// Why bytes are no packet. `statement`: "MQTT-3.1.2-3", or empty if the specification has none.
struct Fault {
  Reason reason = Reason::malformed_packet;
  std::string_view why;  // a sentence, static storage
  std::string_view statement;
};

// The first packet's frame in a stream of bytes (2.1).
struct Frame {
  size_t size = 0;    // bytes of the whole packet; 0: more bytes are needed to know
  size_t header = 0;  // bytes of the fixed header, when size is known
};
// `limit`: the largest packet that the reader takes, in bytes; beyond it the Fault is
// packet_too_large, at once, before the packet has come. The first byte's type and flags are
// checked here too. Never reads beyond `input`.
std::variant<Frame, Fault> next_frame(Bytes input, uint32_t limit, Side sender);

// One whole packet, as next_frame cut it. Connect decides its version itself; for other packets
// `version` is the connection's. The views in the result live as long as `packet` does. A CONNECT
// with a protocol level that is neither 4 nor 5 gives unsupported_protocol_version.
std::variant<Packet, Fault> decode(Bytes packet, Version version, Side sender);

// The fast path for the one packet that matters: the same as decode for a PUBLISH, into `out`,
// whose vectors keep their memory. Null: well. Else the fault. A broker says Side::client: those
// may not send subscription identifiers.
const Fault* decode_publish(Bytes packet, Version version, Publish& out, Fault& fault,
                            Side sender = Side::server);

// Appends the packet. Properties are left out in 3.1.1; so are reasons where 3.1.1 has none. Texts
// longer than 65,535 bytes and packets above 268,435,455 are the caller's error: too_big, and `out`
// is as it was.
net::Status encode(const Packet& packet, Version version, net::Buffer& out);
net::Status encode(const Publish& packet, Version version, net::Buffer& out);
net::Status encode(const Ack& packet, Version version, net::Buffer& out);
// Bytes that encode would append; 0 if it would refuse.
size_t encoded_size(const Publish& packet, Version version);

// Variable byte integers (1.5.5), for those who patch encoded packets. `value` <= 268,435,455.
void append_varint(uint32_t value, net::Buffer& out);
size_t varint_size(uint32_t value);

}  // namespace culvert::mqtt
