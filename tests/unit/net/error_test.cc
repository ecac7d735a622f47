#include "model/net/error.h"

#include <gtest/gtest.h>

#include <set>

namespace culvert::net {
namespace {

TEST(Error, every_class_has_a_word_of_its_own) {
  std::set<std::string_view> words;
  for (int i = 0; i <= static_cast<int>(Error::failed); ++i)
    words.insert(to_string(static_cast<Error>(i)));
  EXPECT_EQ(words.size(), static_cast<size_t>(Error::failed) + 1);
  EXPECT_EQ(to_string(Error::timed_out), "timed_out");
  EXPECT_EQ(to_string(static_cast<Error>(200)), "failed");
}

TEST(Status, reads_as_class_and_sentence) {
  EXPECT_TRUE(Status().ok());
  EXPECT_EQ(Status().to_string(), "ok");
  const Status status{Error::refused, "192.0.2.1:80 answered with RST"};
  EXPECT_FALSE(status.ok());
  EXPECT_EQ(status.to_string(), "refused: 192.0.2.1:80 answered with RST");
  EXPECT_EQ(Status{Error::reset}.to_string(), "reset");
}

TEST(Result, holds_a_value_or_a_status) {
  Result<std::string> good(std::string("value"));
  ASSERT_TRUE(good);
  EXPECT_EQ(*good, "value");
  EXPECT_EQ(good->size(), 5u);
  EXPECT_EQ(good.error(), Error::none);
  const Result<std::string> bad(Error::not_found, "no such name");
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error(), Error::not_found);
  EXPECT_EQ(bad.status().detail, "no such name");
}

}  // namespace
}  // namespace culvert::net
