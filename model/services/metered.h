// A stream that logs how many bytes went into TCP and came out of it, and when: from these and the
// acknowledgement rule of its world analysis/theory.py predicts packets. Stands on model/net.
#pragma once

#include <memory>
#include <string_view>

#include "model/net/connector.h"

namespace culvert::services {

// Around what `under` connects; events SERVICE.tcp (a connection is there), SERVICE.wrote and
// SERVICE.read with `bytes`, SERVICE.ended. `service`: static storage.
std::unique_ptr<net::Connector> metered_connector(net::Host& host,
                                                  std::unique_ptr<net::Connector> under,
                                                  std::string_view service);

}  // namespace culvert::services
