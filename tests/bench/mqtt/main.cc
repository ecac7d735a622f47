// bench-mqtt: load for an MQTT broker on this machine's loopback; one JSON object a run.
// tests/bench/mqtt.py drives it; docs/figures.md explains what comes out.
//   bench-mqtt pairs|fan-in|fan-out|connect|memory|sink [--port N] [--qos N] [--publishers N]
//     [--subscribers N] [--window N] [--payload BYTES] [--rate PER_S] [--seconds S] [--warm-up S]
//     [--clients N] [--concurrency N] [--pid BROKER] [--v311] [--durable] [--ack-only]
#include <csignal>
#include <cstdlib>
#include <functional>
#include <map>

#include "tests/bench/mqtt/options.h"
#include "tests/bench/mqtt/poll.h"

int main(int argc, char** argv) {
  using namespace culvert::bench;
  std::signal(SIGPIPE, SIG_IGN);
  Options o;
  const auto number = [](uint32_t& into) {
    return [&into](const char* text) { into = static_cast<uint32_t>(std::atoi(text)); };
  };
  const auto real = [](double& into) {
    return [&into](const char* text) { into = std::atof(text); };
  };
  const std::map<std::string, std::function<void(const char*)>> values = {
      {"--port", [&](const char* t) { o.port = static_cast<uint16_t>(std::atoi(t)); }},
      {"--qos", [&](const char* t) { o.qos = std::atoi(t); }},
      {"--pid", [&](const char* t) { o.pid = std::atoi(t); }},
      {"--publishers", number(o.publishers)},
      {"--subscribers", number(o.subscribers)},
      {"--window", number(o.window)},
      {"--payload", number(o.payload)},
      {"--clients", number(o.clients)},
      {"--concurrency", number(o.concurrency)},
      {"--rate", real(o.rate)},
      {"--seconds", real(o.seconds)},
      {"--warm-up", real(o.warm_up)}};
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const auto found = values.find(word);
    if (found != values.end() && i + 1 < argc)
      found->second(argv[++i]);
    else if (word == "--v311")
      o.v5 = false;
    else if (word == "--ack-only")
      o.ack_only = true;
    else if (word == "--durable")
      o.durable = true;
    else if (o.what.empty() && word[0] != '-')
      o.what = word;
    else
      fail("what is '" + word + "'?");
  }
  const std::map<std::string, int (*)(const Options&)> runs = {
      {"pairs", run_load},      {"fan-in", run_load},   {"fan-out", run_load},
      {"connect", run_connect}, {"memory", run_memory}, {"sink", run_sink}};
  const auto run = runs.find(o.what);
  if (run == runs.end()) fail("the first word is pairs, fan-in, fan-out, connect, memory or sink");
  return run->second(o);
}
