#include "model/request/schema.h"

#include <boost/json.hpp>

namespace culvert::request {
namespace {

namespace json = boost::json;

constexpr size_t kDeepest = 32;  // Boost.JSON's own default for nesting

std::string_view name_of(JsonKind kind) {
  static constexpr std::string_view kNames[] = {"a boolean", "an integer", "a number",
                                                "a text",    "an array",   "an object"};
  return kNames[static_cast<size_t>(kind)];
}

bool is(JsonKind kind, const json::value& value) {
  switch (kind) {
    case JsonKind::boolean:
      return value.is_bool();
    case JsonKind::integer:
      return value.is_int64() || value.is_uint64();
    case JsonKind::number:
      return value.is_number();
    case JsonKind::text:
      return value.is_string();
    case JsonKind::array:
      return value.is_array();
    case JsonKind::object:
      return value.is_object();
  }
  return false;
}

double size_of(const json::value& value) {
  if (value.is_string()) return static_cast<double>(value.get_string().size());
  if (value.is_array()) return static_cast<double>(value.get_array().size());
  return value.is_number() ? value.to_number<double>() : 0;
}

std::string shortly(double value) {
  std::string text = std::to_string(value);
  while (text.back() == '0') text.pop_back();
  if (text.back() == '.') text.pop_back();
  return text;
}

net::Status check_field(const SchemaField& field, const json::value& value) {
  const auto bad = [&](const std::string& why) {
    return net::Status{net::Error::invalid, "'" + field.name + "' " + why};
  };
  if (!is(field.kind, value)) return bad("must be " + std::string(name_of(field.kind)));
  if (field.kind != JsonKind::boolean && field.kind != JsonKind::object) {
    const bool counted = field.kind == JsonKind::text || field.kind == JsonKind::array;
    const std::string what = counted ? "must have a length of at " : "must be at ";
    if (size_of(value) < field.least) return bad(what + "least " + shortly(field.least));
    if (size_of(value) > field.most) return bad(what + "most " + shortly(field.most));
  }
  if (field.kind == JsonKind::text && !field.one_of.empty()) {
    std::string all;
    for (const std::string& allowed : field.one_of) {
      if (value.get_string() == allowed) return {};
      all += (all.empty() ? "" : ", ") + allowed;
    }
    return bad("must be one of: " + all);
  }
  return {};
}

}  // namespace

net::Status check(const Schema& schema, Bytes body) {
  json::parse_options options;
  options.max_depth = kDeepest;
  json::error_code error;
  const json::value value =
      json::parse(json::string_view(reinterpret_cast<const char*>(body.data()), body.size()), error,
                  {}, options);
  if (error) return {net::Error::invalid, "the body is no JSON: " + error.message()};
  if (!value.is_object()) return {net::Error::invalid, "the body must be a JSON object"};
  const json::object& object = value.get_object();
  for (const SchemaField& field : schema.fields) {
    const json::value* found = object.if_contains(field.name);
    if (!found) {
      if (field.required) return {net::Error::invalid, "'" + field.name + "' is missing"};
      continue;
    }
    if (const net::Status status = check_field(field, *found); !status) return status;
  }
  if (schema.others_allowed) return {};
  for (const auto& member : object) {
    bool known = false;
    for (const SchemaField& field : schema.fields) known = known || member.key() == field.name;
    if (!known)
      return {net::Error::invalid, "'" + std::string(member.key()) + "' is not known here"};
  }
  return {};
}

Middleware require(Schema schema) {
  return [schema = std::move(schema)](const Request& request, Reply reply, const Handler& next) {
    if (const net::Status status = check(schema, request.body); !status)
      return reply(Response::problem(status::unprocessable, status.detail));
    next(request, std::move(reply));
  };
}

}  // namespace culvert::request
