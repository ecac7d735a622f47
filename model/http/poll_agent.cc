#include "model/http/poll_agent.h"

#include <algorithm>
#include <vector>

#include "model/http/poll_wire.h"
#include "model/http/text.h"

namespace culvert::http {

using net::Error;
using namespace std::chrono_literals;

namespace {

// Ours: an empty answer sooner than this means that the relay wants no poll now.
constexpr net::Duration kTooSoon = 100ms;

}  // namespace

struct PollAgent::Impl {
  // One poll at a time, and in combined mode the answer that goes with it.
  struct Lane {
    Lane(net::Host& host, std::function<void()> again) : timer(host.timers(), std::move(again)) {}
    net::Timer timer;
    net::Time asked{0};
    net::Duration backoff{0};
    std::optional<Request> answer;
    std::string answer_id;
    uint32_t tries = 0;
  };
  // Answers by being dropped, too.
  struct Once {
    std::function<void(Response)> done;
    ~Once() {
      Response response;
      response.status = 500;
      answer(std::move(response));
    }
    void answer(Response response) {
      if (const auto callback = std::exchange(done, {})) callback(std::move(response));
    }
  };

  Impl(net::Host& h, PollAgentOptions o, std::unique_ptr<net::Connector> connector, Handle f)
      : host(h),
        options(std::move(o)),
        handle(std::make_shared<const Handle>(std::move(f))),
        client(h, client_options(), std::move(connector)) {}

  ClientOptions client_options() const {
    ClientOptions out;
    out.host = options.relay_host;
    out.connections = options.polls * (options.combined ? 1 : 2);
    out.patience = options.patience;
    return out;
  }

  void tell(std::string_view what, std::string_view id, net::Status status = {},
            net::Duration again = {}) {
    if (event) event({what, id, std::move(status), again});
  }

  void start() {
    for (size_t i = 0; i < std::max<size_t>(options.polls, 1); ++i) {
      lanes.push_back(nullptr);
      lanes.back() = std::make_unique<Lane>(host, [this, i] { poll(*lanes[i]); });
    }
    for (const auto& lane : lanes) poll(*lane);
  }

  void authorize(Request& request) {
    request.headers.add("Authorization", "Bearer " + options.token);
  }

  void poll(Lane& lane) {
    lane.asked = host.now();
    Request request;
    const bool carries_answer = lane.answer.has_value();
    if (carries_answer) {
      request = *lane.answer;
      request.headers.add(std::string(kPollField), options.device);
    } else {
      request.target = "/poll/" + options.device;
      tell("polling", {});
    }
    authorize(request);
    client.request(std::move(request),
                   [this, &lane, carries_answer](net::Result<Response> r, const Timing&) {
                     polled(lane, carries_answer, std::move(r));
                   });
  }

  void polled(Lane& lane, bool carried_answer, net::Result<Response> result) {
    if (!result) return fail(lane, result.status());
    Response& response = *result;
    if (response.status != 200 && response.status != 204)
      return fail(lane, {response.status == 401 ? Error::not_permitted : Error::refused,
                         "the relay answered " + std::to_string(response.status)});
    if (carried_answer) {
      const std::string_view became = response.headers.get(kResultField);
      tell(became.empty() ? "answered" : became, lane.answer_id);
      lane.answer.reset();
      lane.tries = 0;
    }
    lane.backoff = {};
    if (response.status == 204) {
      if (host.now() - lane.asked < kTooSoon) return lane.timer.arm_after(options.backoff_least);
      return poll(lane);
    }
    const auto relayed = parse_request_field(response.headers.get(kRequestField));
    if (!relayed) return fail(lane, {Error::failed, "the relay's answer is no request"});
    tell("request", relayed->id);
    Request request;
    request.method = relayed->method;
    request.target = relayed->target;
    for (const auto& [name, value] : response.headers.all())
      if (is_passed_on(response.headers, name)) request.headers.add(name, value);
    request.body = std::move(response.body);
    const auto once = std::make_shared<Once>();
    once->done = [this, &lane, id = relayed->id, still = std::weak_ptr<bool>(alive)](Response r) {
      if (!still.expired()) answered(lane, id, std::move(r));
    };
    if (!options.combined) poll(lane);
    const auto handler = handle;  // which may destroy us
    (*handler)(std::move(request), [once](Response r) { once->answer(std::move(r)); });
  }

  void answered(Lane& lane, const std::string& id, Response response) {
    Request request;
    request.method = "POST";
    request.target = "/answer/" + id;
    if (response.status != 200)
      request.headers.add(std::string(kStatusField), std::to_string(response.status));
    for (auto& [name, value] : response.headers.all())
      if (is_passed_on(response.headers, name)) request.headers.add(name, value);
    request.body = std::move(response.body);
    if (!options.combined) return bring(id, std::move(request), 1);
    lane.answer = std::move(request);
    lane.answer_id = id;
    poll(lane);
  }

  // An answer in an exchange of its own.
  void bring(const std::string& id, Request request, uint32_t attempt) {
    Request sent = request;
    authorize(sent);
    client.request(std::move(sent), [this, id, attempt, request = std::move(request)](
                                        net::Result<Response> r, const Timing&) {
      if (r && r->status < 500) {
        tell(r->status == 409   ? "duplicate"
             : r->status == 410 ? "late"
             : r->status >= 400 ? "unknown"
                                : "answered",
             id);
        return;
      }
      if (attempt >= options.answer_tries) return tell("given_up", id);
      bring(id, request, attempt + 1);
    });
  }

  void fail(Lane& lane, net::Status status) {
    const std::string id = lane.answer ? lane.answer_id : "";
    lane.backoff = lane.backoff == net::Duration::zero()
                       ? options.backoff_least
                       : std::min(lane.backoff * 2, options.backoff_most);
    const auto wait = net::Duration(static_cast<int64_t>(
        host.random().between(0, static_cast<uint64_t>(lane.backoff.count()))));
    lane.timer.arm_after(wait);
    tell("failed", id, std::move(status), wait);
    if (lane.answer && ++lane.tries >= options.answer_tries) {
      lane.answer.reset();
      lane.tries = 0;
      tell("given_up", id);
    }
  }

  net::Host& host;
  const PollAgentOptions options;
  std::shared_ptr<const Handle> handle;
  std::function<void(const PollAgentEvent&)> event;
  std::shared_ptr<bool> alive = std::make_shared<bool>(true);
  std::vector<std::unique_ptr<Lane>> lanes;
  Client client;
};

PollAgent::PollAgent(net::Host& host, PollAgentOptions options,
                     std::unique_ptr<net::Connector> connector, Handle handle)
    : impl_(std::make_unique<Impl>(host, std::move(options), std::move(connector),
                                   std::move(handle))) {}
PollAgent::~PollAgent() = default;
void PollAgent::start() { impl_->start(); }
void PollAgent::on_event(std::function<void(const PollAgentEvent&)> callback) {
  impl_->event = std::move(callback);
}

}  // namespace culvert::http
