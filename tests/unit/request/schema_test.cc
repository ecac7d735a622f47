#include "model/request/schema.h"

#include <gtest/gtest.h>

namespace culvert::request {
namespace {

Schema valve() {
  Schema schema;
  schema.fields.push_back({"position", JsonKind::number, true, 0, 100, {}});
  schema.fields.push_back({"mode", JsonKind::text, false, 0, 10, {"auto", "hand"}});
  schema.fields.push_back({"steps", JsonKind::array, false, 1, 2, {}});
  return schema;
}

struct Row {
  const char *body, *complaint;  // complaint: a part of the sentence; empty: it is well
};

TEST(Schema, EveryComplaintNamesItsField) {
  const Row table[] = {
      {R"({"position": 50})", ""},
      {R"({"position": 50.5, "mode": "auto", "steps": [1]})", ""},
      {R"({"position": 101})", "'position' must be at most 100"},
      {R"({"position": -1})", "'position' must be at least 0"},
      {R"({"position": "50"})", "'position' must be a number"},
      {R"({})", "'position' is missing"},
      {R"({"position": 1, "mode": "off"})", "'mode' must be one of: auto, hand"},
      {R"({"position": 1, "steps": []})", "'steps' must have a length of at least 1"},
      {R"({"position": 1, "colour": 2})", "'colour' is not known"},
      {R"([1])", "must be a JSON object"},
      {R"({"position": )", "no JSON"},
      {"", "no JSON"},
  };
  for (const Row& row : table) {
    const net::Status status = check(valve(), net::as_bytes(row.body));
    if (*row.complaint == 0)
      EXPECT_TRUE(status) << row.body << ": " << status.detail;
    else
      EXPECT_NE(status.detail.find(row.complaint), std::string::npos)
          << row.body << " gave: " << status.detail;
  }
}

TEST(Schema, DeepNestingIsRefusedNotFollowed) {
  std::string body = R"({"position":)" + std::string(100'000, '[');
  EXPECT_FALSE(check(valve(), net::as_bytes(body)));
}

}  // namespace
}  // namespace culvert::request
