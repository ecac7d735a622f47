// Option kinds that several services' blueprints declare, over CLI11. Only model/services uses it.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <vector>

#include "model/net/address.h"
#include "model/net/time.h"

namespace culvert::services {

// "203.0.113.10:3478", "[2001:db8::1]:3478", "0.0.0.0:0". Addresses only, no names.
CLI::Option* add_endpoint(CLI::App& app, const std::string& name, net::Endpoint& value,
                          const std::string& about);
CLI::Option* add_endpoints(CLI::App& app, const std::string& name,
                           std::vector<net::Endpoint>& values, const std::string& about);
// Milliseconds, 0 or more, fractions allowed; `value` is the default.
CLI::Option* add_ms(CLI::App& app, const std::string& name, net::Duration& value,
                    const std::string& about);

// A peer by name or address, with a port: "server.example:3478". Resolved at start.
struct Target {
  std::string host;
  uint16_t port = 0;
};
CLI::Option* add_target(CLI::App& app, const std::string& name, Target& value,
                        const std::string& about);

}  // namespace culvert::services
