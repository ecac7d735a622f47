// Two streams joined in memory: what one writes the other reads. A client inside the broker's
// process talks through one, and tests cut one where they like. Stands on host.h.
#pragma once

#include <memory>
#include <utility>

#include "model/net/host.h"

namespace culvert::net {

struct PipeOptions {
  size_t capacity = 65536;  // bytes under way in each direction; a full pipe would_block
  Duration delay{0};        // one way
  Endpoint first, second;   // what local() and remote() say
};

// Both ends belong to `host`'s loop and obey the rules of Stream (model/net/stream.h):
// shutdown_write is read as closed after the data, reset() and destruction with unread data as
// reset.
std::pair<std::unique_ptr<Stream>, std::unique_ptr<Stream>> make_pipe(Host& host,
                                                                      PipeOptions options = {});

}  // namespace culvert::net
