// Access from files that are secrets of the Host: passwords, client certificates, an ACL. Password
// hashes are computed in offload, a bounded number at a time. Stands on password_file.h, acl.h.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "model/mqtt/broker/access.h"
#include "model/net/host.h"

namespace culvert::mqtt {

struct AccessListOptions {
  std::string passwords;  // a secret's name; empty: user names are nobody's, see `anonymous`
  std::string acl;        // a secret's name; empty: everybody may do everything
  // Whether a CONNECT without a user name is let in. Without `passwords` also one with a name,
  // which then counts as none, because nobody has verified it.
  bool anonymous = false;
  // The common name of a verified client certificate is the user; CONNECT's name is ignored.
  bool certificate_is_user = false;
  size_t checks_at_once = 2;      // hashes under way; ours: each takes 19 MB and a core
  size_t checks_waiting = 4'096;  // beyond it server_busy
};

class AccessList : public Access {
 public:
  AccessList(net::Host& host, AccessListOptions options);
  ~AccessList() override;  // checks under way are forgotten

  // Reads the files, at first and again. An error says which file and line, and leaves everything
  // as it was.
  net::Status load();
  // What the last load() changed: these users' logins are no longer valid, and these (or all, if
  // `rights_of_all`) may have other rights now. For Broker::access_changed.
  struct Changes {
    std::vector<std::string> logins, rights;
    bool rights_of_all = false;
  };
  const Changes& changes() const;

  std::optional<LoginAnswer> login(const LoginRequest& request,
                                   std::function<void(LoginAnswer)> later) override;
  std::optional<Reason> may(const AccessRequest& request,
                            std::function<void(Reason)> later) override;
  bool unrestricted(std::string_view user) const override;

  size_t checks_under_way() const;  // with those that wait

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;  // shared with checks under way, which only look whether it is there
};

}  // namespace culvert::mqtt
