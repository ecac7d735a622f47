// The phases of a synthetic check, in their order, and the Connector that notes which one is waited
// for. Stands on model/net.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "model/net/connector.h"
#include "model/net/time.h"

namespace culvert::monitor {

enum class Phase : uint8_t {
  name,
  tcp,
  proxy,
  tls,
  websocket,
  connack,   // CONNECT until CONNACK
  suback,    // SUBSCRIBE until SUBACK
  puback,    // PUBLISH until its last acknowledgement
  loopback,  // PUBLISH until it came back on our own subscription
};
constexpr size_t kPhases = 9;
std::string_view to_string(Phase phase);  // "name"
std::optional<Phase> phase_of(std::string_view text);

using PhaseTimes = std::array<std::optional<net::Duration>, kPhases>;

// Which phase a check is in, for the time-out that only knows that it is over.
struct Stage {
  Phase now = Phase::tcp;
};
// Says `its` when connecting begins and `then` when `under` has connected: put between the layers,
// the innermost first.
std::unique_ptr<net::Connector> staged(std::unique_ptr<net::Connector> under,
                                       std::shared_ptr<Stage> stage, Phase its, Phase then);

}  // namespace culvert::monitor
