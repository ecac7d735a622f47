#include "model/http/poll_relay.h"

#include <algorithm>
#include <boost/unordered/unordered_flat_map.hpp>
#include <charconv>
#include <deque>
#include <list>

#include "model/http/poll_wire.h"
#include "model/http/text.h"

namespace culvert::http {
namespace {

constexpr size_t kRemembered = 256;  // ours: finished requests per device, to know late answers

enum class Fate : uint8_t { answered, late };

Response plain(int status, std::string_view text = {}) {
  Response response;
  response.status = status;
  if (text.empty()) return response;
  response.headers.add("Content-Type", "text/plain");
  response.body.assign(text.begin(), text.end());
  response.body.push_back('\n');
  return response;
}

Response unauthorized() {
  Response response = plain(401, "the Bearer token is missing or wrong");
  response.headers.add("WWW-Authenticate", "Bearer");
  return response;
}

Response busy(std::string_view text) {
  Response response = plain(503, text);
  response.headers.add("Retry-After", "1");
  return response;
}

}  // namespace

struct PollRelay::Impl {
  struct Device;
  struct Poll {
    Poll(net::Host& host, std::function<void()> expire) : timer(host.timers(), std::move(expire)) {}
    std::shared_ptr<Responder> responder;
    std::string result;  // of the answer that it came with
    net::Timer timer;
  };
  struct Pending {
    Pending(net::Host& host, std::function<void()> expire)
        : timer(host.timers(), std::move(expire)) {}
    uint64_t number = 0;
    Device* device = nullptr;
    Request request;
    std::shared_ptr<Responder> requester;
    net::Time came{0};
    bool handed = false;
    net::Timer timer;
  };
  struct Device {
    std::string name, token;
    std::list<std::unique_ptr<Poll>> polls;  // the oldest first
    std::deque<uint64_t> queue;
    size_t queued_bytes = 0, in_flight = 0;
    std::deque<std::pair<uint64_t, Fate>> past;
  };

  Impl(net::Host& h, PollRelayOptions o) : host(h), options(std::move(o)) {
    uint8_t random[4];
    host.secure_random(random);
    for (const uint8_t byte : random) {
      epoch += "0123456789abcdef"[byte >> 4];
      epoch += "0123456789abcdef"[byte & 15];
    }
    for (const auto& [name, token] : options.devices) {
      auto device = std::make_unique<Device>();
      device->name = name;
      device->token = token;
      devices.push_back(std::move(device));
    }
  }

  Device* find(std::string_view name) {
    for (const auto& device : devices)
      if (device->name == name) return device.get();
    return nullptr;
  }

  // The epoch tells a request of an earlier life of the relay from one of this.
  std::string id_of(uint64_t number) const {
    char digits[16];
    const auto end = std::to_chars(digits, digits + sizeof digits, number, 16);
    return epoch + "-" + std::string(digits, end.ptr);
  }
  uint64_t number_of(std::string_view id) const {  // 0: none of ours
    if (id.size() < 10 || id.substr(0, 8) != epoch || id[8] != '-') return 0;
    uint64_t number = 0;
    const auto end = std::from_chars(id.data() + 9, id.data() + id.size(), number, 16);
    return end.ec == std::errc() && end.ptr == id.data() + id.size() ? number : 0;
  }

  void tell(std::string_view what, std::string_view device, std::string_view id, int status = 0,
            net::Duration took = {}) {
    if (event) event({what, device, id, status, took});
  }

  // --- requesters -------------------------------------------------------------------------------

  void ask(std::string_view target, Request request, std::shared_ptr<Responder> responder) {
    ++counters.requests;
    const size_t end = target.find_first_of("/?");
    const std::string_view name = target.substr(0, end);
    const auto refuse = [&](Response response) {
      ++counters.refused;
      tell("refused", name, {}, response.status);
      responder->respond(std::move(response));
    };
    if (!options.requester_token.empty() && !carries(request.headers, options.requester_token))
      return refuse(unauthorized());
    Device* device = find(name);
    if (!device) return refuse(plain(404, "there is no such device"));
    const bool waits = device->polls.empty();
    if (device->in_flight >= options.in_flight ||
        (waits && device->queue.size() >= options.queue) ||
        (waits && device->queued_bytes + request.body.size() > options.queued_bytes))
      return refuse(busy("too many requests wait for this device"));

    std::string rest(end == std::string_view::npos ? std::string_view("/") : target.substr(end));
    if (rest[0] == '?') rest.insert(0, "/");
    const uint64_t number = ++numbers;
    auto pending = std::make_unique<Pending>(host, [this, number] { expire(number); });
    pending->number = number;
    pending->device = device;
    pending->came = host.now();
    pending->timer.arm_after(deadline_of(request));
    pending->request = std::move(request);
    pending->request.target = std::move(rest);
    pending->requester = std::move(responder);
    pending->requester->on_gone([this, number, still = std::weak_ptr<bool>(alive)] {
      if (!still.expired()) requester_gone(number);
    });
    device->queue.push_back(number);
    device->queued_bytes += pending->request.body.size();
    tell("requested", device->name, id_of(number));
    all.emplace(number, std::move(pending));
    deliver(*device);
  }

  net::Duration deadline_of(const Request& request) const {
    const std::string_view text = request.headers.get(kDeadlineField);
    uint32_t ms = 0;
    const auto end = std::from_chars(text.data(), text.data() + text.size(), ms);
    if (text.empty() || end.ec != std::errc() || end.ptr != text.data() + text.size())
      return options.deadline;
    return std::min(options.deadline, net::Duration(std::chrono::milliseconds(ms)));
  }

  void expire(uint64_t number) {
    const auto pending = take(number, Fate::late);
    if (!pending) return;
    ++counters.timed_out;
    tell("timed_out", pending->device->name, id_of(number), 504, host.now() - pending->came);
    pending->requester->respond(plain(504, "the device did not answer in time"));
  }

  void requester_gone(uint64_t number) {
    const auto pending = take(number, Fate::late);
    if (!pending) return;
    ++counters.gone;
    tell("gone", pending->device->name, id_of(number));
  }

  // Out of every list; its number is remembered with what became of it.
  std::unique_ptr<Pending> take(uint64_t number, Fate fate) {
    const auto at = all.find(number);
    if (at == all.end()) return nullptr;
    std::unique_ptr<Pending> pending = std::move(at->second);
    all.erase(at);
    Device& device = *pending->device;
    if (pending->handed) {
      --device.in_flight;
      device.past.emplace_back(number, fate);
      if (device.past.size() > kRemembered) device.past.pop_front();
    } else {
      device.queue.erase(std::find(device.queue.begin(), device.queue.end(), number));
      device.queued_bytes -= pending->request.body.size();
    }
    return pending;
  }

  // --- devices ----------------------------------------------------------------------------------

  void poll(Device& device, std::shared_ptr<Responder> responder, std::string result) {
    ++counters.polls;
    tell("poll", device.name, {});
    device.polls.push_back(nullptr);
    const auto at = std::prev(device.polls.end());
    *at = std::make_unique<Poll>(host, [this, &device, at] { send_home(device, at); });
    (*at)->responder = std::move(responder);
    (*at)->result = std::move(result);
    (*at)->timer.arm_after(options.poll_patience);
    const std::weak_ptr<Responder> which = (*at)->responder;
    (*at)->responder->on_gone([&device, which, still = std::weak_ptr<bool>(alive)] {
      if (still.expired()) return;
      device.polls.remove_if([&](const auto& poll) { return poll->responder == which.lock(); });
    });
    deliver(device);
    while (device.polls.size() > options.polls) send_home(device, device.polls.begin());
  }

  void send_home(Device& device, std::list<std::unique_ptr<Poll>>::iterator at) {
    const std::unique_ptr<Poll> poll = std::move(*at);
    device.polls.erase(at);
    Response response = plain(204);
    if (!poll->result.empty()) response.headers.add(std::string(kResultField), poll->result);
    poll->responder->respond(std::move(response));
  }

  void deliver(Device& device) {
    while (!device.queue.empty() && !device.polls.empty()) {
      const std::unique_ptr<Poll> poll = std::move(device.polls.front());
      device.polls.pop_front();
      const auto at = all.find(device.queue.front());
      device.queue.pop_front();
      Pending& pending = *at->second;
      device.queued_bytes -= pending.request.body.size();
      ++device.in_flight;
      pending.handed = true;
      ++counters.handed;
      const std::string id = id_of(pending.number);
      Response response;
      response.headers.add(std::string(kRequestField),
                           id + " " + pending.request.method + " " + pending.request.target);
      if (!poll->result.empty()) response.headers.add(std::string(kResultField), poll->result);
      for (const auto& [name, value] : pending.request.headers.all())
        if (is_passed_on(pending.request.headers, name)) response.headers.add(name, value);
      response.body = std::move(pending.request.body);
      pending.request = {};
      tell("handed", device.name, id, 0, host.now() - pending.came);
      poll->responder->respond(std::move(response));
    }
  }

  void answer(std::string_view id, Request request, std::shared_ptr<Responder> responder) {
    const uint64_t number = number_of(id);
    const std::string_view polls_for = trim(request.headers.get(kPollField));
    const auto at = all.find(number);
    Device* device = at != all.end() && at->second->handed ? at->second->device : nullptr;
    Device* speaker = polls_for.empty() ? nullptr : find(polls_for);
    const bool open = device != nullptr;
    if (!open) {
      for (const auto& one : devices)
        for (const auto& past : one->past)
          if (past.first == number) device = one.get();
    }
    if (!device) device = speaker;
    // Whoever cannot show a token of the device learns nothing about identifiers either.
    if (!device || (!polls_for.empty() && speaker != device) ||
        !carries(request.headers, device->token)) {
      tell("denied", polls_for, id, 401);
      return responder->respond(unauthorized());
    }
    const std::string result = open ? settle(number, request) : fate_of(*device, number, id);
    if (speaker) return poll(*speaker, std::move(responder), result);
    responder->respond(result.empty()        ? plain(204)
                       : result == "unknown" ? plain(404, "there is no such request")
                       : result == "late"    ? plain(410, "nobody waits for this answer any more")
                                             : plain(409, "this request was answered already"));
  }

  // The answer of a request that waits for it. Empty: accepted.
  std::string settle(uint64_t number, Request& request) {
    const auto pending = take(number, Fate::answered);
    Response response;
    const std::string_view status = trim(request.headers.get(kStatusField));
    if (!status.empty()) {
      const auto end =
          std::from_chars(status.data(), status.data() + status.size(), response.status);
      if (end.ec != std::errc() || end.ptr != status.data() + status.size() ||
          response.status < 200 || response.status > 599)
        response.status = 502;
    }
    for (const auto& [name, value] : request.headers.all())
      if (is_passed_on(request.headers, name)) response.headers.add(name, value);
    response.body = std::move(request.body);
    ++counters.answered;
    tell("answered", pending->device->name, id_of(number), response.status,
         host.now() - pending->came);
    pending->requester->respond(std::move(response));
    return {};
  }

  std::string fate_of(Device& device, uint64_t number, std::string_view id) {
    std::string_view fate = "unknown";
    for (const auto& past : device.past)
      if (past.first == number) fate = past.second == Fate::late ? "late" : "duplicate";
    ++(fate == "unknown" ? counters.unknown : fate == "late" ? counters.late : counters.duplicates);
    tell(fate, device.name, id);
    return std::string(fate);
  }

  void handle(Request request, std::shared_ptr<Responder> responder) {
    const std::string target = request.target;
    const std::string_view view = target;
    const auto after = [&](std::string_view prefix) {
      return view.substr(0, prefix.size()) == prefix ? view.substr(prefix.size())
                                                     : std::string_view();
    };
    if (const auto rest = after("/to/"); !rest.empty())
      return ask(rest, std::move(request), std::move(responder));
    if (const auto name = after("/poll/"); !name.empty()) {
      Device* device = find(name);
      if (!device || !carries(request.headers, device->token)) {
        tell("denied", name, {}, 401);
        return responder->respond(unauthorized());
      }
      if (request.method == "GET") return poll(*device, std::move(responder), {});
    } else if (const auto id = after("/answer/"); !id.empty()) {
      if (request.method == "POST") return answer(id, std::move(request), std::move(responder));
    } else {
      return responder->respond(plain(404, "/to/DEVICE/path, /poll/DEVICE or /answer/ID"));
    }
    Response response = plain(405, "this resource takes another method");
    response.headers.add("Allow", after("/poll/").empty() ? "POST" : "GET");
    responder->respond(std::move(response));
  }

  net::Host& host;
  const PollRelayOptions options;
  std::string epoch;
  std::vector<std::unique_ptr<Device>> devices;
  boost::unordered_flat_map<uint64_t, std::unique_ptr<Pending>> all;
  uint64_t numbers = 0;
  PollRelayCounters counters;
  std::function<void(const PollRelayEvent&)> event;
  std::shared_ptr<bool> alive = std::make_shared<bool>(true);
};

PollRelay::PollRelay(net::Host& host, PollRelayOptions options)
    : impl_(std::make_unique<Impl>(host, std::move(options))) {}

PollRelay::~PollRelay() {
  for (const auto& device : impl_->devices) {
    for (const auto& poll : device->polls) poll->responder->respond(plain(503));
    device->polls.clear();
  }
  for (const auto& [number, pending] : impl_->all) pending->requester->respond(plain(503));
}

void PollRelay::handle(Request request, std::shared_ptr<Responder> responder) {
  impl_->handle(std::move(request), std::move(responder));
}
void PollRelay::on_event(std::function<void(const PollRelayEvent&)> callback) {
  impl_->event = std::move(callback);
}
const PollRelayCounters& PollRelay::counters() const { return impl_->counters; }

}  // namespace culvert::http
