#include "model/services/metered.h"

namespace culvert::services {
namespace {

class MeteredStream : public net::Stream {
 public:
  MeteredStream(net::Host& host, std::unique_ptr<net::Stream> under, std::string_view service)
      : host_(host), under_(std::move(under)), service_(service) {}
  ~MeteredStream() override { end("closed"); }

  net::Endpoint local() const override { return under_->local(); }
  net::Endpoint remote() const override { return under_->remote(); }
  net::IoResult read(net::MutableBytes buffer) override {
    const net::IoResult result = under_->read(buffer);
    if (result.count > 0) host_.log().write(service_, "read", {{"bytes", uint64_t{result.count}}});
    return result;
  }
  net::IoResult write(net::Bytes data) override {
    const net::IoResult result = under_->write(data);
    if (result.count > 0) host_.log().write(service_, "wrote", {{"bytes", uint64_t{result.count}}});
    return result;
  }
  void shutdown_write() override {
    end("shutdown");
    under_->shutdown_write();
  }
  void reset() override {
    end("reset");
    under_->reset();
  }
  void on_readable(std::function<void()> callback) override {
    under_->on_readable(std::move(callback));
  }
  void on_writable(std::function<void()> callback) override {
    under_->on_writable(std::move(callback));
  }
  net::Status set_no_delay(bool on) override { return under_->set_no_delay(on); }
  net::PathStats stats() const override { return under_->stats(); }

 private:
  void end(std::string_view how) {
    if (std::exchange(ended_, true)) return;
    host_.log().write(service_, "ended", {{"how", how}});
  }

  net::Host& host_;
  std::unique_ptr<net::Stream> under_;
  std::string_view service_;
  bool ended_ = false;
};

class MeteredConnector : public net::Connector {
 public:
  MeteredConnector(net::Host& host, std::unique_ptr<net::Connector> under, std::string_view service)
      : host_(host), under_(std::move(under)), service_(service) {}

  std::unique_ptr<net::Connecting> connect(Done done, Failed failed) override {
    return under_->connect(
        [&host = host_, service = service_, done = std::move(done)](net::Connected connected) {
          host.log().write(service, "tcp", {{"local", connected.stream->local()}});
          connected.stream =
              std::make_unique<MeteredStream>(host, std::move(connected.stream), service);
          done(std::move(connected));
        },
        std::move(failed));
  }
  std::string describe() const override { return under_->describe(); }

 private:
  net::Host& host_;
  std::unique_ptr<net::Connector> under_;
  std::string_view service_;
};

}  // namespace

std::unique_ptr<net::Connector> metered_connector(net::Host& host,
                                                  std::unique_ptr<net::Connector> under,
                                                  std::string_view service) {
  return std::make_unique<MeteredConnector>(host, std::move(under), service);
}

}  // namespace culvert::services
