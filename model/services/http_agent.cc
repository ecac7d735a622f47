// http-agent: a device behind NAT that the long-poll relay reaches (model/http/poll_agent.h). It
// answers itself, or asks a local HTTP server.
#include <list>

#include "model/http/poll_agent.h"
#include "model/http/poll_wire.h"
#include "model/services/http_front.h"
#include "model/services/table.h"

namespace culvert::services {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kHttpAgent = "http-agent";

struct HttpAgentOptions {
  std::string relay, to, secret;
  http::PollAgentOptions agent;
  size_t reply_bytes = 0;
  bool separate = false;
  net::Duration delay{0}, patience = 30s;
  HttpReach reach;
};

class HttpAgent : public Service {
 public:
  HttpAgent(net::Host& host, HttpAgentOptions options)
      : host_(host), options_(std::move(options)) {}

  net::Status start() override {
    const auto secret =
        host_.secret(options_.secret.empty() ? "device-" + options_.agent.device : options_.secret);
    if (!secret) return secret.status();
    const auto relay = *http::parse_url(options_.relay);
    auto connector = http_connector(host_, std::string(kHttpAgent), relay, options_.reach);
    if (!connector) return connector.status();
    if (!options_.to.empty()) {
      const auto to = *http::parse_url(options_.to);
      auto local = http_connector(host_, std::string(kHttpAgent), to, {});
      if (!local) return local.status();
      http::ClientOptions client;
      client.host = to.authority();
      client.patience = options_.patience;
      local_ = std::make_unique<http::Client>(host_, client, std::move(*local));
    }
    options_.agent.token = http::token_of(*secret);
    options_.agent.relay_host = relay.authority();
    options_.agent.combined = !options_.separate;
    agent_ = std::make_unique<http::PollAgent>(
        host_, options_.agent, std::move(*connector),
        [this](http::Request request, http::PollAgent::Answer answer) {
          handle(std::move(request), std::move(answer));
        });
    agent_->on_event([this](const http::PollAgentEvent& event) { note(event); });
    host_.log().write(kHttpAgent, "ready",
                      {{"device", options_.agent.device}, {"relay", options_.relay}});
    agent_->start();
    return {};
  }

 private:
  struct Delayed {
    Delayed(net::Host& host, std::function<void()> fire) : timer(host.timers(), std::move(fire)) {}
    net::Timer timer;
  };

  void note(const http::PollAgentEvent& event) {
    if (event.what == "failed")
      host_.log().write(kHttpAgent, event.what,
                        {{"why", event.status.to_string()}, {"again_in_ms", event.again_in}});
    else if (!event.id.empty())
      host_.log().write(kHttpAgent, event.what, {{"id", event.id}});
    else
      host_.log().write(kHttpAgent, event.what);
  }

  void handle(http::Request request, http::PollAgent::Answer answer) {
    host_.log().write(kHttpAgent, "asked",
                      {{"method", request.method},
                       {"target", request.target},
                       {"received", uint64_t{request.body.size()}}});
    if (local_) return forward(std::move(request), std::move(answer));
    http::Response response;
    response.body = std::move(request.body);
    if (options_.reply_bytes > 0) response.body.assign(options_.reply_bytes, 'x');
    if (options_.delay == net::Duration::zero()) return answer(std::move(response));
    const auto at = delayed_.insert(delayed_.end(), nullptr);
    auto held = std::make_shared<http::Response>(std::move(response));
    *at = std::make_unique<Delayed>(host_, [this, at, held, answer = std::move(answer)] {
      const auto over = std::move(*at);
      delayed_.erase(at);
      answer(std::move(*held));
    });
    (*at)->timer.arm_after(options_.delay);
  }

  void forward(http::Request request, http::PollAgent::Answer answer) {
    local_->request(std::move(request), [answer = std::move(answer)](net::Result<http::Response> r,
                                                                     const http::Timing&) {
      if (r) return answer(std::move(*r));
      http::Response response;
      response.status = r.error() == net::Error::timed_out ? 504 : 502;
      const std::string text = r.status().to_string() + "\n";
      response.body.assign(text.begin(), text.end());
      answer(std::move(response));
    });
  }

  net::Host& host_;
  HttpAgentOptions options_;
  std::unique_ptr<http::Client> local_;
  std::list<std::unique_ptr<Delayed>> delayed_;
  std::unique_ptr<http::PollAgent> agent_;
};

class HttpAgentBlueprint : public Blueprint {
 public:
  void options(CLI::App& app) override {
    app.add_option("--relay", options_.relay, "URL of the relay: http://relay.example:8080")
        ->required();
    app.add_option("--device", options_.agent.device, "our name there")->required();
    app.add_option("--secret", options_.secret, "secret that proves it (device-NAME)");
    app.add_option("--polls", options_.agent.polls, "outstanding at a time")
        ->check(CLI::Range(1, 64))
        ->capture_default_str();
    app.add_flag("--separate-answers", options_.separate,
                 "an answer is an exchange of its own, not the next poll as well");
    app.add_option("--to", options_.to, "URL of a local server that answers");
    app.add_option("--reply-bytes", options_.reply_bytes, "without --to; 0: an echo")
        ->check(CLI::Range(0, 1 << 26))
        ->capture_default_str();
    add_ms(app, "--delay-ms", options_.delay, "before each answer, without --to");
    add_ms(app, "--poll-patience-ms", options_.agent.patience, "of a poll; above the relay's");
    add_ms(app, "--local-patience-ms", options_.patience, "for the local server; then 504");
    add_ms(app, "--backoff-least-ms", options_.agent.backoff_least, "after a failure");
    add_ms(app, "--backoff-most-ms", options_.agent.backoff_most, "after many");
    add_http_reach(app, options_.reach);
  }
  net::Status check() override {
    for (const std::string& url : {options_.relay, options_.to})
      if (!url.empty() && !http::parse_url(url))
        return {net::Error::invalid, "'" + url + "' is no http or https URL"};
    if (options_.relay.empty()) return {net::Error::invalid, "--relay is empty"};
    if (!http::is_device_name(options_.agent.device))
      return {net::Error::invalid, "--device: '" + options_.agent.device + "' is no name"};
    if (options_.agent.backoff_least < 1ms || options_.agent.patience < 1ms)
      return {net::Error::invalid, "--backoff-least-ms and --poll-patience-ms must be 1 or more"};
    return services::check(options_.reach);
  }
  net::Result<std::unique_ptr<Service>> build(net::Host& host) override {
    return std::unique_ptr<Service>(std::make_unique<HttpAgent>(host, options_));
  }

 private:
  HttpAgentOptions options_;
};

}  // namespace

std::unique_ptr<Blueprint> http_agent_blueprint() { return std::make_unique<HttpAgentBlueprint>(); }

}  // namespace culvert::services
