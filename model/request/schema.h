// What a JSON body must look like, as a table, and the middleware that checks it.
#pragma once

#include <limits>
#include <string>
#include <vector>

#include "model/request/router.h"

namespace culvert::request {

enum class JsonKind : uint8_t { boolean, integer, number, text, array, object };

struct SchemaField {
  std::string name;
  JsonKind kind = JsonKind::text;
  bool required = true;
  double least = -std::numeric_limits<double>::infinity();  // numbers; lengths of texts and arrays
  double most = std::numeric_limits<double>::infinity();
  std::vector<std::string> one_of;  // texts; empty: any
};

struct Schema {
  std::vector<SchemaField> fields;  // of the object that the body is
  bool others_allowed = false;
};

// invalid with a sentence that names the field.
net::Status check(const Schema& schema, Bytes body);
// 422 with that sentence, else on to the handler.
Middleware require(Schema schema);

}  // namespace culvert::request
