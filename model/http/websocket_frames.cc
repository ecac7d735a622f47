#include "model/http/websocket_frames.h"

#include <algorithm>
#include <boost/endian/conversion.hpp>
#include <cstring>

namespace culvert::http {
namespace {

// Eight bytes at a time; `at` is the position in the mask of the first byte.
void apply_mask(uint8_t* bytes, size_t size, const Mask& mask, size_t at) {
  size_t i = 0;
  if (size >= 8) {
    uint8_t repeated[8];
    for (size_t k = 0; k < 8; ++k) repeated[k] = mask[(at + k) % 4];
    uint64_t word;
    std::memcpy(&word, repeated, 8);
    for (; i + 8 <= size; i += 8) {
      uint64_t piece;
      std::memcpy(&piece, bytes + i, 8);
      piece ^= word;
      std::memcpy(bytes + i, &piece, 8);
    }
  }
  for (; i < size; ++i) bytes[i] ^= mask[(at + i) % 4];
}

}  // namespace

void append_frame(net::Buffer& out, Opcode opcode, net::Bytes payload, const Mask* mask) {
  uint8_t header[kMaxFrameHeader];
  size_t size = 2;
  header[0] = static_cast<uint8_t>(0x80 | static_cast<uint8_t>(opcode));
  if (payload.size() < 126) {
    header[1] = static_cast<uint8_t>(payload.size());
  } else if (payload.size() < 65536) {
    header[1] = 126;
    boost::endian::store_big_u16(header + 2, static_cast<uint16_t>(payload.size()));
    size = 4;
  } else {
    header[1] = 127;
    boost::endian::store_big_u64(header + 2, payload.size());
    size = 10;
  }
  if (mask) {
    header[1] |= 0x80;
    std::copy(mask->begin(), mask->end(), header + size);
    size += 4;
  }
  out.reserve(out.size() + size + payload.size());
  out.insert(out.end(), header, header + size);
  const size_t at = out.size();
  out.insert(out.end(), payload.begin(), payload.end());
  if (mask) apply_mask(out.data() + at, payload.size(), *mask, 0);
}

void append_close(net::Buffer& out, CloseCode code, std::string_view reason, const Mask* mask) {
  uint8_t payload[kMaxControl];
  size_t size = 0;
  if (code != CloseCode::none && code != CloseCode::no_status) {
    boost::endian::store_big_u16(payload, static_cast<uint16_t>(code));
    reason = reason.substr(0, kMaxControl - 2);
    std::copy(reason.begin(), reason.end(), payload + 2);
    size = 2 + reason.size();
  }
  append_frame(out, Opcode::close, {payload, size}, mask);
}

bool is_wire_code(uint16_t code) {
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
         (code >= 3000 && code <= 4999);
}

// RFC 3629 section 4.
bool is_utf8(net::Bytes text) {
  for (size_t i = 0; i < text.size();) {
    const uint8_t first = text[i];
    const size_t more = first < 0x80   ? 0
                        : first < 0xc2 ? 4
                        : first < 0xe0 ? 1
                        : first < 0xf0 ? 2
                        : first < 0xf5 ? 3
                                       : 4;
    if (more == 4 || i + more >= text.size()) return false;
    for (size_t k = 1; k <= more; ++k)
      if ((text[i + k] & 0xc0) != 0x80) return false;
    if (more >= 2) {
      const uint8_t second = text[i + 1];
      if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ||
          (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f))
        return false;
    }
    i += more + 1;
  }
  return true;
}

bool FrameReader::fail(CloseCode code, const char* text) {
  fault_ = code;
  text_ = text;
  return false;
}

size_t FrameReader::wanted_header() const {
  if (header_size_ < 2) return 2;
  const uint8_t length = header_[1] & 0x7f;
  return size_t{2} + (length == 126 ? 2 : length == 127 ? 8 : 0) + (header_[1] & 0x80 ? 4 : 0);
}

// The header is complete: checks it. False: a fault.
bool FrameReader::header_whole(Events& events) {
  const bool final = header_[0] & 0x80, masked = header_[1] & 0x80;
  const uint8_t code = header_[0] & 0x0f, length = header_[1] & 0x7f;
  opcode_ = static_cast<Opcode>(code);
  is_control_ = code >= 8;
  if (header_[0] & 0x70) return fail(CloseCode::protocol_error, "reserved bits are set");
  if ((code > 2 && code < 8) || code > 10)
    return fail(CloseCode::protocol_error, "a reserved opcode");
  if (masked != rules_.masked)
    return fail(CloseCode::protocol_error,
                rules_.masked ? "a client's frame is not masked" : "a server's frame is masked");
  uint64_t size = length;
  if (length == 126) size = boost::endian::load_big_u16(&header_[2]);
  if (length == 127) size = boost::endian::load_big_u64(&header_[2]);
  if ((length == 126 && size < 126) || (length == 127 && (size < 65536 || size >> 63)))
    return fail(CloseCode::protocol_error, "a length is not written the shortest way");
  if (is_control_) {
    if (!final || size > kMaxControl)
      return fail(CloseCode::protocol_error, "a control frame is fragmented or too long");
    control_size_ = 0;
  } else {
    if ((opcode_ == Opcode::continuation) != in_message_)
      return fail(CloseCode::protocol_error, in_message_ ? "a message begins inside another"
                                                         : "there is no message to continue");
    if (opcode_ == Opcode::text && !rules_.text)
      return fail(CloseCode::unsupported_data, "only binary messages are spoken here");
    if (size > rules_.frame_bytes) return fail(CloseCode::too_big, "the frame is too large");
    in_message_ = !final;
  }
  if (masked) std::copy_n(&header_[wanted_header() - 4], 4, mask_.begin());
  header_size_ = 0;
  mask_at_ = 0;
  left_ = size;
  in_payload_ = size > 0;
  if (size == 0 && is_control_) control(events);
  return fault_ == CloseCode::none;
}

void FrameReader::control(Events& events) {
  const net::Bytes payload = net::Bytes(control_).first(control_size_);
  if (opcode_ == Opcode::ping) return events.on_ping(payload);
  if (opcode_ == Opcode::pong) return;  // nobody asked, or our own ping's: no matter
  if (payload.size() == 1) {
    fail(CloseCode::protocol_error, "half a close code");
    return;
  }
  uint16_t code = static_cast<uint16_t>(CloseCode::no_status);
  net::Bytes reason;
  if (payload.size() >= 2) {
    code = boost::endian::load_big_u16(payload.data());
    reason = payload.subspan(2);
    if (!is_wire_code(code)) {
      fail(CloseCode::protocol_error, "no such close code");
      return;
    }
    if (!is_utf8(reason)) {
      fail(CloseCode::bad_payload, "the reason of the close is not UTF-8");
      return;
    }
  }
  closed_ = true;
  events.on_close(static_cast<CloseCode>(code), net::as_text(reason));
}

size_t FrameReader::decode(net::MutableBytes bytes, Events& events) {
  size_t in = 0, out = 0;
  while (in < bytes.size() && !closed_ && fault_ == CloseCode::none) {
    if (!in_payload_) {
      header_[header_size_++] = bytes[in++];
      if (header_size_ >= 2 && header_size_ == wanted_header() && !header_whole(events)) break;
      continue;
    }
    const auto part = static_cast<size_t>(std::min<uint64_t>(left_, bytes.size() - in));
    uint8_t* from = bytes.data() + in;
    if (rules_.masked) apply_mask(from, part, mask_, mask_at_);
    mask_at_ = static_cast<uint8_t>((mask_at_ + part) % 4);
    if (is_control_) {
      std::copy_n(from, part, control_.begin() + control_size_);
      control_size_ = static_cast<uint8_t>(control_size_ + part);
    } else {
      if (out != in) std::memmove(bytes.data() + out, from, part);
      out += part;
    }
    in += part;
    left_ -= part;
    if (left_ > 0) continue;
    in_payload_ = false;
    if (is_control_) control(events);
  }
  return out;
}

}  // namespace culvert::http
