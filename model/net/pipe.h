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
  Endpoint first_seen_as;   // second's remote(), if a NAT is between; none: `first`
};

// Both ends belong to `host`'s loop and obey the rules of Stream (model/net/stream.h):
// shutdown_write is read as closed after the data, reset() and destruction with unread data as
// reset.
std::pair<std::unique_ptr<Stream>, std::unique_ptr<Stream>> make_pipe(Host& host,
                                                                      PipeOptions options = {});

// A hand on what lies between the ends, for fake networks and tests. It keeps nothing alive: once
// both ends are gone its calls do nothing.
class PipeLine {
 public:
  virtual ~PipeLine() = default;
  // Nothing arrives any more, until it is let go: then all that is due arrives at once, in order.
  virtual void hold(bool held) = 0;
  // Both ends fail with `error` now; what had not arrived is lost.
  virtual void cut(Error error) = 0;
  virtual bool alive() const = 0;  // an end is left
};

struct Pipe {
  std::unique_ptr<Stream> first, second;
  std::shared_ptr<PipeLine> line;
};
Pipe make_pipe_with_line(Host& host, PipeOptions options = {});

}  // namespace culvert::net
