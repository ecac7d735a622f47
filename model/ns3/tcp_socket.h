// One TCP connection inside ns-3: TcpSocketBase's data transfer (windows, SACK, congestion control)
// with a handshake and an ending of our own. What ns-3 3.37 lacks or does wrong there, and is right
// here: simultaneous open, RST while connecting, random initial sequence numbers, window updates,
// half-close, data after or together with FIN, lost final acknowledgements. RFC 9293.
#pragma once

#include <functional>
#include <memory>

#include "model/net/datagram.h"
#include "model/net/stream.h"
#include "model/ns3/ip_output.h"
#include "ns3/event-id.h"
#include "ns3/ipv4-end-point.h"
#include "ns3/ipv6-end-point.h"
#include "ns3/tcp-socket-base.h"

namespace culvert::ns3_world {

class TcpSocket;

// Whoever holds a connection: a dial, a listener's queue, a stream. Called from inside the stack,
// so implementations only note what happened and ask for a turn.
class TcpOwner {
 public:
  virtual void connected(TcpSocket&) {}
  virtual void progressed(TcpSocket&) {}  // data, end of stream, room, or an error
  virtual void icmp(const net::IcmpEvent&) {}

 protected:
  ~TcpOwner() = default;
};

class TcpSocket : public ns3::TcpSocketBase {
 public:
  struct Config {
    net::Endpoint local, remote;
    uint32_t initial_sequence = 0;
    uint32_t buffer = 0;        // bytes, in each direction
    uint32_t segment_size = 0;  // bytes of payload
    uint8_t ttl = kDefaultTtl;
  };

  static ns3::TypeId GetTypeId();
  TcpSocket() = default;
  // Before anything else. `finished` runs when nothing is left to do for this connection.
  void configure(const Config& config, std::function<void(TcpSocket&)> finished);
  ~TcpSocket() override;

  void start_dial();    // sends SYN
  void start_accept();  // waits for the SYN that receive() brings next
  void receive(ns3::Ptr<ns3::Packet> packet, const ns3::Ipv4Header& header,
               ns3::Ptr<ns3::Ipv4Interface> interface);
  void receive(ns3::Ptr<ns3::Packet> packet, const ns3::Ipv6Header& header,
               ns3::Ptr<ns3::Ipv6Interface> interface);

  TcpOwner* owner = nullptr;  // none: orphaned, goes on until the other side has everything

  const net::Endpoint& local() const { return config_.local; }
  const net::Endpoint& remote() const { return config_.remote; }
  bool started() const { return started_; }
  bool connecting() const { return m_state == SYN_SENT || m_state == SYN_RCVD; }
  bool established() const { return m_state == ESTABLISHED; }
  bool lingering() const { return lingering_; }  // TIME-WAIT: gives way to a new connection
  net::Error error() const { return error_; }
  bool end_of_stream() const { return eof_; }
  uint32_t readable() const;  // bytes in order
  uint32_t room() const { return established() ? GetTxAvailable() : 0; }
  uint32_t buffer_size() const { return config_.buffer; }
  uint32_t isn() const { return config_.initial_sequence; }

  size_t read(net::MutableBytes out);
  size_t write(net::Bytes data);  // as much as there is room for
  void finish();                  // FIN after what was written
  bool finishing() const { return fin_wanted_; }
  void abort(bool tell_peer);  // with RST or silently; finished
  void orphan();               // the stream is gone: RST if data is unread, else FIN
  void set_ttl(uint8_t ttl);
  void set_no_delay(bool on) { SetTcpNoDelay(on); }
  net::PathStats path_stats() const;

 protected:
  void DoForwardUp(ns3::Ptr<ns3::Packet> packet, const ns3::Address& from,
                   const ns3::Address& to) override;
  void SendEmptyPacket(uint8_t flags) override;
  uint32_t SendDataPacket(ns3::SequenceNumber32 seq, uint32_t size, bool with_ack) override;
  void PersistTimeout() override;

 private:
  void connection_failed(ns3::Ptr<ns3::Socket>);
  void gave_up(ns3::Ptr<ns3::Socket>);
  void fail(net::Error error);
  void process(ns3::Ptr<ns3::Packet> packet, const ns3::TcpHeader& original, ns3::TcpHeader header,
               const ns3::Address& from, const ns3::Address& to);
  bool handle_reset(const ns3::TcpHeader& header);
  bool prepare_handshake(ns3::TcpHeader& header);
  void echo_timestamp(const ns3::TcpHeader& header);
  void note_fin(const ns3::TcpHeader& header, uint32_t size);
  void try_fin();
  void send_fin();
  void check_end();
  void answer_with_reset(const ns3::TcpHeader& header);
  void release();
  uint32_t usable_window() const;

  Config config_;
  std::function<void(TcpSocket&)> finished_;
  std::unique_ptr<ns3::Ipv4EndPoint> endpoint4_;
  std::unique_ptr<ns3::Ipv6EndPoint> endpoint6_;
  net::Error error_ = net::Error::none;
  bool started_ = false, done_ = false;
  uint8_t ttl_ = kDefaultTtl;  // the stack's own, until somebody asks for another

  bool eof_ = false;  // all up to the peer's FIN is in the buffer
  bool fin_seen_ = false;
  ns3::SequenceNumber32 fin_received_{0};  // the peer's FIN
  bool fin_wanted_ = false, fin_sent_ = false, fin_acked_ = false, fin_first_ = false;
  bool lingering_ = false;
  unsigned fin_tries_ = 0;
  ns3::EventId fin_timer_, linger_timer_;
  uint32_t unadvertised_ = 0;  // bytes read since the peer last heard of our window
  uint64_t retransmitted_ = 0;
};

}  // namespace culvert::ns3_world
