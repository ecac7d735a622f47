// One datagram socket, several users: the STUN client, the STUN server, the punch probes, the
// rendezvous frames and the data share it, because behind a NAT it is the socket that counts.
// Stands on model/net/datagram.h. First bytes as RFC 7983 deals them out: STUN 0..3.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "model/net/datagram.h"

namespace culvert::net {

// The first byte of what each kind of datagram begins with, both ends included.
struct FirstBytes {
  uint8_t first = 0, last = 255;
};
constexpr FirstBytes kStunBytes{0, 3};            // RFC 7983 section 7
constexpr FirstBytes kRendezvousBytes{192, 192};  // ours: RFC 7983 leaves 192..255 free
constexpr FirstBytes kDataBytes{193, 193};        // ours: what runs over a punched path
constexpr FirstBytes kAllBytes{0, 255};

class DatagramMux {
 public:
  // Answers whether the datagram was this user's. `in` says where it came from and how; `data` is
  // one datagram (trains are cut up before).
  using Receive = std::function<bool(const DatagramIn& in, Bytes data)>;
  using Icmp = std::function<void(const IcmpEvent& event)>;

  // Registered until destroyed, which may happen inside any callback.
  class User {
   public:
    ~User();

   private:
    friend class DatagramMux;
    struct Entry;
    explicit User(std::shared_ptr<Entry> entry) : entry_(std::move(entry)) {}
    std::shared_ptr<Entry> entry_;
  };

  explicit DatagramMux(std::unique_ptr<DatagramSocket> socket);
  ~DatagramMux();
  DatagramMux(const DatagramMux&) = delete;
  DatagramMux& operator=(const DatagramMux&) = delete;

  // Users whose range holds the first byte are asked in the order in which they registered, until
  // one takes the datagram. ICMP events go to all of them.
  [[nodiscard]] std::unique_ptr<User> attach(FirstBytes range, Receive receive, Icmp icmp = {});

  DatagramSocket& socket() { return *socket_; }
  Endpoint local() const { return socket_->local(); }
  // A datagram, or nothing: would_block drops it, as a network might (counted in send_drops).
  Status send_to(const Endpoint& to, Bytes data, std::optional<uint8_t> ttl = {});
  Status send(const DatagramOut& out);

  uint64_t unclaimed() const { return unclaimed_; }    // datagrams that nobody took
  uint64_t send_drops() const { return send_drops_; }  // datagrams that the socket did not take

 private:
  void receive();
  void give(const DatagramIn& in, Bytes data);
  template <class Visit>
  bool each(Visit visit);

  std::unique_ptr<DatagramSocket> socket_;
  std::vector<std::shared_ptr<User::Entry>> users_;
  std::shared_ptr<bool> alive_;
  Buffer buffer_;
  uint64_t unclaimed_ = 0, send_drops_ = 0;
};

}  // namespace culvert::net
