// A target's address, looked up when a service starts. Stands on model/net and command_line.h.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "model/net/host.h"
#include "model/services/command_line.h"

namespace culvert::services {

// `done` gets the first address, IPv4 before IPv6, with the target's port. Keep the handle.
inline std::unique_ptr<net::Lookup> find(net::Host& host, const Target& target,
                                         std::function<void(net::Result<net::Endpoint>)> done) {
  return host.resolve(target.host, [target, done = std::move(done)](
                                       net::Result<std::vector<net::IpAddress>> found) {
    if (!found) return done(found.status());
    for (const bool v4 : {true, false})
      for (const net::IpAddress& ip : *found)
        if (ip.is_v4() == v4) return done(net::Endpoint{ip, target.port});
    done({net::Error::not_found, "'" + target.host + "' has no address"});
  });
}

}  // namespace culvert::services
