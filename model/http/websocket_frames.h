// WebSocket frames (RFC 6455 section 5), without a stream: what is read is unmasked and stripped of
// its framing in place; control frames and violations are told. Stands on model/net's bytes.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "model/net/bytes.h"

namespace culvert::http {

enum class Opcode : uint8_t {  // section 11.8
  continuation = 0,
  text = 1,
  binary = 2,
  close = 8,
  ping = 9,
  pong = 10,
};

// Section 7.4.1.
enum class CloseCode : uint16_t {
  none = 0,  // ours: nothing is wrong
  normal = 1000,
  going_away = 1001,
  protocol_error = 1002,
  unsupported_data = 1003,
  no_status = 1005,  // never on the wire
  bad_payload = 1007,
  policy = 1008,
  too_big = 1009,
  internal_error = 1011,
};

constexpr size_t kMaxControl = 125;     // payload of a control frame (section 5.5)
constexpr size_t kMaxFrameHeader = 14;  // 2 + 8 + 4

using Mask = std::array<uint8_t, 4>;

// Frame header of a final frame, then the payload, masked if there is a mask.
void append_frame(net::Buffer& out, Opcode opcode, net::Bytes payload, const Mask* mask);
// A close frame; none and no_status carry no code. `reason` is cut at 123 bytes.
void append_close(net::Buffer& out, CloseCode code, std::string_view reason, const Mask* mask);

// May a close frame carry this code? (Section 7.4.)
bool is_wire_code(uint16_t code);
bool is_utf8(net::Bytes text);

struct FrameRules {
  bool masked = true;                // frames must be masked (a server reads), or may not be
  size_t frame_bytes = 1024 * 1024;  // payload; beyond it too_big
  bool text = false;                 // text messages are taken, too (and not checked for UTF-8)
};

class FrameReader {
 public:
  explicit FrameReader(const FrameRules& rules) : rules_(rules) {}

  // What comes in the middle of the data. Called during decode().
  class Events {
   public:
    virtual ~Events() = default;
    virtual void on_ping(net::Bytes payload) = 0;
    // `code` is no_status if there was none.
    virtual void on_close(CloseCode code, std::string_view reason) = 0;
  };

  // Decodes all of `bytes`; the payload of data messages is moved to its beginning; returns how
  // much that is. After a close frame or a fault the rest is ignored.
  size_t decode(net::MutableBytes bytes, Events& events);

  bool closed() const { return closed_; }     // a close frame came
  CloseCode fault() const { return fault_; }  // none, or what to close with
  const char* fault_text() const { return text_; }
  bool between_messages() const { return !in_message_ && header_size_ == 0 && left_ == 0; }

 private:
  bool fail(CloseCode code, const char* text);
  bool header_whole(Events& events);
  size_t wanted_header() const;
  void control(Events& events);

  FrameRules rules_;
  std::array<uint8_t, kMaxFrameHeader> header_{};
  std::array<uint8_t, kMaxControl> control_{};
  uint8_t header_size_ = 0, control_size_ = 0, mask_at_ = 0;
  bool in_payload_ = false, in_message_ = false, is_control_ = false, closed_ = false;
  Opcode opcode_ = Opcode::continuation;
  Mask mask_{};
  uint64_t left_ = 0;  // of this frame's payload
  CloseCode fault_ = CloseCode::none;
  const char* text_ = "";
};

}  // namespace culvert::http
