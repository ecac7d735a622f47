#include <utility>

#include "model/mqtt/client/client.h"

namespace culvert::mqtt {
namespace {

class Attaching : public net::Connecting {
 public:
  std::shared_ptr<bool> alive = std::make_shared<bool>(true);
};

class PipeConnector : public net::Connector {
 public:
  PipeConnector(net::Host& host, std::function<std::unique_ptr<net::Stream>()> attach)
      : host_(host), attach_(std::move(attach)) {}

  std::unique_ptr<net::Connecting> connect(Done done, Failed failed) override {
    auto attaching = std::make_unique<Attaching>();
    host_.post([attach = attach_, done = std::move(done), failed = std::move(failed),
                alive = std::weak_ptr<bool>(attaching->alive)] {
      if (alive.expired()) return;
      net::Connected connected;
      connected.stream = attach();
      if (alive.expired()) return;
      if (!connected.stream)
        return failed({{net::Error::refused, "the broker takes no more connections"}, "tcp"});
      done(std::move(connected));
    });
    return attaching;
  }
  std::string describe() const override { return "pipe"; }

 private:
  net::Host& host_;
  std::function<std::unique_ptr<net::Stream>()> attach_;
};

}  // namespace

std::unique_ptr<net::Connector> pipe_connector(
    net::Host& host, std::function<std::unique_ptr<net::Stream>()> attach) {
  return std::make_unique<PipeConnector>(host, std::move(attach));
}

}  // namespace culvert::mqtt
