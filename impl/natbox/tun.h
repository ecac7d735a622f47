// Opens TUN devices: the two doors through which the kernel hands packets to the NAT and gets them
// back (Linux tuntap.txt).
#pragma once

#include <string>

#include "model/net/error.h"

namespace culvert::natbox {

// The descriptor of a new TUN called `name` (at most 15 characters), non-blocking, whole IP packets
// without any header. not_permitted, in_use or failed, with a sentence.
net::Result<int> open_tun(const std::string& name);

}  // namespace culvert::natbox
