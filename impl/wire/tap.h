// Opens TAP devices: one end of an emulated link, as a network interface that can be moved into any
// namespace while this process keeps its descriptor (Linux tuntap.txt).
#pragma once

#include <cstdint>
#include <string>

#include "model/net/error.h"

namespace culvert::wire {

// The descriptor of a new TAP called `name` (at most 15 characters), non-blocking, in the namespace
// of this process. not_permitted, invalid, in_use or failed, with a sentence.
net::Result<int> open_tap(const std::string& name);

// Is `fd` an open TAP descriptor, as the builder hands over? Sets it non-blocking. invalid if not.
net::Status adopt_tap(int fd);

}  // namespace culvert::wire
