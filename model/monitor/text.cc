#include "model/monitor/text.h"

#include <cstdio>

namespace culvert::monitor {
namespace {

std::string number(double value, int digits) {
  char text[48];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}
std::string ms(net::Duration d) { return number(net::to_ms(d), 3); }
std::string seconds(net::Duration d) { return number(static_cast<double>(d.count()) / 1e9, 9); }

// A stranger's words must not end the line or begin the performance data.
std::string one_line(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, 300))
    out += static_cast<uint8_t>(c) < 0x20 || c == 0x7f ? ' ' : c == '|' ? '/' : c;
  return out;
}

std::string label_value(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\n') {
      out += "\\n";
      continue;
    }
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

std::string limit(net::Duration d) { return d == net::Duration::zero() ? "" : ms(d); }

}  // namespace

std::string nagios_line(const History& history, const Thresholds& thresholds, net::Time now) {
  std::string line = "MQTT " + std::string(to_string(judge(history, thresholds, now))) + " - ";
  if (history.checks().empty()) return line + "no check was made";
  const CheckResult& last = history.checks().back();
  const auto& loopback = last.times[static_cast<size_t>(Phase::loopback)];
  if (last.ok) {
    line += "loopback " + ms(*loopback) + " ms, total " + ms(last.total) + " ms";
  } else {
    line += std::string(to_string(last.failed)) + " failed after " + ms(last.total) +
            " ms: " + one_line(last.status.to_string());
  }
  const double available = history.availability(now);
  if (history.checks().size() > 1)
    line += ", availability " + number(available * 100, 2) + " % of " +
            std::to_string(history.in_window(now)) + " checks";
  line += " | total=" + ms(last.total) + "ms;" + limit(thresholds.warning) + ";" +
          limit(thresholds.critical) + ";0";
  for (size_t i = 0; i < kPhases; ++i)
    if (last.times[i])
      line +=
          " " + std::string(to_string(static_cast<Phase>(i))) + "=" + ms(*last.times[i]) + "ms;;;0";
  line += " availability=" + number(available * 100, 2) + "%;;;0;100";
  return line;
}

std::string prometheus_text(const History& history, const Thresholds& thresholds, net::Time now,
                            std::string_view target) {
  const std::string base = "target=\"" + label_value(target) + "\"";
  std::string out;
  const auto family = [&](std::string_view name, std::string_view type, std::string_view help) {
    out += "# HELP culvert_monitor_" + std::string(name) + " " + std::string(help) + "\n";
    out += "# TYPE culvert_monitor_" + std::string(name) + " " + std::string(type) + "\n";
  };
  const auto sample = [&](std::string_view name, std::string_view more, const std::string& value) {
    out += "culvert_monitor_" + std::string(name) + "{" + base;
    if (!more.empty()) out += "," + std::string(more);
    out += "} " + value + "\n";
  };
  const auto phase_label = [](size_t i) {
    return "phase=\"" + std::string(to_string(static_cast<Phase>(i))) + "\"";
  };
  const CheckResult* last = history.checks().empty() ? nullptr : &history.checks().back();
  family("up", "gauge", "Whether the last check was good.");
  if (last) sample("up", {}, last->ok ? "1" : "0");
  family("state", "gauge", "0 ok, 1 warning, 2 critical, 3 unknown.");
  sample("state", {}, std::to_string(static_cast<int>(judge(history, thresholds, now))));
  family("checks_total", "counter", "Checks made.");
  sample("checks_total", "result=\"ok\"", std::to_string(history.good()));
  sample("checks_total", "result=\"failed\"", std::to_string(history.bad()));
  family("failures_total", "counter", "Failed checks, by the phase in which they failed.");
  for (size_t i = 0; i < kPhases; ++i)
    sample("failures_total", phase_label(i),
           std::to_string(history.failures(static_cast<Phase>(i))));
  family("last_phase_seconds", "gauge", "What each phase of the last check took.");
  for (size_t i = 0; last && i < kPhases; ++i)
    if (last->times[i]) sample("last_phase_seconds", phase_label(i), seconds(*last->times[i]));
  family("phase_seconds", "summary", "What each phase took, of all checks.");
  for (size_t i = 0; i < kPhases; ++i) {
    const History::Sum& sum = history.sum(static_cast<Phase>(i));
    if (sum.count == 0) continue;
    sample("phase_seconds_sum", phase_label(i), number(sum.seconds, 9));
    sample("phase_seconds_count", phase_label(i), std::to_string(sum.count));
  }
  family("check_seconds", "summary", "What good checks took; quantiles of those remembered.");
  for (const char* q : {"0.5", "0.95", "0.99"})
    if (history.total().count > 0)
      sample("check_seconds", "quantile=\"" + std::string(q) + "\"",
             seconds(history.quantile(q[2] == '5'   ? 0.5
                                      : q[3] == '5' ? 0.95
                                                    : 0.99)));
  sample("check_seconds_sum", {}, number(history.total().seconds, 9));
  sample("check_seconds_count", {}, std::to_string(history.total().count));
  family("availability_ratio", "gauge", "Good checks of all within the window.");
  sample("availability_ratio",
         "window_seconds=\"" +
             number(static_cast<double>(history.options().window.count()) / 1e9, 0) + "\"",
         number(history.availability(now), 6));
  family("last_check_age_seconds", "gauge", "Since the last check began.");
  if (last) sample("last_check_age_seconds", {}, seconds(now - last->began));
  return out;
}

}  // namespace culvert::monitor
