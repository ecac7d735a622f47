// What the commands mqtt-pub, mqtt-sub and mqtt-rr share: mosquitto's options, the client they
// describe, exit statuses. Stands on mqtt_connection.h. Only model/services uses it.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "model/mqtt/client/client.h"
#include "model/services/mqtt_connection.h"
#include "model/services/service.h"

namespace culvert::services {

// Exit statuses as mosquitto's commands have them; a refused CONNECT gives its reason's number.
constexpr int kExitFailed = 1, kExitTimedOut = 27;

// -D COMMAND NAME VALUE: those of one command, for one packet.
struct CommandProperties {
  std::vector<std::string> words;  // as given, one after the other
  // The properties of a message ("publish" or "will"), CONNECT, SUBSCRIBE.
  net::Status message(std::string_view command, mqtt::OwnedProperties& out) const;
  net::Status rest(mqtt::ClientOptions& connect, uint32_t& will_delay_s,
                   std::optional<uint32_t>& subscription_id) const;
};

struct MqttCommand {
  std::string host = "localhost", url, user, password, id, id_prefix, version = "5";
  uint16_t port = 0, keep_alive_s = 60;
  std::string password_secret, trust, certificate, key, tls_version = "any", proxy, path = "/mqtt";
  std::vector<std::string> alpn, topics;
  std::string will_topic, will_payload;
  int qos = 0, will_qos = 0;
  bool will_retain = false, keep_session = false, insecure = false, websocket = false, tls = false,
       debug = false, quiet = false, no_delay = false;
  std::string session_expiry, bind;
  uint32_t session_expiry_s = 0;  // check() reads these two
  net::Endpoint local;
  double timeout_s = 0;
  std::string store;
  CommandProperties properties;
  std::optional<uint32_t> subscription_id;  // found in -D subscribe

  void declare(CLI::App& app, bool many_topics);
  net::Status check();  // fills in what the URL says; of two topics -t's comes first
  net::Result<mqtt::ClientOptions> client_options(net::Host& host) const;
  net::Result<std::unique_ptr<net::Connector>> connector(net::Host& host) const;

 private:
  MqttConnection connection() const;
  net::Status read_url();
};

// A command at work: the client, its events in the log, its end.
class MqttCommandService : public Service {
 public:
  bool prints() const override { return true; }
  bool is_tool() const override { return true; }
  std::optional<int> exit_status() const override { return exit_; }
  void stop(std::function<void()> done) override;

 protected:
  MqttCommandService(net::Host& host, MqttCommand command, const char* name);
  net::Status make_client(const std::function<void(mqtt::ClientOptions&)>& adjust = {});
  void end(int status, std::string sentence = {});  // DISCONNECT, then finished
  void text(std::string_view text) { print(net::as_bytes(text)); }

  net::Host& host_;
  MqttCommand command_;
  const char* name_;
  std::unique_ptr<net::Store> store_;
  std::unique_ptr<mqtt::Client> client_;
  std::function<void(const mqtt::ConnectedInfo&)> connected_;

 private:
  net::Timer timeout_;
  std::optional<int> exit_;
  std::string sentence_;
  bool ending_ = false, ever_connected_ = false;
};

}  // namespace culvert::services
