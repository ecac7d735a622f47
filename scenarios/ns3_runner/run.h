// One run of a plan, from its start to its end, in virtual time: services, timeline, the condition
// that ends it. Leaves a log. Stands on network.h and model/services.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "model/services/service.h"
#include "scenarios/ns3_runner/network.h"
#include "scenarios/ns3_runner/plan.h"
#include "scenarios/ns3_runner/run_log.h"

namespace culvert::runner {

enum class Why { until, budget, failed };
std::string_view to_string(Why why);

struct RunResult {
  Why why = Why::failed;
  std::string detail;  // a sentence, if it failed
  std::string log;     // JSON lines
};

// Makes what a command line is from; services::make, unless a test has its own.
using ServiceMaker = std::function<net::Result<std::unique_ptr<services::Service>>(
    net::Host& host, const std::vector<std::string>& argv)>;

class Run {
 public:
  Run(const RunPlan& plan, std::string capture_folder, ServiceMaker make);
  ~Run();  // leaves ns-3 as if nothing had been (Simulator::Destroy)

  // Once.
  RunResult execute();

 private:
  net::Status prepare();
  void start();
  void schedule(const StepPlan& step);
  void carry_out(const StepPlan& step);
  net::Status act(const StepPlan& step);
  net::Status act_on_service(const StepPlan& step);
  net::Status act_on_nat(const StepPlan& step);
  net::Status act_on_link(const StepPlan& step);
  net::Status start_service(const ServicePlan& service);
  void fail(const std::string& detail);

  const RunPlan& plan_;
  std::string capture_folder_;
  ServiceMaker make_;
  RunLog log_;
  std::unique_ptr<net::EventLog> own_;  // of "-"
  std::unique_ptr<Network> network_;
  // By node and name, for those that run; made anew at every start.
  std::map<std::pair<std::string, std::string>, std::unique_ptr<services::Service>> services_;
  RunResult result_;
};

// The log of a run that could not write its own, because its process died.
std::string log_of_dead_run(const RunPlan& plan, const std::string& detail);

}  // namespace culvert::runner
