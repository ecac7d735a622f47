#include "impl/natbox/tun.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace culvert::natbox {

net::Result<int> open_tun(const std::string& name) {
  using net::Error;
  const int fd = ::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) {
    const bool right = errno == EACCES || errno == EPERM;
    return {right ? Error::not_permitted : Error::failed,
            std::string("cannot open /dev/net/tun: ") + strerror(errno)};
  }
  ifreq request{};
  memcpy(request.ifr_name, name.data(), name.size() < IFNAMSIZ ? name.size() : IFNAMSIZ - 1);
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  if (::ioctl(fd, TUNSETIFF, &request) != 0) {
    const int error = errno;
    ::close(fd);
    if (error == EPERM) {
      return {Error::not_permitted, "no right to make interface '" + name +
                                        "': a NAT needs CAP_NET_ADMIN, as root has it"};
    }
    if (error == EBUSY) {
      return {Error::in_use, "interface '" + name + "' is there already: is another NAT running?"};
    }
    return {Error::failed, "cannot make interface '" + name + "': " + strerror(error)};
  }
  return fd;
}

}  // namespace culvert::natbox
