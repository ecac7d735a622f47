#include "impl/wire/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace culvert::wire {

net::Result<int> open_tap(const std::string& name) {
  using net::Error;
  if (name.empty() || name.size() >= IFNAMSIZ) {
    return {Error::invalid, "interface name '" + name + "' must have 1 to 15 characters"};
  }
  const int fd = ::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) {
    if (errno == EACCES || errno == EPERM) {
      return {Error::not_permitted, "no right to open /dev/net/tun: needs root"};
    }
    return {Error::failed, std::string("cannot open /dev/net/tun: ") + strerror(errno)};
  }
  ifreq request{};
  memcpy(request.ifr_name, name.data(), name.size());
  request.ifr_flags = IFF_TAP | IFF_NO_PI;
  if (::ioctl(fd, TUNSETIFF, &request) != 0) {
    const int error = errno;
    ::close(fd);
    if (error == EPERM) {
      return {Error::not_permitted, "no right to make '" + name + "': needs CAP_NET_ADMIN"};
    }
    if (error == EBUSY) return {Error::in_use, "interface '" + name + "' is there already"};
    return {Error::failed, "cannot make '" + name + "': " + strerror(error)};
  }
  return fd;
}

net::Status adopt_tap(int fd) {
  ifreq request{};
  if (::ioctl(fd, TUNGETIFF, &request) != 0 || !(request.ifr_flags & IFF_TAP)) {
    return {net::Error::invalid, "descriptor " + std::to_string(fd) + " is not a TAP"};
  }
  const int flags = ::fcntl(fd, F_GETFL);
  ::fcntl(fd, F_SETFL, flags | O_NONBLOCK);
  return {};
}

}  // namespace culvert::wire
