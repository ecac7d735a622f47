#include "model/mqtt/broker/access.h"

namespace culvert::mqtt {
namespace {

class AllowAll : public Access {
 public:
  std::optional<LoginAnswer> login(const LoginRequest& request,
                                   std::function<void(LoginAnswer)>) override {
    LoginAnswer answer;
    if (request.method) {
      answer.reason = Reason::bad_authentication_method;
      return answer;
    }
    answer.user = !request.peer.user.empty() ? request.peer.user : request.user_name.value_or("");
    return answer;
  }
  std::optional<Reason> may(const AccessRequest&, std::function<void(Reason)>) override {
    return Reason::success;
  }
  bool unrestricted(std::string_view) const override { return true; }
};

}  // namespace

std::unique_ptr<Access> allow_all() { return std::make_unique<AllowAll>(); }

}  // namespace culvert::mqtt
