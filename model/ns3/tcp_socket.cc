#include "model/ns3/tcp_socket.h"

#include <algorithm>

#include "model/ns3/convert.h"
#include "ns3/boolean.h"
#include "ns3/nstime.h"
#include "ns3/rtt-estimator.h"
#include "ns3/simulator.h"
#include "ns3/tcp-header.h"
#include "ns3/tcp-l4-protocol.h"
#include "ns3/tcp-rx-buffer.h"
#include "ns3/tcp-tx-buffer.h"
#include "ns3/uinteger.h"

namespace culvert::ns3_world {
namespace {

using ns3::SequenceNumber32;
using ns3::TcpHeader;

constexpr uint32_t kSynTries = 6;     // Linux's tcp_syn_retries
constexpr uint32_t kDataTries = 15;   // Linux's tcp_retries2
constexpr unsigned kFinTries = 8;     // Linux's tcp_orphan_retries
constexpr int64_t kLingerMs = 60000;  // Linux's TCP_TIMEWAIT_LEN
constexpr int64_t kMaxRtoMs = 60000;  // RFC 6298 section 2.5

}  // namespace

ns3::TypeId TcpSocket::GetTypeId() {
  static const ns3::TypeId id = ns3::TypeId("culvert::TcpSocket")
                                    .SetParent<ns3::TcpSocketBase>()
                                    .SetGroupName("Culvert")
                                    .AddConstructor<TcpSocket>();
  return id;
}

void TcpSocket::configure(const Config& config, std::function<void(TcpSocket&)> finished) {
  config_ = config;
  finished_ = std::move(finished);
  SetSndBufSize(config.buffer);
  SetRcvBufSize(config.buffer);
  SetSegSize(config.segment_size);
  SetTcpNoDelay(true);
  SetConnTimeout(ns3::Seconds(1));  // RFC 6298 section 2.1
  SetSynRetries(kSynTries);
  SetDataRetries(kDataTries);
  SetDelAckTimeout(ns3::MilliSeconds(40));    // Linux's TCP_DELACK_MIN
  SetPersistTimeout(ns3::MilliSeconds(200));  // Linux probes after one RTO, at least TCP_RTO_MIN
  SetMinRto(ns3::MilliSeconds(200));          // Linux's TCP_RTO_MIN
  // The sequence starts at random (RFC 9293 section 3.4.1); everything that ns-3 compares with it
  // starts there too.
  const SequenceNumber32 isn(config.initial_sequence);
  m_tcb->m_nextTxSequence = isn;
  m_tcb->m_highTxMark = isn;
  m_txBuffer->SetHeadSequence(isn);
  m_recover = isn;
  m_highRxAckMark = isn;
  set_ttl(config.ttl);
  m_txBuffer->SetRWndCallback(ns3::MakeCallback(&TcpSocket::usable_window, this));
  if (config.local.ip.is_v4()) {
    endpoint4_ = std::make_unique<ns3::Ipv4EndPoint>(to_ipv4(config.local.ip), config.local.port);
    endpoint4_->SetPeer(to_ipv4(config.remote.ip), config.remote.port);
    m_endPoint = endpoint4_.get();
  } else {
    endpoint6_ = std::make_unique<ns3::Ipv6EndPoint>(to_ipv6(config.local.ip), config.local.port);
    endpoint6_->SetPeer(to_ipv6(config.remote.ip), config.remote.port);
    m_endPoint6 = endpoint6_.get();
  }
  SetConnectCallback(ns3::MakeNullCallback<void, ns3::Ptr<ns3::Socket>>(),
                     ns3::MakeCallback(&TcpSocket::connection_failed, this));
  SetCloseCallbacks(ns3::MakeNullCallback<void, ns3::Ptr<ns3::Socket>>(),
                    ns3::MakeCallback(&TcpSocket::gave_up, this));
}

TcpSocket::~TcpSocket() {
  fin_timer_.Cancel();
  linger_timer_.Cancel();
  m_endPoint = nullptr;  // ours, not the demultiplexer's
  m_endPoint6 = nullptr;
}

void TcpSocket::start_dial() {
  if (started_ || done_) return;
  started_ = true;
  m_rtt->Reset();
  m_synCount = m_synRetries;
  m_dataRetrCount = m_dataRetries;
  DoConnect();
}

void TcpSocket::start_accept() {
  // In SYN-SENT a SYN is answered with SYN+ACK, which is just what a listener does.
  started_ = true;
  m_rtt->Reset();
  m_synCount = m_synRetries;
  m_dataRetrCount = m_dataRetries;
  m_state = SYN_SENT;
}

void TcpSocket::receive(ns3::Ptr<ns3::Packet> packet, const ns3::Ipv4Header& header,
                        ns3::Ptr<ns3::Ipv4Interface> interface) {
  if (!started_) start_accept();
  if (m_endPoint) ForwardUp(packet, header, config_.remote.port, interface);
}

void TcpSocket::receive(ns3::Ptr<ns3::Packet> packet, const ns3::Ipv6Header& header,
                        ns3::Ptr<ns3::Ipv6Interface> interface) {
  if (!started_) start_accept();
  if (m_endPoint6) ForwardUp6(packet, header, config_.remote.port, interface);
}

uint32_t TcpSocket::readable() const { return m_tcb->m_rxBuffer->Available(); }

void TcpSocket::set_ttl(uint8_t ttl) {
  if (ttl == ttl_) return;
  ttl_ = ttl;
  if (config_.local.ip.is_v4())
    SetIpTtl(ttl);
  else
    SetIpv6HopLimit(ttl);
}

size_t TcpSocket::read(net::MutableBytes out) {
  size_t count = 0;
  while (count < out.size() && readable() > 0) {
    const auto wanted = static_cast<uint32_t>(std::min<size_t>(out.size() - count, 1u << 30));
    const ns3::Ptr<ns3::Packet> packet = m_tcb->m_rxBuffer->Extract(wanted);
    if (!packet) break;
    count += packet->CopyData(out.data() + count, packet->GetSize());
  }
  unadvertised_ += static_cast<uint32_t>(count);
  if (established() && !eof_ && unadvertised_ >= 2 * config_.segment_size) {
    // ns-3 says nothing when a full buffer has been read, so that the peer would wait for its own
    // probe. As Linux does: tell when the window has at least doubled.
    const auto window = static_cast<uint32_t>(m_tcb->m_rxBuffer->MaxRxSequence() -
                                              m_tcb->m_rxBuffer->NextRxSequence());
    const uint32_t offered = window > unadvertised_ ? window - unadvertised_ : 0;
    if (window >= 2 * offered) SendEmptyPacket(TcpHeader::ACK);
  }
  return count;
}

size_t TcpSocket::write(net::Bytes data) {
  const auto size = static_cast<uint32_t>(std::min<size_t>(room(), data.size()));
  if (size == 0 || fin_wanted_) return 0;
  // Send() is all or nothing, so it gets no more than there is room for.
  return Send(ns3::Create<ns3::Packet>(data.data(), size), 0) < 0 ? 0 : size;
}

void TcpSocket::finish() {
  if (fin_wanted_) return;
  fin_wanted_ = true;
  try_fin();
}

void TcpSocket::try_fin() {
  if (!fin_wanted_ || fin_sent_ || !established()) return;
  if (m_txBuffer->SizeFromSequence(m_tcb->m_highTxMark) > 0) return;  // goes after the last byte
  fin_sent_ = true;
  fin_first_ = !eof_;
  send_fin();
}

// The base stays in ESTABLISHED and never learns of FINs, which take one sequence number each: ours
// is added to what it sends and taken off what is acknowledged.
void TcpSocket::send_fin() {
  if (done_ || fin_acked_) return;
  if (fin_tries_++ > kFinTries) {
    fail(net::Error::timed_out);
    return;
  }
  const SequenceNumber32 next = m_tcb->m_nextTxSequence;
  m_tcb->m_nextTxSequence = m_txBuffer->TailSequence();
  const bool data_in_flight = m_retxEvent.IsRunning();
  ns3::TcpSocketBase::SendEmptyPacket(TcpHeader::FIN | TcpHeader::ACK);
  m_tcb->m_nextTxSequence = next;
  // The base sets its own timer for a FIN when none runs for data; ours does for both.
  if (!data_in_flight) m_retxEvent.Cancel();
  const int64_t rto = std::min<int64_t>(
      std::max<int64_t>(m_rto.Get().GetMilliSeconds(), 200) << (fin_tries_ - 1), kMaxRtoMs);
  fin_timer_ = ns3::Simulator::Schedule(ns3::MilliSeconds(rto), &TcpSocket::send_fin, this);
}

void TcpSocket::SendEmptyPacket(uint8_t flags) {
  if (flags & TcpHeader::ACK) unadvertised_ = 0;
  if (!fin_sent_) {
    ns3::TcpSocketBase::SendEmptyPacket(flags);
    return;
  }
  const SequenceNumber32 next = m_tcb->m_nextTxSequence;
  m_tcb->m_nextTxSequence = m_txBuffer->TailSequence() + SequenceNumber32(1);
  ns3::TcpSocketBase::SendEmptyPacket(flags);
  m_tcb->m_nextTxSequence = next;
}

uint32_t TcpSocket::SendDataPacket(SequenceNumber32 seq, uint32_t size, bool with_ack) {
  if (with_ack) {
    unadvertised_ = 0;
    // The base keeps this for bare acknowledgements only, and would go on echoing the time stamp of
    // the last that had one: the peer's round trip would grow with time (RFC 7323 section 4.3).
    m_highTxAck = m_tcb->m_rxBuffer->NextRxSequence();
  }
  if (seq < m_tcb->m_highTxMark.Get()) ++retransmitted_;
  const uint32_t sent = ns3::TcpSocketBase::SendDataPacket(seq, size, with_ack);
  if (fin_wanted_ && !fin_sent_ && m_txBuffer->SizeFromSequence(m_tcb->m_highTxMark) == 0)
    ns3::Simulator::ScheduleNow([self = ns3::Ptr<TcpSocket>(this)] { self->try_fin(); });
  return sent;
}

// With exactly a window's worth sent and part of it selectively acknowledged, the base would send a
// segment of nothing and crash: then there is no window.
uint32_t TcpSocket::usable_window() const {
  const uint32_t window = GetRWnd();
  const auto sent = static_cast<uint32_t>(m_tcb->m_highTxMark.Get() - m_txBuffer->HeadSequence());
  return window > 0 && window == sent ? window - 1 : window;
}

void TcpSocket::PersistTimeout() {
  // The base would take a byte from an empty buffer and crash.
  if (m_txBuffer->SizeFromSequence(m_tcb->m_nextTxSequence) > 0)
    ns3::TcpSocketBase::PersistTimeout();
}

net::PathStats TcpSocket::path_stats() const {
  net::PathStats stats;
  stats.rtt = from_ns3(m_rtt->GetEstimate());
  stats.retransmitted = retransmitted_;
  stats.cwnd = m_tcb->m_cWnd.Get();
  stats.mss = config_.segment_size;
  return stats;
}

void TcpSocket::connection_failed(ns3::Ptr<ns3::Socket>) { fail(net::Error::timed_out); }

// The base has given the connection up: no answer to data or SYNs, or segments that make no sense.
void TcpSocket::gave_up(ns3::Ptr<ns3::Socket>) {
  fail(m_dataRetrCount == 0 ? net::Error::timed_out : net::Error::reset);
}

void TcpSocket::fail(net::Error error) {
  if (done_) return;
  error_ = error;
  release();
  if (owner) owner->progressed(*this);
}

void TcpSocket::abort(bool tell_peer) {
  if (done_) return;
  if (tell_peer && started_) SendEmptyPacket(TcpHeader::RST);
  if (error_ == net::Error::none) error_ = net::Error::reset;
  release();
}

void TcpSocket::orphan() {
  owner = nullptr;
  if (done_) return;
  if (!established() || readable() > 0) {
    abort(true);
    return;
  }
  finish();
  check_end();
  // A peer that never finishes must not keep us for ever (Linux's tcp_fin_timeout: 60 s).
  if (!done_ && !linger_timer_.IsRunning())
    linger_timer_ = ns3::Simulator::Schedule(ns3::MilliSeconds(kLingerMs), [this] {
      if (!fin_sent_ || fin_acked_) abort(false);
    });
}

void TcpSocket::release() {
  done_ = true;
  fin_timer_.Cancel();
  linger_timer_.Cancel();
  CancelAllTimers();
  m_state = CLOSED;
  m_endPoint = nullptr;
  m_endPoint6 = nullptr;
  // Some of ns-3's scheduled calls hold a bare pointer to the socket; it stays until they are over.
  ns3::Simulator::Schedule(ns3::MilliSeconds(1), [self = ns3::Ptr<TcpSocket>(this)] {});
  if (finished_) std::exchange(finished_, nullptr)(*this);
}

void TcpSocket::check_end() {
  if (done_ || lingering_ || !fin_acked_ || !eof_ || owner) return;
  if (!fin_first_) {
    release();
    return;
  }
  lingering_ = true;  // TIME-WAIT
  linger_timer_.Cancel();
  linger_timer_ = ns3::Simulator::Schedule(ns3::MilliSeconds(kLingerMs), [this] { release(); });
}

}  // namespace culvert::ns3_world
