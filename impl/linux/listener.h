// TCP listeners on Linux, and the hand-over of what they accept to a Dial that waits for it.
#pragma once

#include <deque>

#include "impl/linux/host.h"

namespace culvert::linux_host {

class ListenerImpl : public net::Listener, private Watch {
 public:
  static net::Result<std::unique_ptr<net::Listener>> open(LinuxHost& host,
                                                          const net::ListenOptions& options);
  ListenerImpl(LinuxHost& host, Fd fd, size_t backlog, bool shared);
  ~ListenerImpl() override;

  net::Endpoint local() const override { return local_; }
  std::unique_ptr<net::Stream> accept() override;
  void on_readable(std::function<void()> callback) override;

  // Takes out what has come for a dial; an empty Fd if nothing has.
  Fd take(const net::Endpoint& local, const net::Endpoint& remote);

 private:
  struct Waiting {
    Fd fd;
    net::Endpoint local, remote;
  };
  void turn() override;
  bool next(Waiting* out);  // from the kernel; what a dial waits for goes there
  void drain();             // into waiting_, as far as the backlog allows
  bool dials_wait() const;

  LinuxHost& host_;
  net::Endpoint local_;
  const size_t backlog_;
  const bool shared_;
  std::deque<Waiting> waiting_;
  std::function<void()> readable_;
  net::Timer retry_;  // no descriptor was left: no edge will tell when there is one
};

}  // namespace culvert::linux_host
