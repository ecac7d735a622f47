#include "model/monitor/phase.h"

namespace culvert::monitor {
namespace {

constexpr std::array<std::string_view, kPhases> kNames{
    "name", "tcp", "proxy", "tls", "websocket", "connack", "suback", "puback", "loopback"};

class Staged final : public net::Connector {
 public:
  Staged(std::unique_ptr<net::Connector> under, std::shared_ptr<Stage> stage, Phase its, Phase then)
      : under_(std::move(under)), stage_(std::move(stage)), its_(its), then_(then) {}
  std::unique_ptr<net::Connecting> connect(Done done, Failed failed) override {
    stage_->now = its_;
    return under_->connect(
        [stage = stage_, then = then_, done = std::move(done)](net::Connected connected) {
          stage->now = then;
          done(std::move(connected));
        },
        std::move(failed));
  }
  std::string describe() const override { return under_->describe(); }

 private:
  std::unique_ptr<net::Connector> under_;
  std::shared_ptr<Stage> stage_;
  const Phase its_, then_;
};

}  // namespace

std::string_view to_string(Phase phase) { return kNames[static_cast<size_t>(phase)]; }

std::optional<Phase> phase_of(std::string_view text) {
  for (size_t i = 0; i < kPhases; ++i)
    if (kNames[i] == text) return static_cast<Phase>(i);
  return {};
}

std::unique_ptr<net::Connector> staged(std::unique_ptr<net::Connector> under,
                                       std::shared_ptr<Stage> stage, Phase its, Phase then) {
  return std::make_unique<Staged>(std::move(under), std::move(stage), its, then);
}

}  // namespace culvert::monitor
