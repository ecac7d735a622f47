// A monitor's results as others read them: the one line of a Nagios plugin with its performance
// data, and Prometheus' text format. Stands on history.h.
#pragma once

#include <string>

#include "model/monitor/history.h"

namespace culvert::monitor {

// "MQTT OK - loopback 40.1 ms, total 121.3 ms | total=121.3ms;500;1000;0 tcp=40.0ms;;;0 …".
// Monitoring Plugins Development Guidelines, "Plugin Output" and "Performance data": no '|' and no
// line end in the text before the bar.
std::string nagios_line(const History& history, const Thresholds& thresholds, net::Time now);

// Prometheus' text exposition format 0.0.4; every name begins with culvert_monitor_, times are in
// seconds. `target` is the label of all samples.
std::string prometheus_text(const History& history, const Thresholds& thresholds, net::Time now,
                            std::string_view target);

}  // namespace culvert::monitor
