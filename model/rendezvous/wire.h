// Big-endian bytes read and written with bounds: what the rendezvous frames are made of.
// Stands on model/net.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "model/net/address.h"
#include "model/net/bytes.h"

namespace culvert::rendezvous {

class Writer {
 public:
  void u8(uint8_t v) { out_.push_back(v); }
  void u16(uint16_t v) { number(v, 2); }
  void u32(uint32_t v) { number(v, 4); }
  void u64(uint64_t v) { number(v, 8); }
  void bytes(net::Bytes v) { out_.insert(out_.end(), v.begin(), v.end()); }
  void text(std::string_view v);  // length in one byte; at most 255 bytes are written
  void endpoint(const net::Endpoint& endpoint);  // family (0, 4, 6), address, port
  void pad_to(size_t size);                      // zeros
  size_t size() const { return out_.size(); }
  net::Bytes view() const { return out_; }
  net::Buffer take() { return std::move(out_); }

 private:
  void number(uint64_t v, int width);
  net::Buffer out_;
};

// Reading past the end gives zeros and makes ok() false from then on.
class Reader {
 public:
  explicit Reader(net::Bytes data) : data_(data) {}
  uint8_t u8() { return static_cast<uint8_t>(number(1)); }
  uint16_t u16() { return static_cast<uint16_t>(number(2)); }
  uint32_t u32() { return static_cast<uint32_t>(number(4)); }
  uint64_t u64() { return number(8); }
  net::Bytes bytes(size_t size);
  std::string text(size_t limit);
  net::Endpoint endpoint();
  bool ok() const { return ok_; }
  bool at_end() const { return at_ == data_.size(); }
  size_t position() const { return at_; }
  void fail() { ok_ = false; }

 private:
  uint64_t number(int width);
  net::Bytes data_;
  size_t at_ = 0;
  bool ok_ = true;
};

}  // namespace culvert::rendezvous
