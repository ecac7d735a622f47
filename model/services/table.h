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
std::unique_ptr<Blueprint> mqtt_broker_blueprint();
std::unique_ptr<Blueprint> mqtt_passwd_blueprint();
std::unique_ptr<Blueprint> mqtt_pub_blueprint();
std::unique_ptr<Blueprint> mqtt_sub_blueprint();
std::unique_ptr<Blueprint> mqtt_rr_blueprint();
std::unique_ptr<Blueprint> echo_blueprint();
std::unique_ptr<Blueprint> tls_echo_blueprint();
std::unique_ptr<Blueprint> vpn_blueprint();
std::unique_ptr<Blueprint> rate_blueprint();
std::unique_ptr<Blueprint> bulk_blueprint();
std::unique_ptr<Blueprint> latency_blueprint();
std::unique_ptr<Blueprint> latency_peer_blueprint();
std::unique_ptr<Blueprint> latency_server_blueprint();
std::unique_ptr<Blueprint> mqtt_monitor_blueprint();
std::unique_ptr<Blueprint> http_server_blueprint();
std::unique_ptr<Blueprint> http_client_blueprint();
std::unique_ptr<Blueprint> http_relay_blueprint();
std::unique_ptr<Blueprint> http_agent_blueprint();
std::unique_ptr<Blueprint> responder_blueprint();
std::unique_ptr<Blueprint> requester_blueprint();
std::unique_ptr<Blueprint> http_gateway_blueprint();
std::unique_ptr<Blueprint> home_device_blueprint();
std::unique_ptr<Blueprint> home_monitor_blueprint();

}  // namespace culvert::services
