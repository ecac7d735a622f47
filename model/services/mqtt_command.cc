#include "model/services/mqtt_command.h"

#include <algorithm>
#include <boost/endian/conversion.hpp>
#include <charconv>

#include "model/mqtt/topic.h"

namespace culvert::services {
namespace {

constexpr uint16_t kPorts[2][2] = {{1883, 8883}, {80, 443}};  // [websocket][tls], IANA

template <class Number>
bool number(const std::string& text, Number& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

void MqttCommand::declare(CLI::App& app, bool many_topics) {
  constexpr size_t kManyWords = CLI::detail::expected_max_vector_size;
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  app.option_defaults()->group("Broker and login");
  app.add_option("-h,--host", host, "a name or an address");
  app.add_option("-p,--port", port, "0: 1883, 8883 with TLS, 80 and 443 with WebSocket")
      ->check(CLI::Range(0, 65535));
  app.add_option(
      "-L,--url", url,
      "mqtt(s)://[user[:password]@]host[:port]/topic, or ws(s)://…, WebSocket at --path");
  app.add_option("-u,--username", user, "user name");
  app.add_option("-P,--pw", password,
                 "the password itself; other users of this machine can see it: prefer "
                 "--password-secret");
  app.add_option("--password-secret", password_secret, "file with the password");
  app.add_option("-i,--id", id, "client identifier; none: the broker's choice");
  app.add_option("-I,--id-prefix", id_prefix, "an identifier that begins so, the rest random");
  app.add_option("-V,--protocol-version", version, "of MQTT")
      ->check(CLI::IsMember({"5", "mqttv5", "311", "mqttv311"}));
  app.add_option("-k,--keepalive", keep_alive_s, "seconds; 0: none")->check(CLI::Range(0, 65535));
  app.add_option("-A,--bind", bind, "our own address");

  app.option_defaults()->group("Messages");
  app.add_option("-t,--topic", topics, many_topics ? "a topic filter; again for more" : "the topic")
      ->type_size(1)
      ->expected(1, many_topics ? kManyWords : 1)
      ->allow_extra_args(false);
  app.add_option("-q,--qos", qos, "of the messages")->check(CLI::Range(0, 2));
  app.add_option("-D,--property", properties.words,
                 "COMMAND PROPERTY VALUE, such as: publish user-property a b; or will, connect, "
                 "subscribe; switches to MQTT 5.0")
      ->type_size(1)
      ->expected(3, kManyWords);

  app.option_defaults()->group("Session and will");
  app.add_flag("-c,--disable-clean-session", keep_session,
               "keep the session after the connection; needs -i");
  app.add_option("-x,--session-expiry-interval", session_expiry,
                 "seconds that it is kept; -1: for ever, as -c without -x");
  app.add_option("--store", store,
                 "keep what is under way in this store (see culvert-node --data), so that a kill "
                 "loses nothing; with -c and -i");
  app.add_option("--will-topic", will_topic, "a will's topic");
  app.add_option("--will-payload", will_payload, "its payload");
  app.add_option("--will-qos", will_qos, "its QoS")->check(CLI::Range(0, 2));
  app.add_flag("--will-retain", will_retain, "it is retained");

  app.option_defaults()->group("TLS and other ways out");
  app.add_option("--cafile", trust, "file with the CAs to trust; switches TLS on");
  app.add_option("--cert", certificate, "file with our certificate");
  app.add_option("--key", key, "file with its key");
  app.add_flag("--tls,--tls-use-os-certs", tls, "TLS, trusting the system's CAs; so has port 8883");
  app.add_option("--tls-version", tls_version, "any, tlsv1.2 or tlsv1.3")
      ->check(CLI::IsMember({"any", "tlsv1.2", "tlsv1.3", "1.2", "1.3"}));
  app.add_flag("--insecure", insecure, "TLS without verifying the broker's certificate");
  app.add_option("--alpn,--tls-alpn", alpn, "protocol to offer in TLS, such as mqtt")
      ->type_size(1)
      ->expected(1, 8)
      ->allow_extra_args(false);
  app.add_flag("--ws", websocket, "WebSocket around TCP or TLS");
  app.add_option("--path", path, "of the WebSocket");
  app.add_option("--proxy", proxy, "HTTP proxy to CONNECT through, HOST:PORT");
  app.add_flag("--nodelay", no_delay, "as we always do: nothing waits for more to send with it");

  app.option_defaults()->group("Ending and telling");
  app.add_option("-W,--timeout", timeout_s, "seconds; then it ends with status 27")
      ->check(CLI::Range(0.0, 1e6));
  app.add_flag("-d,--debug", debug, "say what happens (with --events stderr also as events)");
  app.add_flag("--quiet", quiet, "no sentence about what went wrong, only the exit status");
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
  tls = tls || insecure || !trust.empty() || !certificate.empty() || !alpn.empty() ||
        port == kPorts[false][true];
  if (!properties.words.empty()) version = "5";
  if (port == 0) port = kPorts[websocket][tls];
  if (!id.empty() && !id_prefix.empty())
    return {net::Error::invalid, "-i and -I do not go together"};
  if (keep_session && id.empty())
    return {net::Error::invalid, "-c needs -i: a session is found again by its identifier"};
  if (!store.empty() && !keep_session)
    return {net::Error::invalid, "--store needs -c: else the broker forgets what the store knows"};
  if (!session_expiry.empty()) {
    const bool ever = session_expiry == "-1" || session_expiry == "∞";
    if (!ever && !number(session_expiry, session_expiry_s))
      return {net::Error::invalid, "-x: '" + session_expiry + "' is no number of seconds"};
    if (ever) session_expiry_s = 0xFFFFFFFF;
    if (session_expiry_s == 0xFFFFFFFF && id.empty())
      return {net::Error::invalid, "-x for ever needs -i: nobody would find the session again"};
  }
  if (!bind.empty()) {
    const auto address = net::IpAddress::parse(bind);
    if (!address) return {net::Error::invalid, "-A: '" + bind + "' is no address"};
    local.ip = *address;
  }
  if (!password.empty() && !password_secret.empty())
    return {net::Error::invalid, "-P and --password-secret do not go together"};
  if (!will_topic.empty() && !mqtt::valid_topic_name(will_topic))
    return {net::Error::invalid, "--will-topic: '" + will_topic + "' is no topic (+ and # ?)"};
  if (will_topic.empty() && (!will_payload.empty() || will_retain))
    return {net::Error::invalid, "a will needs --will-topic"};
  if (version == "mqttv5") version = "5";
  if (version == "mqttv311") version = "311";
  if (const size_t colon = proxy.rfind(':'); !proxy.empty()) {
    uint16_t proxy_port = 0;
    if (proxy.find("://") != std::string::npos)
      return {net::Error::invalid, "--proxy takes HOST:PORT of an HTTP proxy, no URL and no SOCKS"};
    if (colon == std::string::npos || !number(proxy.substr(colon + 1), proxy_port))
      return {net::Error::invalid, "--proxy: '" + proxy + "' is not HOST:PORT"};
  }
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
  c.local = local;
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
  options->session_expiry_s = !session_expiry.empty() ? session_expiry_s
                              : keep_session          ? 0xFFFFFFFF  // as mosquitto: never
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
    log_lost(host_, name_, lost);
    if (command_.debug)
      text("Lost (" + std::string(lost.phase) + "): " + lost.status.detail + "\n");
    // As mosquitto: the first connection must be made, later ones are made again. A session that
    // lives in a store comes back whatever happens.
    if (lost.again_in && (ever_connected_ || store_)) return;
    std::string sentence = "Connection error: " + lost.status.detail;
    if (lost.status.error == net::Error::refused && lost.phase == "tcp" && command_.proxy.empty())
      sentence = "Connection refused: nobody listens at " + command_.host + " port " +
                 std::to_string(command_.port);
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
  if (!command_.quiet) sentence_ = std::move(sentence);
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
