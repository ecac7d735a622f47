// What a TcpSocket does with a segment before and after ns-3 gets to see it.
#include <utility>

#include "model/ns3/tcp_socket.h"
#include "ns3/simulator.h"
#include "ns3/tcp-header.h"
#include "ns3/tcp-l4-protocol.h"
#include "ns3/tcp-rx-buffer.h"
#include "ns3/tcp-tx-buffer.h"

namespace culvert::ns3_world {

using ns3::SequenceNumber32;
using ns3::TcpHeader;

void TcpSocket::DoForwardUp(ns3::Ptr<ns3::Packet> packet, const ns3::Address& from,
                            const ns3::Address& to) {
  const ns3::Ptr<TcpSocket> self(this);  // an owner may let go of us
  if (done_) return;
  TcpHeader original;
  const uint32_t size = packet->GetSize() - packet->PeekHeader(original);
  TcpHeader header = original;
  const uint8_t flags = header.GetFlags();
  if (flags & TcpHeader::RST) {
    handle_reset(header);
    return;
  }
  if (connecting()) {
    if (!prepare_handshake(header)) return;
  } else if (flags & TcpHeader::SYN) {
    // An old handshake segment; ns-3 would start its congestion window anew and say nothing, so a
    // lost third acknowledgement would never be repaired (RFC 5961 section 4.2).
    SendEmptyPacket(TcpHeader::ACK);
    return;
  }
  if (!owner && established() && size > 0 &&
      header.GetSequenceNumber() + size > m_tcb->m_rxBuffer->NextRxSequence()) {
    abort(true);  // data for a stream that nobody reads any more (RFC 1122 section 4.2.2.13)
    return;
  }
  const bool was_connecting = connecting();
  const uint32_t had_room = room();
  const uint32_t had_data = readable();
  process(packet, original, header, from, to);
  if (done_) return;
  if (!m_endPoint && !m_endPoint6) {  // ns-3 threw it away: flags that make no sense
    fail(net::Error::reset);
    return;
  }
  const bool now_connected = was_connecting && established();
  if (established() && (flags & TcpHeader::FIN)) note_fin(header, size);
  if (fin_seen_ && !eof_ && m_tcb->m_rxBuffer->NextRxSequence() == fin_received_) {
    eof_ = true;
    m_tcb->m_rxBuffer->SetNextRxSequence(fin_received_ + SequenceNumber32(1));
    SendEmptyPacket(TcpHeader::ACK);
    if (owner && !now_connected) owner->progressed(*this);
  }
  if (now_connected && owner) owner->connected(*this);
  if (!done_ && owner && (readable() > had_data || room() > had_room)) owner->progressed(*this);
  try_fin();
  check_end();
}

void TcpSocket::process(ns3::Ptr<ns3::Packet> packet, const TcpHeader& original, TcpHeader header,
                        const ns3::Address& from, const ns3::Address& to) {
  if (fin_sent_ && (header.GetFlags() & TcpHeader::ACK) &&
      header.GetAckNumber() == m_txBuffer->TailSequence() + SequenceNumber32(1)) {
    fin_acked_ = true;
    fin_timer_.Cancel();
    header.SetAckNumber(m_txBuffer->TailSequence());
  }
  header.SetFlags(static_cast<uint8_t>(header.GetFlags() & ~TcpHeader::FIN));
  if (!(header == original)) {
    TcpHeader old;
    packet->RemoveHeader(old);
    packet->AddHeader(header);
  }
  ns3::TcpSocketBase::DoForwardUp(packet, from, to);
}

void TcpSocket::note_fin(const TcpHeader& header, uint32_t size) {
  if (fin_seen_) {
    if (eof_) SendEmptyPacket(TcpHeader::ACK);  // ours was lost
    return;
  }
  fin_seen_ = true;
  fin_received_ = header.GetSequenceNumber() + SequenceNumber32(size);
  if (m_tcb->m_rxBuffer->NextRxSequence() > fin_received_) fin_seen_ = false;  // makes no sense
}

// RFC 9293 section 3.5.3 and RFC 5961 section 3.
bool TcpSocket::handle_reset(const TcpHeader& header) {
  const SequenceNumber32 seq = header.GetSequenceNumber();
  if (m_state == SYN_SENT) {
    const bool ours = (header.GetFlags() & TcpHeader::ACK) &&
                      header.GetAckNumber() == m_tcb->m_nextTxSequence + SequenceNumber32(1);
    if (ours) fail(net::Error::refused);
    return ours;
  }
  const SequenceNumber32 next = m_tcb->m_rxBuffer->NextRxSequence();
  const uint32_t window = std::max(config_.buffer, 1u);
  if (seq < next || seq >= next + SequenceNumber32(window)) return false;
  fail(m_state == SYN_RCVD ? net::Error::refused : net::Error::reset);
  return true;
}

// False: the segment is dealt with.
bool TcpSocket::prepare_handshake(TcpHeader& header) {
  const uint8_t flags = header.GetFlags();
  const bool syn = flags & TcpHeader::SYN, ack = flags & TcpHeader::ACK;
  const bool acks_ours =
      ack && header.GetAckNumber() == m_tcb->m_nextTxSequence + SequenceNumber32(1);
  if (ack && !acks_ours) {
    // Of an earlier connection: the peer is told, we go on connecting (RFC 9293 section 3.10.7.3).
    answer_with_reset(header);
    return false;
  }
  if (m_state == SYN_SENT) {
    if (!syn) return false;  // ns-3 would take bare data for an established connection
    m_retxEvent.Cancel();    // it would repeat SYN where SYN+ACK is due
    echo_timestamp(header);
  } else if (syn && ack) {
    // Simultaneous open: SYN+ACK crosses ours. Its SYN was seen already; what is left is the
    // acknowledgement, whose window is not scaled (RFC 7323 section 2.2).
    if (header.GetSequenceNumber() + SequenceNumber32(1) != m_tcb->m_rxBuffer->NextRxSequence()) {
      answer_with_reset(header);
      return false;
    }
    header.SetFlags(TcpHeader::ACK);
    header.SetSequenceNumber(header.GetSequenceNumber() + SequenceNumber32(1));
    header.SetWindowSize(static_cast<uint16_t>(header.GetWindowSize() >> m_sndWindShift));
  } else if (!syn && !ack) {
    return false;
  }
  // From here on the connection is made or dies: the TTL of an opener has done its work.
  if (acks_ours) set_ttl(kDefaultTtl);
  return true;
}

// ns-3 takes a time stamp to echo only from the segment it expects, and before a SYN it expects
// number 0: ours, which begin at random, would be answered with echo 0, which the sender of the SYN
// takes for a round trip as long as the simulation (RFC 7323 section 3.2).
void TcpSocket::echo_timestamp(const TcpHeader& header) {
  m_highTxAck = header.GetSequenceNumber();
  m_tcb->m_rxBuffer->SetNextRxSequence(header.GetSequenceNumber());
}

void TcpSocket::answer_with_reset(const TcpHeader& header) {
  TcpHeader reset;
  reset.SetFlags(TcpHeader::RST);
  reset.SetSequenceNumber(header.GetAckNumber());
  reset.SetSourcePort(header.GetDestinationPort());
  reset.SetDestinationPort(header.GetSourcePort());
  const auto packet = ns3::Create<ns3::Packet>();
  if (m_endPoint)
    m_tcp->SendPacket(packet, reset, m_endPoint->GetLocalAddress(), m_endPoint->GetPeerAddress());
  else
    m_tcp->SendPacket(packet, reset, m_endPoint6->GetLocalAddress(), m_endPoint6->GetPeerAddress());
}

}  // namespace culvert::ns3_world
