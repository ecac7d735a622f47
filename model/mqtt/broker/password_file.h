// A password file: a user a line, "name:hash", the hash Argon2id or mosquitto's "$7$" or "$6$"
// (crypto.h). Empty lines and lines with "#" in front say nothing. Decides only.
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "model/net/error.h"

namespace culvert::mqtt {

class PasswordFile {
 public:
  // invalid: the sentence names the line.
  static net::Result<PasswordFile> parse(std::string_view text);

  const std::string* hash_of(const std::string& user) const;  // null: there is no such user
  // Some user's hash, so that an unknown user takes as long as a known one; empty if none.
  std::string_view decoy() const;
  size_t size() const { return hashes_.size(); }
  // Users who have gone or whose hash is another in `newer`, in their order.
  std::vector<std::string> changed(const PasswordFile& newer) const;

 private:
  boost::unordered_flat_map<std::string, std::string> hashes_;
  std::string decoy_;  // the first line's
};

// `text` with this user's line replaced, added, or taken away if `hash` is empty; all other lines
// stay as they are. not_found: a user to take away is not there; invalid: no name for a user.
net::Result<std::string> with_user(std::string_view text, std::string_view user,
                                   std::string_view hash);

}  // namespace culvert::mqtt
