#include "scenarios/ns3_runner/capture.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

namespace culvert::runner {
namespace {

// draft-ietf-opsawg-pcap, "File Header": the magic number of nanosecond files, version 2.4.
constexpr uint32_t kMagicNanoseconds = 0xa1b23c4d;
constexpr uint32_t kVersion = 2 | 4 << 16;  // as two little-endian 16-bit numbers
constexpr uint32_t kSnapLength = 262144;    // tcpdump's own default
constexpr uint32_t kEthernet = 1;           // LINKTYPE_ETHERNET
constexpr size_t kHeader = 14;              // IEEE 802.3 clause 3

void put(std::FILE* file, std::initializer_list<uint32_t> words) {
  for (const uint32_t word : words) std::fwrite(&word, sizeof word, 1, file);
}

}  // namespace

net::Result<std::unique_ptr<Capture>> Capture::open(const std::string& name) {
  std::FILE* file = std::fopen(name.c_str(), "wb");
  if (!file) return {net::Error::failed, name + ": " + std::strerror(errno)};
  put(file, {kMagicNanoseconds, kVersion, 0, 0, kSnapLength, kEthernet});
  return std::unique_ptr<Capture>(new Capture(file));
}

Capture::~Capture() { std::fclose(file_); }

void Capture::write(net::Time now, const ns3::Packet& packet, ns3::Mac48Address from,
                    ns3::Mac48Address to, uint16_t protocol) {
  std::vector<uint8_t> frame(kHeader + packet.GetSize());
  to.CopyTo(frame.data());
  from.CopyTo(frame.data() + 6);
  frame[12] = static_cast<uint8_t>(protocol >> 8);
  frame[13] = static_cast<uint8_t>(protocol);
  packet.CopyData(frame.data() + kHeader, packet.GetSize());
  const auto ns = static_cast<uint64_t>(now.count());
  const auto size = static_cast<uint32_t>(frame.size());
  put(file_,
      {static_cast<uint32_t>(ns / 1000000000), static_cast<uint32_t>(ns % 1000000000), size, size});
  std::fwrite(frame.data(), 1, frame.size(), file_);
}

}  // namespace culvert::runner
