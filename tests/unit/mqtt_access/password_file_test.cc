#include "model/mqtt/broker/password_file.h"

#include <gmock/gmock.h>

#include "model/net/crypto.h"

namespace culvert::mqtt {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string hash(std::string_view password) { return *net::hash_password(password, {1, 8}); }

TEST(PasswordFile, KnowsItsUsers) {
  const std::string alice = hash("a"), bob = hash("b");
  const auto file = PasswordFile::parse("# ours\n\nalice:" + alice + "\r\nbob:" + bob);
  ASSERT_TRUE(file) << file.status().to_string();
  EXPECT_EQ(file->size(), 2u);
  EXPECT_EQ(*file->hash_of("alice"), alice);
  EXPECT_EQ(*file->hash_of("bob"), bob);
  EXPECT_EQ(file->hash_of("carol"), nullptr);
  EXPECT_EQ(file->hash_of("# ours"), nullptr);
  EXPECT_EQ(file->decoy(), alice);
}

TEST(PasswordFile, RefusesWhatItDoesNotUnderstandWithTheLine) {
  const std::string good = "alice:" + hash("a") + "\n";
  for (const auto& [text, says] : std::vector<std::pair<std::string, std::string>>{
           {good + "bob\n", "line 2 is not of the form"},
           {":" + hash("a"), "line 1 is not of the form"},
           {"bob:plain\n", "line 1 has no hash that is known"},
           {"bob:\n", "line 1 has no hash that is known"},
           {"\nbob:$6$x$y\n", "line 2 has no hash"},
           {good + good, "line 2 names a user for the second time"}}) {
    const auto file = PasswordFile::parse(text);
    ASSERT_FALSE(file) << text;
    EXPECT_THAT(file.status().detail, HasSubstr(says));
  }
}

TEST(PasswordFile, TellsWhoseLoginsAreNoLongerValid) {
  const std::string a = hash("a"), b = hash("b"), c = hash("c");
  const auto before = PasswordFile::parse("a:" + a + "\nb:" + b + "\nc:" + c + "\n");
  const auto after = PasswordFile::parse("c:" + a + "\na:" + a + "\nd:" + b + "\n");
  EXPECT_THAT(before->changed(*after), ElementsAre("b", "c"));
}

TEST(PasswordFile, AUserIsAddedReplacedAndTakenAway) {
  EXPECT_EQ(*with_user("", "a", "1"), "a:1\n");
  EXPECT_EQ(*with_user("# x\nb:2", "a", "1"), "# x\nb:2\na:1\n");
  EXPECT_EQ(*with_user("a:1\nb:2\n", "a", "3"), "a:3\nb:2\n");
  EXPECT_EQ(*with_user("a:1\nb:2\n", "a", ""), "b:2\n");
  EXPECT_EQ(*with_user("ab:1\n", "a", "2"), "ab:1\na:2\n");
  EXPECT_EQ(with_user("ab:1\n", "a", "").error(), net::Error::not_found);
  for (const char* bad : {"", "a:b", "a\nb", "#a", "\xff"})
    EXPECT_EQ(with_user("", bad, "1").error(), net::Error::invalid) << bad;
}

}  // namespace
}  // namespace culvert::mqtt
