#include "scenarios/ns3_runner/run.h"

#include <ns3/rng-seed-manager.h>
#include <ns3/simulator.h>

#include <cstdlib>

#include "model/ns3/convert.h"

namespace culvert::runner {
namespace {

void write_start(net::EventLog& log, const RunPlan& plan) {
  log.write(
      "run", "start",
      {{"id", plan.id}, {"scenario", plan.scenario}, {"seed", plan.seed}, {"world", plan.world}});
}

void write_end(net::EventLog& log, Why why, const std::string& detail) {
  log.write("run", "end", {{"why", to_string(why)}, {"detail", detail}});
}

// "delay_ms=20.5": the name and a number that is not negative.
bool setting(const std::string& text, std::string& name, double& value) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos) return false;
  name = text.substr(0, equals);
  char* end = nullptr;
  value = std::strtod(text.c_str() + equals + 1, &end);
  return *end == '\0' && end != text.c_str() + equals + 1 && value >= 0 && value < 1e12;
}

std::vector<std::string> words(const std::string& text) {
  std::vector<std::string> out;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find(' ', at), text.size());
    if (end > at) out.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return out;
}

}  // namespace

std::string_view to_string(Why why) {
  return why == Why::until ? "until" : why == Why::budget ? "budget" : "failed";
}

std::string log_of_dead_run(const RunPlan& plan, const std::string& detail) {
  std::string text;
  net::EventLog log(
      "-", [] { return net::Time(0); },
      [&](std::string_view line) { text.append(line).append("\n"); });
  write_start(log, plan);
  write_end(log, Why::failed, detail);
  return text;
}

Run::Run(const RunPlan& plan, std::string capture_folder, ServiceMaker make)
    : plan_(plan),
      capture_folder_(std::move(capture_folder)),
      make_(std::move(make)),
      log_([] { return ns3_world::from_ns3(ns3::Simulator::Now()); }),
      own_(log_.open("-", 0)) {
  // Whatever of ns-3 draws numbers itself draws this run's. Its seed has 32 bits and is not 0.
  const uint64_t seed = net::derive_seed(plan.rng_seed, "ns-3");
  ns3::RngSeedManager::SetSeed(static_cast<uint32_t>(seed % 0xfffffffe) + 1);
  ns3::RngSeedManager::SetRun(seed >> 32);
}

Run::~Run() {
  services_.clear();
  network_.reset();
  ns3::Simulator::Destroy();
}

RunResult Run::execute() {
  write_start(*own_, plan_);
  result_.why = Why::budget;
  if (net::Status status = prepare(); !status) {
    result_.why = Why::failed;
    result_.detail = status.detail;
  } else {
    ns3::Simulator::Run();
    network_->log_counters();
  }
  // After whatever else is written in the last moment.
  write_end(*log_.open("-", ~size_t{0}), result_.why, result_.detail);
  result_.log = log_.take();
  return std::move(result_);
}

net::Status Run::prepare() {
  net::Result<std::unique_ptr<Network>> network = Network::build(plan_, log_, capture_folder_);
  if (!network) return network.status();
  network_ = std::move(*network);
  if (plan_.until)
    log_.watch(*plan_.until, [this] {
      if (result_.why == Why::budget) result_.why = Why::until;
      ns3::Simulator::Stop(ns3_world::to_ns3(plan_.linger));
    });
  ns3::Simulator::Schedule(ns3_world::to_ns3(network_->ready_at()), &Run::start, this);
  for (const StepPlan& step : plan_.timeline) {
    if (!step.when)
      schedule(step);
    else
      log_.watch(*step.when, [this, &step] { schedule(step); });
  }
  ns3::Simulator::Stop(ns3_world::to_ns3(plan_.budget));
  return {};
}

void Run::start() {
  for (const ServicePlan& service : plan_.services)
    if (net::Status status = start_service(service); !status)
      return fail("service '" + service.name + "' on '" + service.node + "': " + status.detail);
}

net::Status Run::start_service(const ServicePlan& service) {
  auto& running = services_[{service.node, service.name}];
  if (running) return {net::Error::in_use, "it runs already"};
  net::Result<std::unique_ptr<services::Service>> made =
      make_(*network_->host(service.node), service.argv);
  if (!made) return made.status();
  running = std::move(*made);
  return running->start();
}

void Run::fail(const std::string& detail) {
  if (result_.why == Why::failed) return;
  result_.why = Why::failed;
  result_.detail = detail;
  ns3::Simulator::Stop();
}

void Run::schedule(const StepPlan& step) {
  ns3::Simulator::Schedule(ns3_world::to_ns3(step.delay), [this, &step] { carry_out(step); });
}

void Run::carry_out(const StepPlan& step) {
  if (result_.why == Why::failed) return;
  std::string to = step.link.empty() ? step.node : step.link;
  if (!step.service.empty()) to += '/' + step.service;
  own_->write("run", "step", {{"to", to}, {"do", step.action}});
  if (net::Status status = act(step); !status)
    fail("step '" + step.action + "' of " + to + ": " + status.detail);
}

net::Status Run::act(const StepPlan& step) {
  if (!step.link.empty()) return act_on_link(step);
  return step.service.empty() ? act_on_nat(step) : act_on_service(step);
}

net::Status Run::act_on_service(const StepPlan& step) {
  auto& running = services_[{step.node, step.service}];
  if (step.action == "start") {
    for (const ServicePlan& service : plan_.services)
      if (service.node == step.node && service.name == step.service) return start_service(service);
  }
  if (!running) return {net::Error::invalid, "the service does not run"};
  if (step.action == "kill" || step.action == "stop") {
    // In this world a process that dies and one that ends leave the same: closed sockets.
    running.reset();
    return {};
  }
  return running->command(step.action);
}

net::Status Run::act_on_nat(const StepPlan& step) {
  ns3_world::NatRouter* nat = network_->nat(step.node);
  const std::vector<std::string> parts = words(step.action);
  if (parts.size() == 1 && parts[0] == "reboot") return nat->Reboot(), net::Status();
  if (parts.size() == 1 && parts[0] == "rebind") return nat->Rebind(), net::Status();
  if (parts.size() == 2 && parts[0] == "address")
    return network_->change_address(step.node, parts[1]);
  return {net::Error::invalid, "a NAT takes 'reboot', 'rebind' and 'address ADDRESS,...'"};
}

net::Status Run::act_on_link(const StepPlan& step) {
  Link* link = network_->link(step.link);
  const std::vector<std::string> parts = words(step.action);
  const net::Status unknown(
      net::Error::invalid,
      "a link takes 'cut', 'mend', 'count', 'watch' and 'set NAME=NUMBER ...' with "
      "delay_ms, jitter_ms, loss (0 to 1) and rate_mbps");
  if (parts.size() == 1 && parts[0] == "count") return network_->count(step.link), net::Status();
  if (parts.size() == 1 && parts[0] == "watch") return network_->watch(step.link), net::Status();
  if (parts.size() == 1 && (parts[0] == "cut" || parts[0] == "mend")) {
    link->cut = parts[0] == "cut";
    return {};
  }
  if (parts.size() < 2 || parts[0] != "set") return unknown;
  LinkOptions options = link->options;
  for (size_t i = 1; i < parts.size(); ++i) {
    std::string name;
    double value = 0;
    if (!setting(parts[i], name, value)) return unknown;
    if (name == "delay_ms")
      options.delay = net::from_ms(value);
    else if (name == "jitter_ms")
      options.jitter = net::from_ms(value);
    else if (name == "rate_mbps")
      options.rate_mbps = value;
    else if (name == "loss" && value <= 1)
      options.loss = value;
    else
      return unknown;
  }
  link->options = options;
  return {};
}

}  // namespace culvert::runner
