// Every case against our broker, in three makes: in memory, with a store, and with QoS 2 going
// onward at PUBREL; and that each normative statement of MQTT 5.0 has its case or its excuse.
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "tests/conformance/world.h"

namespace culvert::conformance {
namespace {

const std::string kFolder = CULVERT_CONFORMANCE;

const BrokerKind kKinds[] = {
    {"memory", false, false},
    {"store", true, false},
    {"at_pubrel", false, true},
};

class Conforms : public ::testing::Test {
 public:
  Conforms(const Case& one, const BrokerKind& kind) : case_(one), kind_(kind) {}
  void TestBody() override {
    auto world = make_memory_world(case_, kind_);
    ASSERT_TRUE(world.ok()) << case_.file << ":" << case_.line << ": " << world.status().detail;
    const std::string wrong = run(case_, **world);
    EXPECT_TRUE(wrong.empty()) << wrong;
  }

 private:
  const Case& case_;
  const BrokerKind& kind_;
};

// Each case is its own test: Memory.second_connect, Store.second_connect, …
bool register_all() {
  static const auto kCases = read_all_cases(kFolder + "/cases");
  if (!kCases) return false;
  for (const BrokerKind& kind : kKinds) {
    for (const Case& one : *kCases) {
      if (one.durable && !kind.durable) continue;
      const std::string suite =
          "conformance_" + kind.name + (one.version == mqtt::Version::v5 ? "" : "_v311");
      ::testing::RegisterTest(
          suite.c_str(), one.name.c_str(), nullptr, nullptr, __FILE__, __LINE__,
          [&one, &kind]() -> ::testing::Test* { return new Conforms(one, kind); });
    }
  }
  return true;
}
const bool kRegistered = register_all();

std::set<std::string> statements() {
  std::set<std::string> all;
  const auto lines = read_lines(kFolder + "/statements.txt");
  if (lines)
    for (const std::string& line : *lines)
      if (!line.empty()) all.insert(line);
  return all;
}

TEST(Cases, CanBeRead) {
  const auto cases = read_all_cases(kFolder + "/cases");
  ASSERT_TRUE(cases.ok()) << cases.status().detail;
  EXPECT_TRUE(kRegistered);
  std::set<std::string> names;
  for (const Case& one : *cases) {
    EXPECT_TRUE(names.insert((one.version == mqtt::Version::v5 ? "5 " : "3 ") + one.name).second)
        << one.name << " twice";
    EXPECT_FALSE(one.covers.empty()) << one.name << " covers nothing";
    EXPECT_FALSE(one.steps.empty()) << one.name << " does nothing";
  }
}

// In exactly one of: covered by a case, or named with why not. 200 is what was asked for.
TEST(Statements, AreCoveredOrExcused) {
  const std::set<std::string> all = statements();
  ASSERT_EQ(all.size(), 251u);
  const auto cases = read_all_cases(kFolder + "/cases");
  ASSERT_TRUE(cases.ok()) << cases.status().detail;
  std::set<std::string> covered;
  for (const Case& one : *cases) {
    if (one.version != mqtt::Version::v5) continue;
    for (const std::string& id : one.covers) {
      EXPECT_TRUE(all.count(id)) << one.file << ": " << one.name << " covers no statement " << id;
      covered.insert(id);
    }
  }
  std::map<std::string, std::string> excused;
  const auto lines = read_lines(kFolder + "/not_testable.txt");
  ASSERT_TRUE(lines.ok());
  for (const std::string& line : *lines) {
    if (line.empty()) continue;
    const size_t blank = line.find(' ');
    ASSERT_NE(blank, std::string::npos) << line << ": why not?";
    EXPECT_TRUE(excused.emplace(line.substr(0, blank), line.substr(blank + 1)).second) << line;
  }
  for (const auto& [id, why] : excused) {
    EXPECT_TRUE(all.count(id)) << id << " is no statement";
    EXPECT_FALSE(covered.count(id)) << id << " is excused and covered";
  }
  for (const std::string& id : all)
    EXPECT_TRUE(covered.count(id) || excused.count(id)) << id << " has no case and no excuse";
  EXPECT_GE(covered.size(), 200u);
}

}  // namespace
}  // namespace culvert::conformance
