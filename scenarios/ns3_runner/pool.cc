#include "scenarios/ns3_runner/pool.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <filesystem>
#include <map>

namespace culvert::runner {
namespace {

// How a child says how its run went.
enum Exit : int { kUntil = 0, kFailed = 1, kBudget = 3, kCannotWrite = 4 };

// ^C and a kill end the children too: they go with their parent (PR_SET_PDEATHSIG).
constexpr int kParentGone = SIGKILL;

std::string log_file(const PoolOptions& options, const RunPlan& run) {
  return options.out + "/logs/" + run.id + ".jsonl";
}

bool write_file(const std::string& name, const std::string& text) {
  std::FILE* file = std::fopen(name.c_str(), "wb");
  if (!file) return false;
  const bool written = std::fwrite(text.data(), 1, text.size(), file) == text.size();
  return (std::fclose(file) == 0) && written;
}

std::string capture_folder(const PoolOptions& options, const RunPlan& run) {
  if (!options.capture) return {};
  const std::string folder = options.out + "/pcap/" + run.id;
  std::filesystem::create_directories(folder);
  return folder;
}

[[noreturn]] void run_child(const RunPlan& plan, const PoolOptions& options,
                            const ServiceMaker& make, pid_t parent) {
  prctl(PR_SET_PDEATHSIG, kParentGone);
  if (getppid() != parent) _exit(kFailed);
  alarm(options.limit_s);
  int code = kFailed;
  RunResult result;
  try {
    // Not destroyed: the process ends, and with it everything.
    auto* run = new Run(plan, capture_folder(options, plan), make);
    result = run->execute();
  } catch (const std::exception& problem) {
    result.detail = problem.what();
    result.log = log_of_dead_run(plan, result.detail);
  }
  if (result.why == Why::until) code = kUntil;
  if (result.why == Why::budget) code = kBudget;
  if (result.why == Why::failed)
    std::fprintf(stderr, "culvert-ns3: %s: %s\n", plan.id.c_str(), result.detail.c_str());
  if (!write_file(log_file(options, plan), result.log)) {
    std::fprintf(stderr, "culvert-ns3: %s: %s\n", log_file(options, plan).c_str(),
                 std::strerror(errno));
    code = kCannotWrite;
  }
  std::fflush(nullptr);  // captures are buffered
  _exit(code);
}

std::string death(int status, const PoolOptions& options) {
  const int signal = WTERMSIG(status);
  if (signal == SIGALRM)
    return "took more than " + std::to_string(options.limit_s) + " s of wall time";
  return std::string("its process died: ") + strsignal(signal);
}

}  // namespace

net::Result<size_t> run_all(const std::vector<const RunPlan*>& runs, const PoolOptions& options,
                            const ServiceMaker& make) {
  std::error_code error;
  std::filesystem::create_directories(options.out + "/logs", error);
  if (error) return {net::Error::failed, options.out + "/logs: " + error.message()};
  std::map<pid_t, const RunPlan*> under_way;
  size_t next = 0, done = 0, failed = 0;
  const pid_t self = getpid();
  while (done < runs.size()) {
    while (next < runs.size() && under_way.size() < options.jobs) {
      std::fflush(nullptr);  // or the child would print it again
      const pid_t child = fork();
      if (child == 0) run_child(*runs[next], options, make, self);
      if (child < 0) {
        if (!under_way.empty()) break;  // try again when one has ended
        return {net::Error::exhausted, std::string("no process: ") + std::strerror(errno)};
      }
      under_way[child] = runs[next++];
    }
    int status = 0;
    const pid_t child = waitpid(-1, &status, 0);
    if (child < 0 && errno == EINTR) continue;
    const auto found = under_way.find(child);
    if (found == under_way.end()) continue;
    const RunPlan& plan = *found->second;
    under_way.erase(found);
    std::string_view why = to_string(Why::failed);
    if (WIFEXITED(status) && WEXITSTATUS(status) == kUntil) why = to_string(Why::until);
    if (WIFEXITED(status) && WEXITSTATUS(status) == kBudget) why = to_string(Why::budget);
    if (WIFSIGNALED(status)) {
      const std::string detail = death(status, options);
      std::fprintf(stderr, "culvert-ns3: %s: %s\n", plan.id.c_str(), detail.c_str());
      write_file(log_file(options, plan), log_of_dead_run(plan, detail));
    }
    if (why == to_string(Why::failed)) ++failed;
    std::string line = "{\"done\": " + std::to_string(++done) +
                       ", \"of\": " + std::to_string(runs.size()) + ", \"id\": ";
    net::append_json_string(line, plan.id);
    line.append(", \"why\": \"").append(why).append("\"}");
    std::puts(line.c_str());
    std::fflush(stdout);
  }
  return failed;
}

}  // namespace culvert::runner
