#include "impl/wire/options.h"

#include <boost/json.hpp>
#include <charconv>
#include <cmath>

namespace culvert::wire {
namespace {

namespace json = boost::json;
using net::Error;
using net::Status;

struct Number {
  std::string_view name;
  double LinkOptions::*real;
  uint32_t LinkOptions::*whole;
  double low, high;
};

// The highest MTU leaves room for the Ethernet header in a TAP's 64 KB frame.
constexpr Number kNumbers[] = {
    {"delay_ms", &LinkOptions::delay_ms, nullptr, 0, 3600000},
    {"jitter_ms", &LinkOptions::jitter_ms, nullptr, 0, 3600000},
    {"loss", &LinkOptions::loss, nullptr, 0, 1},
    {"rate_mbps", &LinkOptions::rate_mbps, nullptr, 0, 1000000},
    {"mtu", nullptr, &LinkOptions::mtu, 68, 65521},
    {"queue", nullptr, &LinkOptions::queue, 1, 1000000},
    {"wake_ms", &LinkOptions::wake_ms, nullptr, 0, 3600000},
    {"idle_ms", &LinkOptions::idle_ms, nullptr, 0, 3600000},
    {"up_delay_ms", &LinkOptions::up_delay_ms, nullptr, 0, 3600000},
    {"up_grant_ms", &LinkOptions::up_grant_ms, nullptr, 0, 3600000},
    {"down_delay_ms", &LinkOptions::down_delay_ms, nullptr, 0, 3600000},
    {"down_grant_ms", &LinkOptions::down_grant_ms, nullptr, 0, 3600000},
    {"up_mbps", &LinkOptions::up_mbps, nullptr, 0, 1000000},
    {"down_mbps", &LinkOptions::down_mbps, nullptr, 0, 1000000},
};

Status set_number(LinkOptions& link, std::string_view name, double value) {
  for (const Number& number : kNumbers) {
    if (number.name != name) continue;
    if (!(value >= number.low && value <= number.high) ||
        (number.whole != nullptr && value != std::floor(value))) {
      char range[96];
      std::snprintf(range, sizeof range, " must be %s from %g to %g",
                    number.whole ? "a whole number" : "a number", number.low, number.high);
      return {Error::invalid, "link '" + link.name + "': " + std::string(name) + range};
    }
    if (number.whole != nullptr) {
      link.*number.whole = static_cast<uint32_t>(value);
    } else {
      link.*number.real = value;
    }
    return {};
  }
  return {Error::invalid,
          "link '" + link.name + "': unknown key '" + std::string(name) +
              "'; known are delay_ms, jitter_ms, loss, rate_mbps, mtu, queue, and of a radio "
              "wake_ms, idle_ms, up_ and down_ with delay_ms, grant_ms, mbps"};
}

Status check_link(const LinkOptions& link) {
  if (link.name.empty() || link.name.find_first_of(" \t\n") != std::string::npos) {
    return {Error::invalid, "a link needs a name without spaces, not '" + link.name + "'"};
  }
  if (link.ends.size() < 2) {
    return {Error::invalid, "link '" + link.name + "' needs at least two ends"};
  }
  return {};
}

net::Result<LinkOptions> link_from(const json::value& value) {
  const json::object* object = value.if_object();
  if (object == nullptr) return {Error::invalid, "every link must be an object"};
  LinkOptions link;
  if (const json::value* name = object->if_contains("name"); name && name->is_string()) {
    link.name = json::value_to<std::string>(*name);
  }
  for (const auto& [key, item] : *object) {
    if (key == "name") continue;
    if (key == "access") {
      if (item != "ethernet" && item != "lte") {
        return {Error::invalid, "link '" + link.name + "': access is ethernet or lte"};
      }
      link.lte = item == "lte";
      continue;
    }
    if (key == "ends") {
      const json::array* ends = item.if_array();
      if (ends == nullptr) return {Error::invalid, "link '" + link.name + "': ends must be a list"};
      for (const json::value& end : *ends) {
        EndOptions options;
        if (end.is_string()) {
          options.interface = json::value_to<std::string>(end);
        } else if (const json::object* o = end.if_object()) {
          if (const auto* i = o->if_contains("interface"); i && i->is_string()) {
            options.interface = json::value_to<std::string>(*i);
          }
          if (const auto* n = o->if_contains("node"); n && n->is_string()) {
            options.node = json::value_to<std::string>(*n);
          }
          if (const auto* fd = o->if_contains("fd"); fd && fd->is_int64()) {
            options.fd = static_cast<int>(fd->get_int64());
          }
        }
        if (options.interface.empty()) {
          return {Error::invalid, "link '" + link.name + "': an end needs an interface"};
        }
        link.ends.push_back(std::move(options));
      }
      continue;
    }
    if (!item.is_number()) {
      return {Error::invalid, "link '" + link.name + "': " + std::string(key) + " is no number"};
    }
    if (Status status =
            set_number(link, std::string_view(key.data(), key.size()), item.to_number<double>());
        !status) {
      return status;
    }
  }
  if (Status status = check_link(link); !status) return status;
  return link;
}

}  // namespace

Status set_shape(LinkOptions& link, std::string_view text) {
  bool any = false;
  while (true) {
    const size_t start = text.find_first_not_of(" ,");
    if (start == std::string_view::npos) break;
    text.remove_prefix(start);
    const std::string_view item = text.substr(0, text.find_first_of(" ,"));
    text.remove_prefix(item.size());
    const size_t equals = item.find('=');
    double value = 0;
    if (equals != std::string_view::npos) {
      const std::string_view number = item.substr(equals + 1);
      const auto [end, error] =
          std::from_chars(number.data(), number.data() + number.size(), value);
      if (error == std::errc() && end == number.data() + number.size()) {
        if (Status status = set_number(link, item.substr(0, equals), value); !status) return status;
        any = true;
        continue;
      }
    }
    return {Error::invalid,
            "link '" + link.name + "': '" + std::string(item) + "' is not KEY=NUMBER"};
  }
  if (!any) return {Error::invalid, "link '" + link.name + "': set needs KEY=NUMBER"};
  return {};
}

net::Result<LinkOptions> parse_link(std::string_view text) {
  LinkOptions link;
  const size_t equals = text.find('=');
  if (equals == std::string_view::npos) {
    return {Error::invalid,
            "a link is NAME=END,END[:KEY=NUMBER,...], not '" + std::string(text) + "'"};
  }
  link.name = std::string(text.substr(0, equals));
  text.remove_prefix(equals + 1);
  std::string_view ends = text.substr(0, text.find(':'));
  text.remove_prefix(ends.size());
  while (!ends.empty()) {
    const std::string_view end = ends.substr(0, ends.find(','));
    ends.remove_prefix(std::min(ends.size(), end.size() + 1));
    link.ends.emplace_back();
    link.ends.back().interface = std::string(end);
  }
  if (!text.empty()) {
    if (Status status = set_shape(link, text.substr(1)); !status) return status;
  }
  if (Status status = check_link(link); !status) return status;
  return link;
}

net::Result<std::vector<LinkOptions>> parse_config(std::string_view text) {
  boost::system::error_code error;
  const json::value root = json::parse({text.data(), text.size()}, error);
  if (error) return {Error::invalid, "the configuration is not JSON: " + error.message()};
  const json::object* object = root.if_object();
  const json::value* links = object ? object->if_contains("links") : nullptr;
  if (links == nullptr || !links->is_array()) {
    return {Error::invalid, "the configuration has no list 'links'"};
  }
  std::vector<LinkOptions> result;
  for (const json::value& value : links->get_array()) {
    auto link = link_from(value);
    if (!link) return link.status();
    result.push_back(std::move(*link));
  }
  return result;
}

}  // namespace culvert::wire
