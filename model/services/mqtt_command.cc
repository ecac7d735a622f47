#include "model/services/mqtt_command.h"

#include <algorithm>
#include <boost/endian/conversion.hpp>
#include <charconv>

namespace culvert::services {
namespace {

constexpr uint16_t kPorts[2][2] = {{1883, 8883}, {80, 443}};  // [websocket][tls], IANA

template <class Number>
bool number(const std::string& text, Number& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size();
}

net::Status wrong(const std::string& name, const std::string& value) {
  return {net::Error::invalid, "-D: '" + value + "' is no value for " + name};
}

}  // namespace

net::Status CommandProperties::message(std::string_view command, mqtt::OwnedProperties& out) const {
  for (size_t i = 0; i < words.size();) {
    if (i + 2 >= words.size())
      return {net::Error::invalid, "-D takes a command, a property's name and its value"};
    const std::string &which = words[i], &name = words[i + 1], &value = words[i + 2];
    const bool pair = name == "user-property";
    if (pair && i + 3 >= words.size())
      return {net::Error::invalid, "-D: a user-property has a name and a value"};
    i += pair ? 4 : 3;
    if (which != command) continue;
    if (pair) {
      out.user.emplace_back(value, words[i - 1]);
    } else if (name == "content-type") {
      out.content_type = value;
    } else if (name == "response-topic") {
      out.response_topic = value;
    } else if (name == "correlation-data") {
      out.correlation_data.emplace(value.begin(), value.end());
    } else if (name == "payload-format-indicator") {
      if (value != "0" && value != "1") return wrong(name, value);
      out.utf8_payload = value == "1";
    } else if (name == "message-expiry-interval") {
      uint32_t seconds = 0;
      if (!number(value, seconds)) return wrong(name, value);
      out.expiry_s = seconds;
    } else if (name == "topic-alias" || (which == "will" && name == "will-delay-interval")) {
      // The client finds aliases by itself; the delay is read in rest().
    } else {
      return {net::Error::invalid, "-D: " + which + " has no property '" + name + "'"};
    }
  }
  return {};
}

net::Status CommandProperties::rest(mqtt::ClientOptions& connect, uint32_t& will_delay_s,
                                    std::optional<uint32_t>& subscription_id) const {
  for (size_t i = 0; i + 2 < words.size();) {
    const std::string &which = words[i], &name = words[i + 1], &value = words[i + 2];
    i += name == "user-property" ? 4 : 3;
    if (which == "publish" || which == "will") {
      if (name == "will-delay-interval" && !number(value, will_delay_s)) return wrong(name, value);
      continue;
    }
    bool well = true;
    if (which == "connect" && name == "user-property") {
      connect.user_properties.emplace_back(value, words[i - 1]);
    } else if (which == "connect" && name == "session-expiry-interval") {
      well = number(value, connect.session_expiry_s);
    } else if (which == "connect" && name == "receive-maximum") {
      well = number(value, connect.receive_maximum) && connect.receive_maximum > 0;
    } else if (which == "connect" && name == "maximum-packet-size") {
      well = number(value, connect.maximum_packet_size) && connect.maximum_packet_size > 0;
    } else if (which == "connect" && name == "topic-alias-maximum") {
      well = number(value, connect.topic_alias_maximum);
    } else if (which == "connect" && name == "request-response-information") {
      connect.request_response_information = value == "1";
    } else if (which == "subscribe" && name == "subscription-identifier") {
      uint32_t id = 0;
      well = number(value, id);
      subscription_id = id;
    } else {
      return {net::Error::invalid, "-D: " + which + " " + name + " is not known"};
    }
    if (!well) return wrong(name, value);
  }
  return {};
}

void MqttCommand::declare(CLI::App& app, bool many_topics) {
  app.add_option("-h,--host", host, "the broker: a name or an address")->capture_default_str();
  app.add_option("-p,--port", port, "0: 1883, 8883 with TLS, 80 and 443 with WebSocket")
      ->check(CLI::Range(0, 65535));
  app.add_option(
      "-L,--url", url,
      "mqtt(s)://[user[:password]@]host[:port]/topic, or ws(s)://…, WebSocket at --path");
  app.add_option("-t,--topic", topics, many_topics ? "a topic filter; again for more" : "the topic")
      ->type_size(1)
      ->expected(1, many_topics ? CLI::detail::expected_max_vector_size : 1)
      ->allow_extra_args(false);
  app.add_option("-q,--qos", qos, "of the messages")->check(CLI::Range(0, 2));
  app.add_option("-i,--id", id, "client identifier; none: the broker's choice");
  app.add_option("-I,--id-prefix", id_prefix, "an identifier that begins so, the rest random");
  app.add_option("-V,--protocol-version", version, "mqttv5 or 5, mqttv311 or 311")
      ->check(CLI::IsMember({"5", "mqttv5", "311", "mqttv311"}));
  app.add_option("-u,--username", user, "user name");
  app.add_option("--password-secret", password_secret,
                 "name of the secret (a file in the secrets folder) that holds the password");
  app.add_option("-P,--pw", password,
                 "the password itself; other users of this machine can see it: prefer "
                 "--password-secret");
  app.add_option("-k,--keepalive", keep_alive_s, "seconds; 0: none")->capture_default_str();
  app.add_flag("-c,--disable-clean-session", keep_session,
               "keep the session after the connection; needs -i");
  app.add_option("-x,--session-expiry-interval", session_expiry_s,
                 "seconds that it is kept; without it for ever");
  app.add_option("-D,--property", properties.words,
                 "COMMAND PROPERTY VALUE, such as: publish user-property a b")
      ->type_size(1)
      ->expected(3, CLI::detail::expected_max_vector_size);
  app.add_option("--will-topic", will_topic, "a will's topic");
  app.add_option("--will-payload", will_payload, "its payload");
  app.add_option("--will-qos", will_qos, "its QoS")->check(CLI::Range(0, 2));
  app.add_flag("--will-retain", will_retain, "it is retained");
  app.add_option("--cafile", trust, "secret with the CAs to trust; switches TLS on");
  app.add_option("--cert", certificate, "secret with our certificate");
  app.add_option("--key", key, "secret with its key");
  app.add_flag("--tls", tls, "TLS, trusting the system's CAs");
  app.add_option("--tls-version", tls_version, "any, tlsv1.2 or tlsv1.3")
      ->check(CLI::IsMember({"any", "tlsv1.2", "tlsv1.3", "1.2", "1.3"}));
  app.add_flag("--insecure", insecure, "TLS without verifying the broker's certificate");
  app.add_option("--alpn,--tls-alpn", alpn, "protocol to offer in TLS, such as mqtt")
      ->type_size(1)
      ->expected(1, 8)
      ->allow_extra_args(false);
  app.add_flag("--ws", websocket, "WebSocket around TCP or TLS");
  app.add_option("--path", path, "of the WebSocket")->capture_default_str();
  app.add_option("--proxy", proxy, "HTTP proxy to CONNECT through, HOST:PORT");
  app.add_option("-W,--timeout", timeout_s, "seconds; then it ends with status 27")
      ->check(CLI::Range(0.0, 1e6));
  app.add_option("--store", store,
                 "keep what is under way in this store (see culvert-node --data), so that a kill "
                 "loses nothing; with -c and -i");
  app.add_flag("-d,--debug", debug, "say what happens (with --events stderr also as events)");
}

net::Status MqttCommand::read_url() {
  std::string rest = url;
  const size_t scheme_end = rest.find("://");
  const std::string scheme = rest.substr(0, scheme_end);
  if (scheme_end == std::string::npos ||
      (scheme != "mqtt" && scheme != "mqtts" && scheme != "ws" && scheme != "wss"))
    return {net::Error::invalid, "-L: the URL begins with mqtt://, mqtts://, ws:// or wss://"};
  websocket = websocket || scheme[0] == 'w';
  tls = tls || scheme == "mqtts" || scheme == "wss";
  rest.erase(0, scheme_end + 3);
  const size_t slash = rest.find('/');
  if (slash != std::string::npos) {
    const std::string after = rest.substr(slash + 1);
    if (!after.empty()) topics.push_back(after);
    rest.erase(slash);
  }
  if (const size_t at = rest.rfind('@'); at != std::string::npos) {
    const std::string login = rest.substr(0, at);
    rest.erase(0, at + 1);
    const size_t colon = login.find(':');
    user = login.substr(0, colon);
    if (colon != std::string::npos) password = login.substr(colon + 1);
  }
  const size_t bracket = rest.rfind(']'), colon = rest.rfind(':');
  if (colon != std::string::npos && (bracket == std::string::npos || colon > bracket)) {
    if (!number(rest.substr(colon + 1), port) || port == 0)
      return {net::Error::invalid, "-L: '" + rest.substr(colon + 1) + "' is no port"};
    rest.erase(colon);
  }
  if (!rest.empty() && rest[0] == '[') rest = rest.substr(1, rest.size() - 2);
  if (rest.empty()) return {net::Error::invalid, "-L: the URL names no host"};
  host = rest;
  url.clear();
  return {};
}

net::Status MqttCommand::check() {
  if (!url.empty())
    if (const net::Status status = read_url(); !status) return status;
  tls = tls || insecure || !trust.empty() || !certificate.empty() || !alpn.empty();
  if (port == 0) port = kPorts[websocket][tls];
  if (!id.empty() && !id_prefix.empty())
    return {net::Error::invalid, "-i and -I do not go together"};
  if (keep_session && id.empty())
    return {net::Error::invalid, "-c needs -i: a session is found again by its identifier"};
  if (!store.empty() && !keep_session)
    return {net::Error::invalid, "--store needs -c: else the broker forgets what the store knows"};
  if (will_topic.empty() && (!will_payload.empty() || will_retain))
    return {net::Error::invalid, "a will needs --will-topic"};
  if (version == "mqttv5") version = "5";
  if (version == "mqttv311") version = "311";
  if (!proxy.empty() && proxy.rfind(':') == std::string::npos)
    return {net::Error::invalid, "--proxy: '" + proxy + "' is not HOST:PORT"};
  mqtt::OwnedProperties message;
  mqtt::ClientOptions connect;
  uint32_t delay = 0;
  for (const char* command : {"publish", "will"})
    if (const net::Status status = properties.message(command, message); !status) return status;
  if (const net::Status status = properties.rest(connect, delay, subscription_id); !status)
    return status;
  return services::check(connection());
}

MqttConnection MqttCommand::connection() const {
  MqttConnection c;
  c.broker = {host, port};
  c.version = version;
  c.client_id = id;
  c.user = user;
  c.password_secret = password_secret;
  c.keep_alive_s = keep_alive_s;
  c.keep_session = keep_session;
  c.tls = tls;
  c.insecure = insecure;
  c.trust = trust;
  c.certificate = certificate;
  c.key = key;
  c.tls_versions = tls_version == "any" ? "any" : tls_version.substr(tls_version.size() - 3);
  c.alpn = alpn;
  c.websocket = websocket;
  c.path = path;
  if (!proxy.empty()) {
    const size_t colon = proxy.rfind(':');
    c.proxy.host = proxy.substr(0, colon);
    (void)number(proxy.substr(colon + 1), c.proxy.port);
  }
  return c;
}

net::Result<mqtt::ClientOptions> MqttCommand::client_options(net::Host& host) const {
  auto options = services::client_options(host, connection());
  if (!options) return options.status();
  options->clean_start = !keep_session;
  options->session_expiry_s = session_expiry_s > 0 ? session_expiry_s
                              : keep_session       ? 0xFFFFFFFF  // as mosquitto: never
                                                   : 0;
  options->request_response_information = false;
  if (!id_prefix.empty()) {
    options->client_id = id_prefix;
    for (int i = 0; i < 12; ++i)
      options->client_id += static_cast<char>('a' + host.random().below(26));
  }
  if (!password.empty()) options->password.emplace(password.begin(), password.end());
  uint32_t delay = 0;
  std::optional<uint32_t> unused;
  if (const net::Status status = properties.rest(*options, delay, unused); !status) return status;
  if (!will_topic.empty()) {
    mqtt::OwnedWill will;
    will.topic = will_topic;
    will.payload.assign(will_payload.begin(), will_payload.end());
    will.qos = static_cast<uint8_t>(will_qos);
    will.retain = will_retain;
    will.delay_s = delay;
    if (const net::Status status = properties.message("will", will.properties); !status)
      return status;
    options->will = std::move(will);
  }
  return options;
}

net::Result<std::unique_ptr<net::Connector>> MqttCommand::connector(net::Host& host) const {
  return services::connector(host, connection());
}

MqttCommandService::MqttCommandService(net::Host& host, MqttCommand command, const char* name)
    : host_(host),
      command_(std::move(command)),
      name_(name),
      timeout_(host.timers(), [this] { end(kExitTimedOut, "Timed out"); }) {}

net::Status MqttCommandService::make_client(
    const std::function<void(mqtt::ClientOptions&)>& adjust) {
  auto options = command_.client_options(host_);
  if (!options) return options.status();
  auto connector = command_.connector(host_);
  if (!connector) return connector.status();
  if (!command_.store.empty()) {
    auto store = host_.open_store(command_.store);
    if (!store) return store.status();
    store_ = std::move(*store);
    options->store = store_.get();
  }
  if (adjust) adjust(*options);
  client_ = std::make_unique<mqtt::Client>(host_, std::move(*options), std::move(*connector));
  client_->on_connected([this](const mqtt::ConnectedInfo& info) {
    ever_connected_ = true;
    host_.log().write(name_, "connected",
                      {{"client", client_->client_id()},
                       {"session_present", info.connack.session_present},
                       {"connack_ms", info.connack_took},
                       {"attempt", info.attempt}});
    if (command_.debug) text("Connected as " + client_->client_id() + "\n");
    if (connected_) connected_(info);
  });
  client_->on_lost([this](const mqtt::Client::Lost& lost) {
    host_.log().write(name_, "lost",
                      {{"phase", lost.phase},
                       {"reason", to_string(lost.reason)},
                       {"why", lost.status.to_string()}});
    if (command_.debug)
      text("Lost (" + std::string(lost.phase) + "): " + lost.status.detail + "\n");
    // As mosquitto: the first connection must be made, later ones are made again. A session that
    // lives in a store comes back whatever happens.
    if (lost.again_in && (ever_connected_ || store_)) return;
    std::string sentence = "Connection error: " + lost.status.detail;
    if (!lost.reason_string.empty()) sentence += " (" + std::string(lost.reason_string) + ")";
    if (!lost.server_reference.empty()) sentence += "; use " + std::string(lost.server_reference);
    const int code = static_cast<int>(lost.reason);
    end(code >= 0x80 ? (command_.version == "311" ? connack_code_v311(lost.reason) : code)
                     : kExitFailed,
        sentence);
  });
  if (command_.timeout_s > 0) timeout_.arm_after(net::from_ms(command_.timeout_s * 1000));
  client_->start();
  return {};
}

void MqttCommandService::end(int status, std::string sentence) {
  if (ending_) return;
  ending_ = true;
  timeout_.cancel();
  exit_ = status;
  sentence_ = std::move(sentence);
  client_->stop(mqtt::Reason::success, [this] {
    finished(exit_ == 0 ? net::Status{} : net::Status{net::Error::failed, sentence_});
  });
}

void MqttCommandService::stop(std::function<void()> done) {
  ending_ = true;
  timeout_.cancel();
  if (!client_) return done();
  client_->stop(mqtt::Reason::success, std::move(done));
}

}  // namespace culvert::services
