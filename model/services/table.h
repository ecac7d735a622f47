// The services that there are. Only registry.cc and the blueprints' own files use it: each service
// has one function here and one row in registry.cc.
#pragma once

#include <memory>

#include "model/services/service.h"

namespace culvert::services {

std::unique_ptr<Blueprint> stun_server_blueprint();
std::unique_ptr<Blueprint> stun_client_blueprint();
std::unique_ptr<Blueprint> stun_lifetime_blueprint();
std::unique_ptr<Blueprint> rendezvous_blueprint();
std::unique_ptr<Blueprint> punch_blueprint();
std::unique_ptr<Blueprint> echo_blueprint();
std::unique_ptr<Blueprint> rate_blueprint();
std::unique_ptr<Blueprint> bulk_blueprint();

}  // namespace culvert::services
