#include "model/mqtt/broker/password_file.h"

#include <algorithm>

#include "model/mqtt/topic.h"
#include "model/net/crypto.h"

namespace culvert::mqtt {
namespace {

constexpr size_t kMostUsers = 1'000'000;  // ours: some 150 MB

std::string_view cut_line(std::string_view& text) {
  const size_t end = std::min(text.find('\n'), text.size());
  std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  return line;
}

bool says_nothing(std::string_view line) { return line.empty() || line.front() == '#'; }

}  // namespace

net::Result<PasswordFile> PasswordFile::parse(std::string_view text) {
  PasswordFile file;
  for (size_t number = 1; !text.empty(); ++number) {
    const std::string_view line = cut_line(text);
    if (says_nothing(line)) continue;
    const auto wrong = [&](const char* what) {
      return net::Status(net::Error::invalid, "line " + std::to_string(number) + " " + what);
    };
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos || colon == 0) return wrong("is not of the form user:hash");
    const std::string_view hash = line.substr(colon + 1);
    if (!net::known_password_hash(hash))
      return wrong("has no hash that is known ($argon2id$…, $7$… or $6$…; mqtt-passwd makes them)");
    if (file.hashes_.size() >= kMostUsers) return wrong("is one user too many");
    if (!file.hashes_.emplace(line.substr(0, colon), hash).second)
      return wrong("names a user for the second time");
    if (file.decoy_.empty()) file.decoy_ = hash;
  }
  return file;
}

const std::string* PasswordFile::hash_of(const std::string& user) const {
  const auto at = hashes_.find(user);
  return at == hashes_.end() ? nullptr : &at->second;
}

std::string_view PasswordFile::decoy() const { return decoy_; }

std::vector<std::string> PasswordFile::changed(const PasswordFile& newer) const {
  std::vector<std::string> users;
  for (const auto& [user, hash] : hashes_) {
    const std::string* now = newer.hash_of(user);
    if (!now || *now != hash) users.push_back(user);
  }
  std::sort(users.begin(), users.end());
  return users;
}

net::Result<std::string> with_user(std::string_view text, std::string_view user,
                                   std::string_view hash) {
  if (user.empty() || user.front() == '#' || !valid_utf8(user) ||
      user.find_first_of(":\r\n") != std::string_view::npos)
    return {net::Error::invalid,
            "a user name has no ':', no line break, and does not begin with '#'"};
  std::string out;
  bool done = false;
  const auto put = [&] {
    if (!hash.empty() && !done) out.append(user).append(":").append(hash).append("\n");
    done = true;
  };
  while (!text.empty()) {
    const std::string_view line = cut_line(text);
    if (!says_nothing(line) && line.substr(0, line.find(':')) == user)
      put();
    else
      out.append(line).append("\n");
  }
  if (!done && hash.empty())
    return {net::Error::not_found, "there is no user '" + std::string(user) + "'"};
  put();
  return out;
}

}  // namespace culvert::mqtt
