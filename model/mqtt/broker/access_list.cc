#include "model/mqtt/broker/access_list.h"

#include <deque>

#include "model/mqtt/broker/acl.h"
#include "model/mqtt/broker/password_file.h"
#include "model/net/crypto.h"

namespace culvert::mqtt {
namespace {

// A password to be checked away from the loop.
struct Check {
  std::string user, hash, password;
  bool known = false;  // else the hash is somebody else's, and the answer is no
  bool right = false;
  std::function<void(LoginAnswer)> answer;
  ~Check() { net::wipe({reinterpret_cast<uint8_t*>(password.data()), password.size()}); }
};

LoginAnswer refusal(Reason reason) {
  LoginAnswer answer;
  answer.reason = reason;
  return answer;
}
LoginAnswer welcome(std::string_view user) {
  LoginAnswer answer;
  answer.user = user;
  return answer;
}

}  // namespace

struct AccessList::Impl : std::enable_shared_from_this<Impl> {
  Impl(net::Host& h, AccessListOptions o) : host(h), options(std::move(o)) {}

  void submit(std::shared_ptr<Check> check) {
    if (running >= options.checks_at_once) {
      waiting.push_back(std::move(check));
      return;
    }
    ++running;
    host.offload([check] { check->right = net::verify_password(check->hash, check->password); },
                 [check, weak = weak_from_this()] {
                   const auto self = weak.lock();
                   if (self) self->finish(*check);
                 });
  }
  void finish(Check& check) {
    --running;
    if (!waiting.empty()) {
      auto next = std::move(waiting.front());
      waiting.pop_front();
      submit(std::move(next));
    }
    // Whoever was taken from the list meanwhile, or has another password now, stays outside.
    const std::string* now = passwords.hash_of(check.user);
    const bool in = check.known && check.right && now && *now == check.hash;
    const auto answer = std::move(check.answer);
    answer(in ? welcome(check.user) : refusal(Reason::bad_user_name_or_password));
  }

  net::Host& host;
  AccessListOptions options;
  PasswordFile passwords;
  Acl acl;
  Changes changes;
  std::deque<std::shared_ptr<Check>> waiting;
  size_t running = 0;
};

AccessList::AccessList(net::Host& host, AccessListOptions options)
    : impl_(std::make_shared<Impl>(host, std::move(options))) {}
AccessList::~AccessList() = default;

net::Status AccessList::load() {
  PasswordFile passwords;
  Acl acl;
  const auto read = [&](const std::string& name, const auto& parse) -> net::Status {
    if (name.empty()) return {};
    const auto text = impl_->host.secret(name);
    if (!text) return text.status();
    const net::Status status = parse(net::as_text(*text));
    return status ? status : net::Status(status.error, "secret '" + name + "': " + status.detail);
  };
  net::Status status = read(impl_->options.passwords, [&](std::string_view text) {
    auto parsed = PasswordFile::parse(text);
    if (parsed) passwords = std::move(*parsed);
    return parsed.status();
  });
  if (!status) return status;
  status = read(impl_->options.acl, [&](std::string_view text) {
    auto parsed = Acl::parse(text);
    if (parsed) acl = std::move(*parsed);
    return parsed.status();
  });
  if (!status) return status;
  Acl::Difference difference = impl_->acl.difference(acl);
  impl_->changes = {impl_->passwords.changed(passwords), std::move(difference.users),
                    difference.all};
  impl_->passwords = std::move(passwords);
  impl_->acl = std::move(acl);
  return {};
}

const AccessList::Changes& AccessList::changes() const { return impl_->changes; }

std::optional<LoginAnswer> AccessList::login(const LoginRequest& request,
                                             std::function<void(LoginAnswer)> later) {
  const AccessListOptions& options = impl_->options;
  if (request.method) return refusal(Reason::bad_authentication_method);
  if (!request.peer.user.empty()) return welcome(request.peer.user);
  if (options.certificate_is_user && !request.peer.tls_common_name.empty())
    return welcome(request.peer.tls_common_name);
  if (!request.user_name || options.passwords.empty()) {
    if (options.anonymous) return welcome({});
    return refusal(request.user_name ? Reason::bad_user_name_or_password : Reason::not_authorized);
  }
  if (impl_->waiting.size() >= options.checks_waiting) return refusal(Reason::server_busy);
  auto check = std::make_shared<Check>();
  check->user = *request.user_name;
  const std::string* hash = impl_->passwords.hash_of(check->user);
  check->known = hash != nullptr;
  check->hash = hash ? *hash : std::string(impl_->passwords.decoy());
  check->password = net::as_text(request.password.value_or(Bytes{}));
  check->answer = std::move(later);
  impl_->submit(std::move(check));
  return {};
}

std::optional<Reason> AccessList::may(const AccessRequest& request,
                                      std::function<void(Reason)> /*later*/) {
  // Clients inside this process are its own: the bridge, the gateway, whoever embeds the broker.
  if (impl_->options.acl.empty() || request.peer.transport == "local") return Reason::success;
  return impl_->acl.allows(request.user, request.client_id, request.action, request.topic)
             ? Reason::success
             : Reason::not_authorized;
}

bool AccessList::unrestricted(std::string_view) const { return impl_->options.acl.empty(); }

size_t AccessList::checks_under_way() const { return impl_->running + impl_->waiting.size(); }

}  // namespace culvert::mqtt
