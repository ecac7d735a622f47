// Control packets as words, as cases write them: "PUBLISH topic=a qos=1 id=7 payload=hi".
#pragma once

#include <map>
#include <memory>
#include <string>

#include "model/mqtt/packet.h"
#include "tests/conformance/case.h"

namespace culvert::conformance {

using Variables = std::map<std::string, std::string>;

// Keeps the texts that packets view.
class Texts {
 public:
  std::string_view keep(std::string text) {
    kept_.push_back(std::make_unique<std::string>(std::move(text)));
    return *kept_.back();
  }

 private:
  std::vector<std::unique_ptr<std::string>> kept_;
};

// The bytes of a packet. invalid: the fields make no sense.
net::Result<net::Buffer> build(const std::string& packet, const std::vector<Field>& fields,
                               mqtt::Version version, const Variables& variables);

// What a packet says, field by field; what it does not carry is not there. "type" is its name.
std::map<std::string, std::string> describe(const mqtt::Packet& packet, mqtt::Version version);
std::string to_line(const std::map<std::string, std::string>& described);

// Empty if the packet is as the fields want it, and takes captures into `variables`; else what is
// different. Values: text, numbers, "a|b" either, "-" absent, "3..5" a range, "hex:00ff", "?x"
// captured as $x, "!$x" another.
std::string compare(const std::map<std::string, std::string>& described, const std::string& packet,
                    const std::vector<Field>& fields, Variables& variables);

}  // namespace culvert::conformance
