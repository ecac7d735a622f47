// Who may publish and read what, in the language of mosquitto's acl_file. Decides only.
//
//   # a comment
//   topic read public/#            before any "user": for those without a user name
//   user alice
//   topic readwrite alice/#        read, write, readwrite (the default) or deny
//   topic deny alice/secret
//   pattern write devices/%c/#     for everybody; %u user name, %c client identifier
//
// Nothing is allowed that no line allows, and a deny outweighs what the same user, or the same
// patterns, are allowed. Stands on topic.h.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "model/mqtt/broker/access.h"
#include "model/net/error.h"

namespace culvert::mqtt {

class Acl {
 public:
  // invalid: the sentence names the line.
  static net::Result<Acl> parse(std::string_view text);
  Acl();
  Acl(Acl&&) noexcept;
  Acl& operator=(Acl&&) noexcept;
  ~Acl();

  // A subscription is allowed if something that it matches may be read (what may not is held back
  // message by message) and no deny covers all of it.
  bool allows(std::string_view user, std::string_view client_id, Action action,
              std::string_view topic) const;
  // Users of whom the other list says something else, in their order; "" are those without a name.
  // If patterns differ that is everybody: `all`.
  struct Difference {
    bool all = false;
    std::vector<std::string> users;
  };
  Difference difference(const Acl& other) const;

 private:
  struct Rules;
  std::unique_ptr<Rules> rules_;
};

// Whether some topic matches both filters, and whether every topic that `inner` matches `outer`
// matches too. For filters that begin with a wildcard "$…" is left out, as in matches().
bool filters_overlap(std::string_view a, std::string_view b);
bool filter_covers(std::string_view outer, std::string_view inner);

}  // namespace culvert::mqtt
