// Dialling on Linux. The kernel is no match for RFC 1122 section 4.2.3.9: an ICMP error that meets
// a socket in SYN_SENT closes it (it survives only if the error arrives inside connect(2) itself).
// So a Dial
//   - has the kernel ignore time exceeded in IPv4: IP_MINTTL 2 is compared with the TTL of the
//     quoted packet, which died at 1 or 0; a raw ICMP socket tells of it instead (icmp_listener.h);
//   - dials again from the same endpoint when another ICMP error has closed its socket, after
//     a pause that doubles (docs/fidelity.md F-04).
#pragma once

#include "impl/linux/host.h"

namespace culvert::linux_host {

class DialImpl : public net::Dial, private Watch {
 public:
  static net::Result<std::unique_ptr<net::Dial>> open(LinuxHost& host,
                                                      const net::DialOptions& options,
                                                      net::DialDone done);
  DialImpl(LinuxHost& host, const net::DialOptions& options, net::DialDone done);
  ~DialImpl() override;

  net::Endpoint local() const override { return local_; }
  net::Status set_ttl(uint8_t ttl) override;
  void on_soft_error(std::function<void(const net::IcmpEvent&)> callback) override;

  // The dial that shares `local` and wants `remote`; null if none does.
  static DialImpl* waiting(LinuxHost& host, const net::Endpoint& local,
                           const net::Endpoint& remote);
  void accepted(Fd fd);  // a listener on the endpoint was faster
  // From the raw ICMP socket: the quoted packet went from `local` to `event.to`.
  void icmp(const net::Endpoint& local, const net::IcmpEvent& event);

 private:
  void turn() override;
  net::Status begin();  // a socket, bound, connecting
  void again();         // later, because the kernel has given up on this socket
  void finish(net::Status status);
  bool soft(const net::IcmpEvent& event);  // false: this is gone
  void set_socket_ttl(int fd);
  IcmpListener* icmp_listener();

  LinuxHost& host_;
  const net::DialOptions options_;
  net::DialDone done_;
  std::function<void(const net::IcmpEvent&)> soft_;
  Fd won_;
  net::Endpoint local_;
  std::optional<uint8_t> ttl_;
  bool registered_ = false;
  net::Duration pause_;
  net::Status failed_;  // an end that begin() met; told later
  net::Error last_soft_ = net::Error::none;
  net::Timer limit_, retry_;
};

}  // namespace culvert::linux_host
