"""TAP devices: the ends of emulated links, made right inside the namespace where they belong."""

import fcntl
import os
import struct

# linux/if_tun.h
TUNSETIFF = 0x400454CA
IFF_TAP, IFF_NO_PI = 0x0002, 0x1000
NAME_LIMIT = 15  # IFNAMSIZ without its terminator


def open_tap(name):
    """The descriptor of a new TAP in the namespace that this process is in at the moment."""
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    except OSError as error:
        os.close(descriptor)
        raise OSError(error.errno, f"cannot make interface {name}: {error.strerror}") from error
    return descriptor
