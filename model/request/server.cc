#include "model/request/server.h"

#include <algorithm>

#include "model/mqtt/topic.h"

namespace culvert::request {
namespace {

constexpr std::string_view kService = "request";

// What a sequence's news do to the sum of all requesters.
void add(SequenceCounters& sum, SequenceTracker::What what, uint64_t gap_change) {
  using What = SequenceTracker::What;
  if (what == What::fresh || what == What::gap || what == What::restart) ++sum.fresh;
  if (what == What::gap) sum.gaps += gap_change;
  if (what == What::duplicate) ++sum.duplicates;
  if (what == What::too_old) ++sum.too_old;
  if (what == What::restart) ++sum.restarts;
  if (what == What::reordered) {
    ++sum.reordered;
    if (sum.gaps > 0) --sum.gaps;
  }
}

}  // namespace

// A request that a handler has, with copies of what its answer needs.
struct Server::Task {
  std::string reply_to;
  Sequence sequence;
  bool plain = false;  // wire.h
  std::optional<net::Buffer> correlation;
  net::Time deadline{0};
  mqtt::Version version = mqtt::Version::v5;
  uint8_t qos = 0;
  uint64_t token = 0;
};

Server::Server(net::Host& host, Inbox& inbox, Router router, ServerOptions options)
    : host_(host),
      inbox_(inbox),
      router_(std::move(router)),
      options_(std::move(options)),
      cache_(options_.cached_answers, options_.cached_bytes, options_.cached_for),
      patience_(host.timers(), [this] {
        running_ = sending_ = 0;
        check_drained();
      }) {}

Server::~Server() = default;

void Server::start(std::function<void(net::Status)> ready) {
  std::string filter = options_.prefix.empty() ? "#" : options_.prefix + "/#";
  if (!options_.group.empty()) filter = "$share/" + options_.group + "/" + filter;
  if (!mqtt::valid_topic_filter(filter)) {
    host_.post([ready = std::move(ready), filter] {
      ready({net::Error::invalid, "'" + filter + "' is no topic filter"});
    });
    return;
  }
  mqtt::SubscriptionOptions subscription;
  subscription.qos = options_.qos;
  subscription.retain_handling = 2;  // a retained request is nobody's question any more
  user_ = inbox_.attach(
      filter, subscription, [this](const mqtt::IncomingMessage& message) { receive(message); },
      [this, ready = std::move(ready), filter](const mqtt::SubscribeOutcome& outcome) {
        net::Status status = outcome.status;
        if (status && !outcome.reasons.empty() && mqtt::is_error(outcome.reasons.front()))
          status = {net::Error::not_permitted,
                    "the broker refused '" + filter +
                        "': " + std::string(mqtt::to_string(outcome.reasons.front()))};
        if (status) host_.log().write(kService, "serving", {{"filter", filter}});
        if (ready) ready(status);
      });
}

void Server::receive(const mqtt::IncomingMessage& message) {
  const mqtt::Publish& publish = message.publish;
  const auto frame = read_request(publish);
  const bool may_answer =
      frame && mqtt::valid_topic_name(frame->reply_to) && frame->reply_to.front() != '$' &&
      (options_.reply_prefix.empty() ||
       frame->reply_to.substr(0, options_.reply_prefix.size()) == options_.reply_prefix);
  if (!may_answer) {
    ++counters_.malformed;
    host_.log().write(
        kService, "refused",
        {{"topic", publish.topic},
         {"why", frame ? "the response topic is not the requester's" : frame.status().detail}});
    return end_of(message.token);
  }
  const net::Time now = host_.now();
  net::Duration left = options_.deadline;
  if (frame->deadline_ms > 0) left = std::chrono::milliseconds(frame->deadline_ms);
  // The broker has counted down what the message waited there; the property was written before.
  if (publish.properties.expiry_s)
    left = std::min<net::Duration>(left, std::chrono::seconds(*publish.properties.expiry_s));

  auto task = std::make_shared<Task>();
  task->reply_to = frame->reply_to;
  task->sequence = frame->sequence;
  task->plain = frame->plain;
  if (frame->correlation)
    task->correlation.emplace(frame->correlation->begin(), frame->correlation->end());
  task->deadline = now + left;
  task->version =
      frame->plain || publish.properties.correlation_data ? mqtt::Version::v5 : mqtt::Version::v311;
  task->qos = publish.qos;
  task->token = message.token;

  if (!task->plain) {  // without a number nobody can tell a repetition from a new question
    follow(frame->reply_to, frame->sequence);
    const auto found = cache_.begin(frame->reply_to, frame->sequence, now);
    if (found.what != AnswerCache::What::fresh) {
      ++counters_.repeated;
      if (found.what == AnswerCache::What::running) return end_of(message.token);
      return send(*task, *found.response);
    }
  }
  if (left <= net::Duration(0)) {
    ++counters_.late;
    cache_.forget(frame->reply_to, frame->sequence);
    return end_of(message.token);
  }
  if (running_ >= options_.running) {
    ++counters_.busy;
    cache_.forget(frame->reply_to, frame->sequence);
    return send(*task, Response::problem(status::unavailable, "busy: try again later"));
  }

  last_deadline_ = std::max(last_deadline_, task->deadline);
  ++running_;
  ++counters_.requests;

  Request request;
  request.path = publish.topic;
  if (!options_.prefix.empty()) {
    request.path.remove_prefix(std::min(request.path.size(), options_.prefix.size()));
    if (!request.path.empty()) request.path.remove_prefix(1);  // the slash
  }
  request.method = frame->method;
  request.content_type = frame->content_type;
  request.body = frame->body;
  request.sequence = frame->sequence;
  request.attempt = frame->attempt;
  request.deadline = task->deadline;
  request.reply_to = frame->reply_to;
  router_.handle(request,
                 Reply([this, task, alive = std::weak_ptr<bool>(alive_)](Response response) {
                   if (!alive.expired()) answer(task, std::move(response));
                 }));
}

void Server::answer(const std::shared_ptr<Task>& task, Response response) {
  if (running_ > 0) --running_;
  const net::Time now = host_.now();
  const bool late = now >= task->deadline;  // the requester has given up
  if (late) {
    ++counters_.late;
    end_of(task->token);
  } else {
    send(*task, response);
  }
  if (!task->plain) cache_.answered(task->reply_to, task->sequence, std::move(response), now);
  check_drained();
}

void Server::send(const Task& task, const Response& response) {
  const uint64_t token = task.token;
  ResponseFrame frame;
  frame.sequence = task.sequence;
  frame.plain = task.plain;
  if (task.correlation) frame.correlation = *task.correlation;
  frame.status = response.status;
  frame.content_type = response.content_type;
  frame.body = response.body;
  auto message = to_message(frame, task.version, task.reply_to, task.qos);
  if (!message) {
    host_.log().write(kService, "not_answered", {{"why", message.status().to_string()}});
    return end_of(token);
  }
  ++sending_;
  const auto status = inbox_.client().publish(
      std::move(*message),
      [this, token, alive = std::weak_ptr<bool>(alive_)](const mqtt::PublishOutcome& outcome) {
        if (alive.expired()) return;
        if (sending_ > 0) --sending_;
        if (outcome.status) ++counters_.answered;
        end_of(token);
        check_drained();
      });
  if (status) return;
  --sending_;
  host_.log().write(kService, "not_answered", {{"why", status.to_string()}});
  end_of(token);
}

void Server::end_of(uint64_t token) {
  if (token != 0) inbox_.client().acknowledge(token);
}

void Server::follow(std::string_view reply_to, const Sequence& sequence) {
  auto found = requester_index_.find(reply_to);
  if (found == requester_index_.end()) {
    if (requesters_.size() >= options_.requesters && !requesters_.empty()) {
      requester_index_.erase(requesters_.front().reply_to);
      requesters_.pop_front();
    }
    const auto at = requesters_.insert(requesters_.end(), Requester{std::string(reply_to), {}});
    found = requester_index_.emplace(at->reply_to, at).first;
  } else {
    requesters_.splice(requesters_.end(), requesters_, found->second);
  }
  SequenceTracker& tracker = found->second->tracker;
  const uint64_t gaps = tracker.counters().gaps;
  const auto what = tracker.note(sequence);
  add(counters_.sequence, what, tracker.counters().gaps - gaps);
}

void Server::drain(std::function<void()> done) {
  user_.reset();
  drained_ = std::move(done);
  // A requester's own deadline may be weeks away: who wants to stop does not wait for those.
  const net::Time now = host_.now();
  patience_.arm_at(std::clamp(last_deadline_, now, now + options_.deadline));
  host_.post([this, alive = std::weak_ptr<bool>(alive_)] {
    if (!alive.expired()) check_drained();
  });
}

void Server::check_drained() {
  if (!drained_ || running_ > 0 || sending_ > 0) return;
  patience_.cancel();
  const auto done = std::move(drained_);
  drained_ = {};
  done();
}

namespace {

struct Line {
  const char* name;
  uint64_t value;
};
std::vector<Line> lines_of(const Server& server) {
  const ServerCounters& c = server.counters();
  return {{"requests", c.requests},
          {"answered", c.answered},
          {"malformed", c.malformed},
          {"repeated", c.repeated},
          {"busy", c.busy},
          {"late", c.late},
          {"sequence_gaps", c.sequence.gaps},
          {"sequence_duplicates", c.sequence.duplicates},
          {"sequence_reordered", c.sequence.reordered},
          {"sequence_restarts", c.sequence.restarts}};
}

}  // namespace

Handler health(const Server& server) {
  return [&server](const Request&, Reply reply) {
    std::string text = "{\"running\":" + std::to_string(server.running());
    for (const Line& line : lines_of(server))
      text += ",\"" + std::string(line.name) + "\":" + std::to_string(line.value);
    reply(Response::json(text + "}"));
  };
}

Handler metrics(const Server& server) {
  return [&server](const Request&, Reply reply) {
    std::string text = "# TYPE culvert_requests_running gauge\nculvert_requests_running " +
                       std::to_string(server.running()) + "\n";
    for (const Line& line : lines_of(server)) {
      const std::string name = std::string("culvert_requests_") + line.name + "_total";
      text += "# TYPE " + name + " counter\n" + name + " " + std::to_string(line.value) + "\n";
    }
    Response response = Response::text(text);
    response.content_type = "text/plain; version=0.0.4";
    reply(std::move(response));
  };
}

}  // namespace culvert::request
