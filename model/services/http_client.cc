// http-client: asks a URL, once or again and again, and tells what each phase took.
#include <array>

#include "model/http/client.h"
#include "model/services/http_front.h"
#include "model/services/table.h"

namespace culvert::services {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kHttpClient = "http-client";

struct HttpClientOptions {
  std::string url, method, data, headers = "minimal";
  size_t data_bytes = 0;
  std::vector<std::string> fields;
  uint32_t count = 1, connections = 1;
  net::Duration interval{0}, patience = 30s;
  bool fresh = false, quiet = false, wait = false, fail = false, include = false;
  HttpReach reach;
};

// What others send without being asked (docs/reference/http.md); the comparison of bytes with MQTT
// shows all three.
struct Habit {
  std::string_view name;
  std::array<std::pair<std::string_view, std::string_view>, 8> fields;
};
constexpr std::array kHabits{
    Habit{"minimal", {}},
    // curl 7.88.1, as Debian 12 has it.
    Habit{"curl", {{{"User-Agent", "curl/7.88.1"}, {"Accept", "*/*"}}}},
    // fetch() of Chromium 120 on Linux, same origin, without cookies.
    Habit{"browser",
          {{{"Connection", "keep-alive"},
            {"User-Agent",
             "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
             "Chrome/120.0.0.0 Safari/537.36"},
            {"Accept", "*/*"},
            {"Sec-Fetch-Site", "same-origin"},
            {"Sec-Fetch-Mode", "cors"},
            {"Sec-Fetch-Dest", "empty"},
            {"Accept-Encoding", "gzip, deflate, br"},
            {"Accept-Language", "en-US,en;q=0.9"}}}},
};

class HttpClient : public Service {
 public:
  HttpClient(net::Host& host, HttpClientOptions options)
      : host_(host),
        options_(std::move(options)),
        url_(*http::parse_url(options_.url)),
        timer_(host.timers(), [this] { send(); }) {}

  bool prints() const override { return !options_.quiet; }
  bool is_tool() const override { return !options_.quiet && !options_.wait; }

  net::Status start() override {
    auto connector = http_connector(host_, std::string(kHttpClient), url_, options_.reach);
    if (!connector) return connector.status();
    http::ClientOptions client;
    client.keep_alive = !options_.fresh;
    client.connections = options_.connections;
    client.patience = options_.patience;
    client.host = url_.authority();
    client.waiting = 1 << 20;
    client.body_bytes = 256 << 20;
    client_ = std::make_unique<http::Client>(host_, client, std::move(*connector));
    host_.log().write(kHttpClient, "ready", {{"url", options_.url}});
    if (!options_.wait) go(options_.count);
    return {};
  }

  net::Status command(std::string_view line) override {
    if (line == "go") {
      go(options_.count);
    } else if (line == "one") {
      go(1);
    } else {
      return {net::Error::invalid, "the commands are: go (as often as --count says), one"};
    }
    return {};
  }

 private:
  void go(uint32_t count) {
    const bool idle = to_send_ == 0;
    to_send_ += count;
    if (idle && !timer_.armed()) send();
  }

  http::Request request() {
    http::Request out;
    out.target = url_.target;
    out.body.assign(options_.data.begin(), options_.data.end());
    if (options_.data_bytes > 0) out.body.assign(options_.data_bytes, 'x');
    out.method = !options_.method.empty() ? options_.method : out.body.empty() ? "GET" : "POST";
    for (const std::string& text : options_.fields) add_field(out.headers, text);
    for (const Habit& habit : kHabits) {
      if (habit.name != options_.headers) continue;
      for (const auto& [name, value] : habit.fields)
        if (!name.empty() && !out.headers.has(name))
          out.headers.add(std::string(name), std::string(value));
    }
    if (out.body.empty() || out.headers.has("Content-Type")) return out;
    if (options_.headers == "curl")
      out.headers.add("Content-Type", "application/x-www-form-urlencoded");
    if (options_.headers == "browser") {
      out.headers.add("Content-Type", "text/plain;charset=UTF-8");
      if (!out.headers.has("Origin"))
        out.headers.add("Origin", url_.scheme + "://" + url_.authority());
    }
    return out;
  }

  void send() {
    if (to_send_ == 0) return;
    --to_send_;
    const uint64_t number = ++sent_;
    http::Request out = request();
    host_.log().write(kHttpClient, "request_sent",
                      {{"number", number},
                       {"method", out.method},
                       {"url", options_.url},
                       {"sent", uint64_t{out.body.size()}}});
    client_->request(std::move(out),
                     [this, number](net::Result<http::Response> r, const http::Timing& timing) {
                       answered(number, std::move(r), timing);
                     });
    if (to_send_ > 0 && options_.interval > net::Duration::zero())
      timer_.arm_after(options_.interval);
  }

  void answered(uint64_t number, net::Result<http::Response> result, const http::Timing& timing) {
    ++done_;
    if (result) {
      note(number, *result, timing);
      print_response(*result);
    } else {
      ++failed_;
      last_ = result.status();
      host_.log().write(kHttpClient, "failed",
                        {{"number", number},
                         {"phase", timing.failed_phase},
                         {"error", net::to_string(result.error())},
                         {"detail", result.status().detail},
                         {"whole_ms", timing.whole}});
    }
    if (to_send_ > 0 && options_.interval == net::Duration::zero()) return send();
    if (to_send_ == 0 && done_ == sent_) end();
  }

  void note(uint64_t number, const http::Response& response, const http::Timing& timing) {
    std::vector<net::Field> fields{{"number", number},
                                   {"status", response.status},
                                   {"bytes", uint64_t{response.body.size()}},
                                   {"reused", timing.reused}};
    const auto add = [&](std::string_view name, const std::optional<net::Duration>& took) {
      if (took && !timing.reused) fields.emplace_back(name, *took);
    };
    add("name_ms", timing.connect.name);
    add("tcp_ms", timing.connect.tcp);
    add("proxy_ms", timing.connect.proxy);
    add("tls_ms", timing.connect.tls);
    fields.emplace_back("first_byte_ms", timing.first_byte);
    fields.emplace_back("whole_ms", timing.whole);
    host_.log().write(kHttpClient, "response", fields.data(), fields.size());
    const double ms = net::to_ms(timing.whole);
    least_ = answers_ == 0 ? ms : std::min(least_, ms);
    most_ = std::max(most_, ms);
    total_ += ms;
    ++answers_;
    if (options_.fail && response.status >= 400) {
      ++failed_;
      last_ = {net::Error::failed, "the server answered " + std::to_string(response.status)};
    }
  }

  void print_response(const http::Response& response) {
    if (options_.quiet) return;
    if (options_.include) {
      std::string head = std::to_string(response.status) + " " + response.reason + "\n";
      for (const auto& [name, value] : response.headers.all()) head += name + ": " + value + "\n";
      print(net::as_bytes(head + "\n"));
    }
    print(response.body);
  }

  void end() {
    host_.log().write(kHttpClient, "result",
                      {{"sent", sent_},
                       {"answered", answers_},
                       {"failed", failed_},
                       {"least_ms", least_},
                       {"mean_ms", answers_ > 0 ? total_ / double(answers_) : 0.0},
                       {"most_ms", most_}});
    finished(failed_ == 0 ? net::Status{} : last_);
  }

  net::Host& host_;
  HttpClientOptions options_;
  http::Url url_;
  std::unique_ptr<http::Client> client_;
  net::Timer timer_;
  uint64_t sent_ = 0, done_ = 0, answers_ = 0, failed_ = 0;
  uint64_t to_send_ = 0;
  double least_ = 0, most_ = 0, total_ = 0;
  net::Status last_;
};

class HttpClientBlueprint : public Blueprint {
 public:
  void options(CLI::App& app) override {
    app.add_option("--url", options_.url, "http://… or https://…")->required();
    app.add_option("-X,--request", options_.method, "the method; GET, or POST with a body");
    app.add_option("-d,--data", options_.data, "the body");
    app.add_option("--data-bytes", options_.data_bytes, "a body of that size instead")
        ->check(CLI::Range(0, 256 << 20));
    app.add_option("-H,--header", options_.fields, "\"Name: value\"")
        ->type_size(1)
        ->allow_extra_args(false);
    app.add_option("--headers", options_.headers, "whose habits: minimal, curl or browser")
        ->check(CLI::IsMember({"minimal", "curl", "browser"}))
        ->capture_default_str();
    app.add_option("--count", options_.count, "requests")
        ->check(CLI::Range(1, 10000000))
        ->capture_default_str();
    add_ms(app, "--interval-ms", options_.interval, "between them; 0: one after the other");
    add_ms(app, "--patience-ms", options_.patience, "for each whole answer");
    app.add_option("--connections", options_.connections, "at a time")
        ->check(CLI::Range(1, 10000))
        ->capture_default_str();
    app.add_flag("--new-connections", options_.fresh, "one for each request");
    app.add_flag("-q,--quiet", options_.quiet, "print no body");
    app.add_flag("-i,--include", options_.include, "print status and fields, too");
    app.add_flag("-f,--fail", options_.fail, "a status of 400 or more is a failure");
    app.add_flag("--wait", options_.wait, "ask when told to: go, one");
    add_http_reach(app, options_.reach);
  }
  net::Status check() override {
    const auto url = http::parse_url(options_.url);
    if (!url || url->scheme.substr(0, 4) != "http")
      return {net::Error::invalid, "'" + options_.url + "' is no http or https URL"};
    http::Headers headers;
    for (const std::string& field : options_.fields)
      if (const net::Status status = add_field(headers, field); !status) return status;
    if (!options_.method.empty() && !http::is_token(options_.method))
      return {net::Error::invalid, "'" + options_.method + "' is no method"};
    if (options_.patience < 1ms) return {net::Error::invalid, "--patience-ms must be 1 or more"};
    if (options_.reach.early_data > 0 && !is_safe())
      return {net::Error::invalid,
              "early data can be replayed: --early-data goes with GET, HEAD and OPTIONS only"};
    return services::check(options_.reach);
  }
  net::Result<std::unique_ptr<Service>> build(net::Host& host) override {
    return std::unique_ptr<Service>(std::make_unique<HttpClient>(host, options_));
  }

 private:
  // RFC 8470 section 3, RFC 9110 section 9.2.1.
  bool is_safe() const {
    const std::string& method = options_.method;
    if (method.empty()) return options_.data.empty() && options_.data_bytes == 0;
    return method == "GET" || method == "HEAD" || method == "OPTIONS" || method == "TRACE";
  }

  HttpClientOptions options_;
};

}  // namespace

std::unique_ptr<Blueprint> http_client_blueprint() {
  return std::make_unique<HttpClientBlueprint>();
}

}  // namespace culvert::services
