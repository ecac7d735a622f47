// A conformance case: what clients send, what the broker must answer, in the order of time. Cases
// are data (cases/*.txt; README.md explains the format). Stands on the codec.
#pragma once

#include <string>
#include <vector>

#include "model/mqtt/packet.h"
#include "model/net/error.h"
#include "model/net/time.h"

namespace culvert::conformance {

// "key=value", or a bare word with an empty key.
struct Field {
  std::string key, value;
};

struct Step {
  enum class What : uint8_t {
    send,         // a packet
    send_raw,     // bytes
    expect,       // a packet, the next one
    expect_some,  // a packet, whichever of those that have come
    closed,       // the broker closes, and sends nothing before it
    nothing,      // for `time` nothing comes and nothing is closed
    forget,       // what has come does not matter
    close,        // the client closes properly (FIN)
    cut,          // the client's connection breaks (RST)
    drip,         // from now on a byte at a time
    wait,         // `time` passes
    restart,      // the broker is killed and started again on the same store
    set_time,     // of an expectation: how long it may take
  };
  What what = What::send;
  std::string client;
  std::string packet;  // "CONNECT"
  std::vector<Field> fields;
  net::Buffer raw;
  net::Duration time{0};
  bool more = false;  // sent together with the next
  int line = 0;
};

struct Case {
  std::string name, file;
  int line = 0;
  mqtt::Version version = mqtt::Version::v5;
  std::vector<std::string> covers;  // "MQTT-3.1.0-2"
  std::vector<Field> options;       // BrokerOptions
  std::vector<std::string> access;  // rules of TestAccess
  bool durable = false;             // needs a store: has a restart
  bool loose = false;               // what nobody asked for may come too
  std::vector<Step> steps;
};

// Every case of a file, or of all cases/*.txt below a folder, by file name. invalid: the sentence
// names file and line.
net::Result<std::vector<Case>> read_cases(const std::string& file);
net::Result<std::vector<Case>> read_all_cases(const std::string& folder);

// Lines of a text file without comments and blanks at the ends. not_found.
net::Result<std::vector<std::string>> read_lines(const std::string& file);

// "250ms", "2s", "3min".
bool parse_duration(const std::string& text, net::Duration& out);

}  // namespace culvert::conformance
