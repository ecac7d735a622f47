// TCP streams on Linux: non-blocking, readiness from the Loop's edges.
#pragma once

#include "impl/linux/host.h"

namespace culvert::linux_host {

class StreamImpl : public net::Stream, private Watch {
 public:
  // `fd` is connected and non-blocking.
  StreamImpl(LinuxHost& host, Fd fd, const net::Endpoint& local, const net::Endpoint& remote);

  net::Endpoint local() const override { return local_; }
  net::Endpoint remote() const override { return remote_; }
  net::IoResult read(net::MutableBytes buffer) override;
  net::IoResult write(net::Bytes data) override;
  void shutdown_write() override;
  void reset() override;
  void on_readable(std::function<void()> callback) override;
  void on_writable(std::function<void()> callback) override;
  net::Status set_no_delay(bool on) override;
  net::PathStats stats() const override;

 private:
  void turn() override;
  net::IoResult fail(net::Error error);

  net::Endpoint local_, remote_;
  net::Error end_ = net::Error::none;  // what reading ends with, once it was told
  bool dead_ = false;                  // end_ holds for writing, too
  bool finished_ = false;              // we sent FIN
  bool told_ = false;                  // read() has returned end_
  std::function<void()> readable_, writable_;
};

}  // namespace culvert::linux_host
