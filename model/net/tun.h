// A TUN device: whole IP packets in and out, in batches, with their offload metadata.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "model/net/address.h"
#include "model/net/bytes.h"
#include "model/net/error.h"

namespace culvert::net {

// Offload metadata of one packet, in the terms of the virtio network header (VIRTIO 1.1, 5.1.6).
// All zero: a plain packet with complete checksums.
struct PacketOffload {
  enum class Segmentation : uint8_t { none, tcp4, tcp6, udp };
  Segmentation segmentation = Segmentation::none;
  uint16_t header_size = 0;   // bytes of IP + transport header
  uint16_t segment_size = 0;  // payload bytes per segment
  bool partial_checksum = false;
  uint16_t checksum_start = 0, checksum_offset = 0;  // bytes
};

struct PacketIn {
  MutableBytes buffer;
  size_t size = 0;
  PacketOffload offload;
};
struct PacketOut {
  Bytes data;
  PacketOffload offload;
};

struct TunOptions {
  std::string name;  // the Host may shorten or number it, and names it if empty; no / % : or space
  std::vector<Prefix> addresses;  // of the interface
  std::vector<Prefix> routes;     // sent into the device
  uint32_t mtu = 1500;            // bytes of IP packet
  bool offload = false;           // ask for super-packets; without them packets come plain
};

class TunDevice {
 public:
  virtual ~TunDevice() = default;  // removes the device, its addresses and its routes
  virtual const std::string& name() const = 0;
  virtual bool offload() const = 0;  // was granted
  // What the host sent into it, a packet for each item; one larger than its buffer is cut off, so
  // give buffers of mtu bytes, with offload of 64 KB. would_block: nothing more was there.
  virtual IoResult read(boost::span<PacketIn> batch) = 0;
  // As if received from it. The item at index count: invalid, if it is no whole IP packet or its
  // offload metadata contradict themselves or the packet; unsupported, if it has such metadata
  // although offload() was not granted; it may be skipped then.
  virtual IoResult write(boost::span<const PacketOut> batch) = 0;
  virtual void on_readable(std::function<void()> callback) = 0;
  virtual void on_writable(std::function<void()> callback) = 0;
};

}  // namespace culvert::net
