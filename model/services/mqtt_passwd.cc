// Lines of a password file: `mqtt-passwd`, with mosquitto_passwd's habits as far as a program
// without files can have them. The password is read from stdin; the line, or the whole file with
// it, is printed.
#include <array>

#include "model/mqtt/broker/password_file.h"
#include "model/net/crypto.h"
#include "model/services/command_line.h"
#include "model/services/table.h"

namespace culvert::services {
namespace {

constexpr size_t kLongestPassword = 4096;  // ours
constexpr size_t kSalt = 12;               // bytes, as mosquitto_passwd has

struct PasswdOptions {
  std::string user, file, hash = "argon2id";
  bool remove = false;
  net::PasswordCost cost;
  uint32_t iterations = 100'000;  // of PBKDF2; mosquitto_passwd's own 101 is far too few
};

class MqttPasswd : public Service {
 public:
  MqttPasswd(net::Host& host, PasswdOptions options) : host_(host), options_(std::move(options)) {}
  ~MqttPasswd() override {
    net::wipe({reinterpret_cast<uint8_t*>(password_.data()), password_.size()});
  }

  bool wants_input() const override { return !options_.remove; }
  bool prints() const override { return true; }
  bool is_tool() const override { return true; }

  net::Status start() override {
    if (!options_.file.empty()) {
      const auto text = host_.secret(options_.file);
      if (!text) return text.status();
      file_ = net::as_text(*text);
    }
    if (options_.remove) end(mqtt::with_user(file_, options_.user, ""));
    return {};
  }

  // The password is the first line of what comes.
  void input(net::Bytes piece) override {
    if (done_) return;
    for (const uint8_t byte : piece) {
      if (byte == '\n') return hash();
      if (password_.size() == kLongestPassword)
        return end(net::Status(net::Error::too_big, "a password has at most 4,096 bytes"));
      password_ += static_cast<char>(byte);
    }
    if (piece.empty()) hash();
  }

 private:
  void hash() {
    done_ = true;
    if (!password_.empty() && password_.back() == '\r') password_.pop_back();
    if (password_.empty()) return end(net::Status(net::Error::invalid, "stdin gave no password"));
    std::array<uint8_t, kSalt> salt{};
    host_.secure_random(salt);
    auto made = options_.hash == "argon2id"
                    ? net::hash_password(password_, options_.cost)
                    : net::hash_password_pbkdf2(password_, salt, options_.iterations);
    if (!made) return end(made.status());
    end(mqtt::with_user(file_, options_.user, *made));
  }
  void end(net::Result<std::string> text) {
    done_ = true;
    if (text) print(net::as_bytes(*text));
    // Not inside start(): whoever started us does not know us yet.
    host_.post([this, alive = std::weak_ptr<bool>(alive_), status = text.status()] {
      if (!alive.expired()) finished(status);
    });
  }

  net::Host& host_;
  PasswdOptions options_;
  std::string file_, password_;
  bool done_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

class MqttPasswdBlueprint : public Blueprint {
 public:
  void options(CLI::App& app) override {
    app.add_option("user,--user", options_.user, "the user's name")->required();
    app.add_option("--file", options_.file,
                   "secret with the file as it is: it is printed whole, with the new line");
    app.add_flag("-D,--delete", options_.remove, "take the user out of --file instead");
    app.add_option("-H,--hash", options_.hash, "argon2id, or sha512-pbkdf2 (mosquitto's)")
        ->check(CLI::IsMember({"argon2id", "sha512-pbkdf2"}))
        ->capture_default_str();
    app.add_option("--passes", options_.cost.passes, "of Argon2id")
        ->check(CLI::Range(1, 64))
        ->capture_default_str();
    app.add_option("--memory-kib", options_.cost.memory_kib, "of Argon2id")
        ->check(CLI::Range(8, 1'048'576))
        ->capture_default_str();
    app.add_option("-I,--iterations", options_.iterations, "of PBKDF2")
        ->check(CLI::Range(1, 10'000'000))
        ->capture_default_str();
  }
  net::Status check() override {
    if (options_.remove && options_.file.empty())
      return {net::Error::invalid, "--delete needs --file"};
    return mqtt::with_user("", options_.user, "x").status();
  }
  net::Result<std::unique_ptr<Service>> build(net::Host& host) override {
    return std::unique_ptr<Service>(std::make_unique<MqttPasswd>(host, options_));
  }

 private:
  PasswdOptions options_;
};

}  // namespace

std::unique_ptr<Blueprint> mqtt_passwd_blueprint() {
  return std::make_unique<MqttPasswdBlueprint>();
}

}  // namespace culvert::services
