// The nine mapping x filtering kinds against each other, 81 ordered pairs, on the fake network:
// which pairs become direct, by technique (field note on NATs, session-table reading).
#include <gtest/gtest.h>

#include "tests/unit/punch/lab.h"

namespace culvert::testing {
namespace {

constexpr const char* kKinds[] = {"eim-eif",  "eim-adf",  "eim-apdf", "adm-eif",  "adm-adf",
                                  "adm-apdf", "apdm-eif", "apdm-adf", "apdm-apdf"};

bool hard(const std::string& kind) { return kind.rfind("eim", 0) != 0; }
std::string filtering(const std::string& kind) { return kind.substr(kind.find('-') + 1); }

// Direct whatever the order: either side admits everybody, or either is EIM + ADF, or both are EIM.
bool direct_if_led_rightly(const std::string& a, const std::string& b) {
  return filtering(a) == "eif" || filtering(b) == "eif" || a == "eim-adf" || b == "eim-adf" ||
         (!hard(a) && !hard(b));
}
// The pairs in which the endpoint-dependent side must not send first.
bool order_decides(const std::string& a, const std::string& b) {
  const auto one = [](const std::string& x, const std::string& y) {
    return hard(x) && filtering(x) == "eif" && y == "eim-apdf";
  };
  return one(a, b) || one(b, a);
}
// Seed 002 as it is: what comes is never answered where it came from. Counted pairs: both receive.
bool seed_in_any_order(const std::string& a, const std::string& b) {
  // a hears b's hello, which goes to the port that the server saw.
  const auto hears = [](const std::string& x, const std::string& y) {
    if (filtering(x) == "eif") return true;
    if (hard(x)) return false;  // that port trusts the server only
    return !hard(y) || filtering(x) == "adf";
  };
  return hears(a, b) && hears(b, a);
}

bool far_lans = false;

struct Draw {
  uint64_t seed;
  LabOptions options;
  char initiator;
};

Draw draw(uint64_t seed, const char* a, const char* b, rendezvous::Technique technique) {
  net::Random random(net::derive_seed(seed, std::string(a) + b));
  Draw d{seed, {}, random.below(2) ? 'a' : 'b'};
  d.options.seed = random.next();
  d.options.nat_a = a;
  d.options.nat_b = b;
  d.options.technique = technique;
  d.options.up_a = std::chrono::microseconds(random.between(2000, 60000));
  d.options.up_b = std::chrono::microseconds(random.between(2000, 60000));
  d.options.server = std::chrono::microseconds(random.between(2000, 60000));
  d.options.lan_a = std::chrono::microseconds(random.between(200, far_lans ? 60000 : 1000));
  d.options.lan_b = std::chrono::microseconds(random.between(200, far_lans ? 60000 : 1000));
  return d;
}

void run_matrix(
    rendezvous::Technique technique, int seeds,
    const std::function<void(const std::string&, const std::string&, const Outcome&)>& check,
    int least, int most) {
  for (int seed = 1; seed <= seeds; ++seed) {
    int direct = 0;
    for (const char* a : kKinds) {
      for (const char* b : kKinds) {
        const Draw d = draw(static_cast<uint64_t>(seed), a, b, technique);
        Lab lab(d.options);
        ASSERT_TRUE(lab.get_ready()) << a << " x " << b << " seed " << seed;
        lab.net.run_for(100ms);
        ASSERT_EQ(lab.device_a->behaviour().kind(), a);
        ASSERT_EQ(lab.device_b->behaviour().kind(), b);
        const Outcome outcome = lab.punch(d.initiator);
        ASSERT_TRUE(outcome.finished) << a << " x " << b << " seed " << seed;
        direct += outcome.direct();
        check(a, b, outcome);
        if (::testing::Test::HasFailure()) {
          ADD_FAILURE() << a << " x " << b << " seed " << seed << " initiator " << d.initiator;
          for (const std::string& line : lab.net.log()) std::puts(line.c_str());
          return;
        }
      }
    }
    EXPECT_GE(direct, least) << "seed " << seed;
    EXPECT_LE(direct, most) << "seed " << seed;
  }
}

TEST(Matrix, CulvertReachesExactlyThe57PairsThatCanBeReached) {
  run_matrix(
      rendezvous::Technique::culvert, 4,
      [](const std::string& a, const std::string& b, const Outcome& outcome) {
        EXPECT_EQ(outcome.direct(), direct_if_led_rightly(a, b));
        EXPECT_EQ(outcome.direct_a, outcome.direct_b) << "one-sided success";
      },
      57, 57);
}

// The same with NATs far from their hosts: openers, staggered probes and silence together.
TEST(Matrix, CulvertReachesTheSame57WithNatsFarFromTheirHosts) {
  far_lans = true;
  run_matrix(
      rendezvous::Technique::culvert, 2,
      [](const std::string& a, const std::string& b, const Outcome& outcome) {
        EXPECT_EQ(outcome.direct(), direct_if_led_rightly(a, b));
      },
      57, 57);
  far_lans = false;
}

TEST(Matrix, PlainReachesExactly53) {
  run_matrix(
      rendezvous::Technique::plain, 3,
      [](const std::string& a, const std::string& b, const Outcome& outcome) {
        EXPECT_EQ(outcome.direct(), direct_if_led_rightly(a, b) && !order_decides(a, b));
      },
      53, 53);
}

TEST(Matrix, TheSeedsOwnTechniqueReaches21To25) {
  run_matrix(
      rendezvous::Technique::seed002, 3,
      [](const std::string& a, const std::string& b, const Outcome& outcome) {
        if (seed_in_any_order(a, b)) {
          EXPECT_TRUE(outcome.direct());
        } else if (!order_decides(a, b)) {
          EXPECT_FALSE(outcome.direct());
        }
      },
      21, 25);
}

}  // namespace
}  // namespace culvert::testing
