#include "model/net/connector.h"

#include "model/net/tls/tls.h"

namespace culvert::net {
namespace {

constexpr Duration kHandshakeLimit = 30s;  // ours: as long as TcpTarget gives to name and TCP

class TlsConnecting : public Connecting {
 public:
  TlsConnecting(Host& host, Connector& under, std::shared_ptr<TlsContext> context,
                const std::string& name, Connector::Done done, Connector::Failed failed)
      : host_(host),
        context_(std::move(context)),
        name_(name),
        done_(std::move(done)),
        failed_(std::move(failed)) {
    under_ = under.connect([this](Connected connected) { connected_below(std::move(connected)); },
                           [this](ConnectFailure failure) {
                             const auto failed = std::move(failed_);
                             failed(std::move(failure));  // may destroy this
                           });
  }

 private:
  void connected_below(Connected connected) {
    began_ = host_.now();
    times_ = connected.times;
    handshake_ = tls_connect(host_, context_, std::move(connected.stream), name_, kHandshakeLimit,
                             [this](Result<std::unique_ptr<TlsStream>> stream) { over(stream); });
  }

  void over(Result<std::unique_ptr<TlsStream>>& stream) {
    if (!stream) {
      const auto failed = std::move(failed_);
      const Status& why = stream.status();
      failed({{why.error, "tls: " + why.detail}, "tls"});  // may destroy this
      return;
    }
    times_.tls = host_.now() - began_;
    Connected connected;
    connected.times = times_;
    connected.alpn = (*stream)->info().alpn;
    connected.tls_resumed = (*stream)->info().resumed;
    connected.stream = std::move(*stream);
    const auto done = std::move(done_);
    done(std::move(connected));  // may destroy this
  }

  Host& host_;
  std::shared_ptr<TlsContext> context_;
  std::string name_;
  Connector::Done done_;
  Connector::Failed failed_;
  Time began_{0};
  ConnectTimes times_;
  std::unique_ptr<Connecting> under_;
  std::unique_ptr<TlsHandshake> handshake_;
};

class TlsConnector : public Connector {
 public:
  TlsConnector(Host& host, std::unique_ptr<Connector> under, std::shared_ptr<TlsContext> context,
               std::string name)
      : host_(host),
        under_(std::move(under)),
        context_(std::move(context)),
        name_(std::move(name)) {}
  std::unique_ptr<Connecting> connect(Done done, Failed failed) override {
    return std::make_unique<TlsConnecting>(host_, *under_, context_, name_, std::move(done),
                                           std::move(failed));
  }
  // "tls://…" for TCP; whatever else is below keeps its own words.
  std::string describe() const override {
    const std::string below = under_->describe();
    return below.rfind("tcp://", 0) == 0 ? "tls" + below.substr(3) : "tls over " + below;
  }

 private:
  Host& host_;
  std::unique_ptr<Connector> under_;
  std::shared_ptr<TlsContext> context_;
  std::string name_;
};

}  // namespace

std::unique_ptr<Connector> tls_connector(Host& host, std::unique_ptr<Connector> under,
                                         std::shared_ptr<TlsContext> context, std::string name) {
  return std::make_unique<TlsConnector>(host, std::move(under), std::move(context),
                                        std::move(name));
}

}  // namespace culvert::net
