#include "impl/wire/pcap.h"

#include <errno.h>
#include <string.h>

#include <algorithm>

namespace culvert::wire {
namespace {

constexpr uint32_t kMagicNanoseconds = 0xa1b23c4d;
constexpr uint32_t kLinkEthernet = 1;  // LINKTYPE_ETHERNET
constexpr uint32_t kSnapLength = 262144;

struct FileHeader {
  uint32_t magic = kMagicNanoseconds;
  uint16_t major = 2, minor = 4;
  int32_t zone = 0;
  uint32_t accuracy = 0, snap_length = kSnapLength, link = kLinkEthernet;
};
struct RecordHeader {
  uint32_t seconds, nanoseconds, captured, length;
};

}  // namespace

net::Result<std::unique_ptr<PcapFile>> PcapFile::create(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "wbe");
  if (file == nullptr) {
    return {net::Error::failed, "cannot write " + path + ": " + strerror(errno)};
  }
  const FileHeader header;
  std::fwrite(&header, sizeof header, 1, file);
  std::fflush(file);
  return std::unique_ptr<PcapFile>(new PcapFile(file));
}

PcapFile::~PcapFile() { std::fclose(file_); }

void PcapFile::write(int64_t since_start_ns, net::Bytes frame) {
  const int64_t at = std::max<int64_t>(since_start_ns, 0);
  const auto size = static_cast<uint32_t>(frame.size());
  const RecordHeader header{static_cast<uint32_t>(at / 1000000000),
                            static_cast<uint32_t>(at % 1000000000), size, size};
  std::fwrite(&header, sizeof header, 1, file_);
  std::fwrite(frame.data(), 1, frame.size(), file_);
  dirty_ = true;
}

void PcapFile::flush() {
  if (dirty_) std::fflush(file_);
  dirty_ = false;
}

}  // namespace culvert::wire
