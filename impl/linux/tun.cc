#include "impl/linux/tun.h"

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

#include <cerrno>
#include <cstring>

#include "impl/linux/interfaces.h"
#include "model/packet/packet.h"

namespace culvert::linux_host {

using net::Error;
using net::PacketOffload;
using net::Result;
using net::Status;

namespace {

// VIRTIO 1.1, 5.1.6; <linux/virtio_net.h> is no C++ (it has a member called class).
struct VirtioHeader {
  uint8_t flags, gso_type;
  uint16_t hdr_len, gso_size, csum_start, csum_offset;
};
static_assert(sizeof(VirtioHeader) == 10);
constexpr uint8_t kNeedsChecksum = 1;  // VIRTIO_NET_HDR_F_NEEDS_CSUM
enum Gso : uint8_t { kGsoTcp4 = 1, kGsoTcp6 = 4, kGsoUdp = 5, kGsoEcn = 0x80 };

constexpr uint32_t kLeastMtu = 68;  // RFC 791; IPv6 addresses need 1280 (RFC 8200 section 5)

Result<Fd> open_device(int netns, const std::string& wanted, bool* offload, std::string* name) {
  Fd fd;
  int error = 0;
  ifreq request{};
  const Status entered = in_namespace(netns, [&] {
    fd = Fd(::open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK));
    if (!fd) {
      error = errno;
      return;
    }
    // A name that is taken gets a number: "culvert0" -> "culvert0_1".
    for (const std::string& text : {wanted.substr(0, IFNAMSIZ - 1), wanted.substr(0, 11) + "_%d"}) {
      for (const bool headers : {true, false}) {
        if (headers && !*offload) continue;
        request = {};
        std::strncpy(request.ifr_name, text.c_str(), IFNAMSIZ - 1);
        request.ifr_flags = static_cast<short>(IFF_TUN | IFF_NO_PI | (headers ? IFF_VNET_HDR : 0));
        error = ioctl(fd.get(), TUNSETIFF, &request) == 0 ? 0 : errno;
        if (error == 0) {
          *offload = headers;
          return;
        }
      }
      if (error != EBUSY && error != EINVAL) return;  // EINVAL: of another kind under this name
    }
  });
  if (!entered.ok()) return entered;
  if (error == ENOENT || error == ENODEV)
    return {Error::unsupported, "this kernel has no TUN devices"};
  if (error != 0) return status_of(error, "making the TUN device " + wanted);
  *name = request.ifr_name;
  if (*offload) {
    constexpr unsigned kOffloads = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
    if (ioctl(fd.get(), TUNSETOFFLOAD, kOffloads) != 0)
      return status_of(errno, "asking for offload");
  }
  return fd;
}

PacketOffload from_virtio(const VirtioHeader& header, net::Bytes packet) {
  PacketOffload out;
  out.partial_checksum = header.flags & kNeedsChecksum;
  out.checksum_start = header.csum_start;
  out.checksum_offset = header.csum_offset;
  const size_t l4 = header.csum_start;
  switch (header.gso_type & ~kGsoEcn) {
    case kGsoTcp4:
      out.segmentation = PacketOffload::Segmentation::tcp4;
      break;
    case kGsoTcp6:
      out.segmentation = PacketOffload::Segmentation::tcp6;
      break;
    case kGsoUdp:
      out.segmentation = PacketOffload::Segmentation::udp;
      out.header_size = static_cast<uint16_t>(l4 + 8);
      break;
    default:
      return out;
  }
  out.segment_size = header.gso_size;
  // The kernel's hdr_len says how much of the packet happens to be linear; the headers themselves
  // do not lie.
  if (out.segmentation != PacketOffload::Segmentation::udp && l4 + 13 <= packet.size())
    out.header_size = static_cast<uint16_t>(l4 + 4u * (packet[l4 + 12] >> 4));
  return out;
}

// False: it contradicts itself or the packet.
bool to_virtio(const PacketOffload& offload, net::Bytes packet, VirtioHeader* out) {
  *out = {};
  const size_t size = packet.size();
  if (offload.partial_checksum) {
    const size_t ip_header = packet[0] >> 4 == 4 ? 4u * (packet[0] & 15) : 40u;
    if (offload.checksum_start < ip_header ||
        size_t{offload.checksum_start} + offload.checksum_offset + 2 > size)
      return false;
    out->flags = kNeedsChecksum;
    out->csum_start = offload.checksum_start;
    out->csum_offset = offload.checksum_offset;
  }
  using Segmentation = PacketOffload::Segmentation;
  if (offload.segmentation == Segmentation::none) return true;
  static constexpr struct {
    Segmentation segmentation;
    uint8_t version;  // 0: either
    uint8_t protocol;
    uint16_t checksum_offset, least_header;
    uint8_t gso_type;
  } kTable[] = {
      {Segmentation::tcp4, 4, CV_TCP, 16, 20, kGsoTcp4},
      {Segmentation::tcp6, 6, CV_TCP, 16, 20, kGsoTcp6},
      {Segmentation::udp, 0, CV_UDP, 6, 8, kGsoUdp},
  };
  cv_packet parsed;
  if (cv_parse(packet.data(), packet.data() + size, &parsed) != CV_OK) return false;
  for (const auto& row : kTable) {
    if (row.segmentation != offload.segmentation) continue;
    if ((row.version != 0 && row.version != parsed.version) || row.protocol != parsed.protocol ||
        (parsed.flags & CV_FRAGMENT) || !offload.partial_checksum ||
        offload.checksum_start != parsed.l4 || offload.checksum_offset != row.checksum_offset ||
        offload.segment_size == 0 || offload.header_size > size ||
        offload.header_size < parsed.l4 + row.least_header)
      return false;
    out->gso_type = row.gso_type;
    out->hdr_len = offload.header_size;
    out->gso_size = offload.segment_size;
    return true;
  }
  return false;
}

// Whether it is an IP packet as long as it says.
bool is_whole(net::Bytes packet) {
  if (packet.size() < 20) return false;
  const auto get16 = [&](size_t at) { return size_t{packet[at]} << 8 | packet[at + 1]; };
  if (packet[0] >> 4 == 4)
    return (packet[0] & 15) >= 5 && 4u * (packet[0] & 15) <= packet.size() &&
           get16(2) == packet.size();
  return packet[0] >> 4 == 6 && packet.size() >= 40 && get16(4) + 40 == packet.size();
}

bool is_plain(const PacketOffload& offload) {
  return offload.segmentation == PacketOffload::Segmentation::none && !offload.partial_checksum;
}

}  // namespace

Result<std::unique_ptr<net::TunDevice>> TunImpl::open(LinuxHost& host,
                                                      const net::TunOptions& options) {
  if (options.name.find_first_of("/ %:") != std::string::npos)
    return {Error::invalid, "a TUN device's name has no '/', ' ', '%' and ':'"};
  if (options.mtu < kLeastMtu || options.mtu > 65535)
    return {Error::invalid, "an MTU is between 68 and 65535 bytes"};
  for (const auto* list : {&options.addresses, &options.routes})
    for (const net::Prefix& prefix : *list)
      if (prefix.ip.is_none() || (prefix.ip.is_v6() && options.mtu < 1280))
        return {Error::invalid, "IPv6 on a TUN device needs an MTU of 1280 bytes or more"};
  bool offload = options.offload;
  std::string name;
  auto device =
      open_device(host.netns(), options.name.empty() ? "tun" : options.name, &offload, &name);
  if (!device) return device.status();
  auto interfaces = Interfaces::open(host.netns());
  if (!interfaces) return interfaces.status();
  Status status = interfaces->up(name, options.mtu, true);
  for (size_t i = 0; status.ok() && i < options.addresses.size(); ++i)
    status = interfaces->add_address(name, options.addresses[i]);
  for (size_t i = 0; status.ok() && i < options.routes.size(); ++i) {
    status = interfaces->add_route(options.routes[i], name);
    if (status.error == Error::in_use) status = {};  // an address brought its subnet's route along
  }
  if (!status.ok()) return status;
  return std::unique_ptr<net::TunDevice>(
      std::make_unique<TunImpl>(host, std::move(*device), name, offload));
}

TunImpl::TunImpl(LinuxHost& host, Fd fd, std::string name, bool offload)
    : name_(std::move(name)), offload_(offload) {
  watch(&host.loop(), std::move(fd));
}

net::IoResult TunImpl::read(boost::span<net::PacketIn> batch) {
  net::IoResult result;
  armed_ = true;
  for (net::PacketIn& in : batch) {
    VirtioHeader header{};
    const iovec parts[2] = {{&header, sizeof header}, {in.buffer.data(), in.buffer.size()}};
    ssize_t size;
    do size = readv(fd(), offload_ ? parts : parts + 1, offload_ ? 2 : 1);
    while (size < 0 && errno == EINTR);
    if (size < 0) {
      maybe_readable_ = surely_readable_ = false;
      result.error = error_of(errno);
      return result;
    }
    in.size = static_cast<size_t>(size) - (offload_ ? sizeof header : 0);
    in.offload = offload_ ? from_virtio(header, {in.buffer.data(), in.size}) : PacketOffload{};
    ++result.count;
  }
  surely_readable_ = false;
  schedule();
  return result;
}

net::IoResult TunImpl::write(boost::span<const net::PacketOut> batch) {
  net::IoResult result;
  for (const net::PacketOut& out : batch) {
    VirtioHeader header{};
    if (!is_whole(out.data))
      result.error = Error::invalid;
    else if (!offload_ && !is_plain(out.offload))
      result.error = Error::unsupported;
    else if (!to_virtio(out.offload, out.data, &header))
      result.error = Error::invalid;
    if (!result.ok()) return result;
    const iovec parts[2] = {{&header, sizeof header},
                            {const_cast<uint8_t*>(out.data.data()), out.data.size()}};
    ssize_t size;
    do size = writev(fd(), offload_ ? parts : parts + 1, offload_ ? 2 : 1);
    while (size < 0 && errno == EINTR);
    if (size < 0) {
      result.error = error_of(errno);
      if (result.error == Error::would_block) maybe_writable_ = false;
      return result;
    }
    ++result.count;
  }
  return result;
}

void TunImpl::on_readable(std::function<void()> callback) {
  set(readable_, std::move(callback));
  ask_again();
}

void TunImpl::on_writable(std::function<void()> callback) {
  set(writable_, std::move(callback));
  schedule();
}

void TunImpl::turn() {
  if (writable_ && is_writable() && !run(writable_, false)) return;
  if (!armed_ || !readable_ || !is_readable()) return;
  armed_ = false;
  run(readable_, true);
}

}  // namespace culvert::linux_host
