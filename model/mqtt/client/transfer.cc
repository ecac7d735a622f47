// A client's bytes: packets cut out of what comes, and one write for all that a turn has to say.
#include <algorithm>
#include <array>

#include "model/mqtt/client/impl.h"

namespace culvert::mqtt {
namespace {

constexpr size_t kPiece = 32 * 1024;    // ours: read at a time, on the stack, so that idle
                                        // clients hold no buffer
constexpr int kPieces = 8;              // ours: then others may run
constexpr size_t kCrowded = 64 * 1024;  // ours: bytes waiting to be written; then no more are made
constexpr size_t kKeptOut = 16 * 1024;  // ours: capacity that the buffer keeps when it is empty

}  // namespace

bool Client::Impl::crowded() const { return out_.size() - out_at_ >= kCrowded; }

void Client::Impl::readable() {
  std::array<uint8_t, kPiece> piece;
  for (int i = 0; i < kPieces && stream_; ++i) {
    if (crowded()) {  // the broker does not read our answers: we do not read its messages
      reading_paused_ = true;
      return;
    }
    net::Stream* const stream = stream_.get();
    const net::IoResult result = stream->read(piece);
    if (result.count == 0) {
      if (result.error == net::Error::would_block) return;
      if (phase_ == Phase::leaving) return gone_away();
      const char* const why =
          result.error == net::Error::closed ? "the broker closed the connection" : "";
      return fail({result.error, why}, Reason::success,
                  phase_ == Phase::up ? "session" : "connack");
    }
    if (phase_ == Phase::leaving) continue;  // DISCONNECT is out: nothing counts any more
    last_received_ = host_.now();
    bool more = false;
    if (!survives([&] { more = take(Bytes(piece).first(result.count)); })) return;
    if (!more || stream_.get() != stream || result.count < piece.size()) return;
  }
}

bool Client::Impl::take(Bytes data) {
  const net::Stream* const stream = stream_.get();
  while (!data.empty()) {
    const bool begun = !in_.empty();
    auto cut = next_frame(begun ? Bytes(in_) : data, options_.maximum_packet_size, Side::server);
    if (begun && std::holds_alternative<Frame>(cut) && std::get<Frame>(cut).size == 0) {
      in_.push_back(data[0]);  // its length is not known yet: at most five times
      data = data.subspan(1);
      cut = next_frame(in_, options_.maximum_packet_size, Side::server);
    }
    if (const Fault* wrong = std::get_if<Fault>(&cut)) {
      fault(wrong->reason, wrong->why);
      return false;
    }
    const size_t size = std::get<Frame>(cut).size;
    bool alive = true;
    if (begun) {
      if (size == 0) continue;
      const size_t part = std::min(size - in_.size(), data.size());
      in_.insert(in_.end(), data.begin(), data.begin() + static_cast<std::ptrdiff_t>(part));
      data = data.subspan(part);
      if (in_.size() < size) return true;
      net::Buffer whole;  // on the stack: views outlive a client that goes in its own callback
      whole.swap(in_);
      alive = survives([&] { packet(whole); });
    } else if (size == 0 || size > data.size()) {
      in_.reserve(std::min<size_t>(size, kKeptOut));
      in_.assign(data.begin(), data.end());
      return true;
    } else {
      alive = survives([&] { packet(data.first(size)); });
      data = data.subspan(size);
    }
    if (!alive || stream_.get() != stream || phase_ == Phase::leaving) return false;
  }
  return true;
}

void Client::Impl::send(const Packet& packet) { (void)encode(packet, version_, out_); }

void Client::Impl::answer(Type type, uint16_t id, Reason reason, uint64_t barrier) {
  if (barrier > journal_.durable() || !answers_.empty())
    answers_.push({type, id, reason, barrier});  // barriers only grow: first in, first out
  else
    say({type, id, reason, barrier});
}

void Client::Impl::say(const Inbox::Answer& answer) {
  Ack ack;
  ack.type = answer.type;
  ack.packet_id = answer.id;
  ack.reason = answer.reason;
  if (answer.type != Type::pubrec || is_error(answer.reason)) inbox_.answered();
  send(ack);
}

void Client::Impl::flush_answers() {
  while (const auto due = inbox_.next_answer())
    answer(due->type, due->id, due->reason, due->barrier);
  while (!answers_.empty() && answers_.front().barrier <= journal_.durable()) say(answers_.pop());
}

void Client::Impl::committed(net::Status status) {
  journal_.finished(status.ok());
  if (status.ok()) return;
  // Nothing is said that is not durable, so nothing is lost; it is tried again with the next
  // connection. Until then the broker is better told by silence.
  store_failed_ = true;
  status.detail = "the store: " + status.detail;
  fail(std::move(status), Reason::success, "session");
}

void Client::Impl::pump() {
  if (!stream_) return;
  if (phase_ == Phase::up) {
    flush_answers();
    while (const auto released = outbox_.next_release(journal_.durable())) {
      Ack ack;
      ack.type = Type::pubrel;
      ack.packet_id = Outbox::id_of(*released);
      send(ack);
    }
  }
  if (may_send() && pump_wishes()) pump_messages();
}

bool Client::Impl::pump_wishes() {
  while (Wishes::Wish* wish = wishes_.next()) {
    Wishes::Wish dropped;
    if (auto status = unfit(*wish)) {
      wishes_.drop(wish, dropped);
      later(std::move(dropped.done), {std::move(*status), {}, {}});
      continue;
    }
    uint16_t id = 0;
    for (unsigned tries = 0; tries < 65535 && id == 0; ++tries) {
      if (wish_id_ == 0) wish_id_ = 65535;
      if (!outbox_.uses(wish_id_) && !wishes_.uses(wish_id_)) id = wish_id_;
      --wish_id_;
    }
    if (id == 0) return false;  // 65,535 exchanges are under way
    net::Status status;
    const size_t before = out_.size();
    if (wish->away) {
      Unsubscribe packet;
      packet.packet_id = id;
      for (const SubscribeRequest& request : wish->filters)
        packet.filters.push_back(request.filter);
      status = encode(Packet(std::move(packet)), version_, out_);
    } else {
      Subscribe packet;
      packet.packet_id = id;
      packet.subscription_id = wish->subscription_id;
      for (const SubscribeRequest& request : wish->filters)
        packet.entries.push_back({request.filter, request.options});
      status = encode(Packet(std::move(packet)), version_, out_);
    }
    if (status && out_.size() - before > limits_.packet_bytes) {
      out_.resize(before);
      status = {net::Error::too_big, "larger than the packets that the broker takes"};
    }
    if (!status) {
      wishes_.drop(wish, dropped);
      later(std::move(dropped.done), {std::move(status), {}, {}});
      continue;
    }
    wish->id = id;
  }
  return true;
}

bool Client::Impl::pump_messages() {
  if (phase_ == Phase::greeting && !fresh_) return true;  // CONNACK tells what is sent again
  const auto taken = [this](uint16_t id) { return !wishes_.empty() && wishes_.uses(id); };
  while (!crowded()) {
    const auto sequence = outbox_.next(taken);
    if (!sequence) return true;
    Outbox::Entry& entry = outbox_.at(*sequence);
    if (entry.barrier > journal_.durable()) return true;
    const net::Time now = entry.expires == net::Time::max() ? net::Time(0) : host_.now();
    if (!entry.attempted) {
      if (entry.expires <= now) {
        PublishOutcome late;
        late.status = {net::Error::timed_out, "the message expired before it could be sent"};
        ended(outbox_.end(*sequence, std::move(late)));
        continue;
      }
      if (auto outcome = unfit(entry.qos, entry.packet[0] & 1, entry.packet.size())) {
        ended(outbox_.end(*sequence, std::move(*outcome)));
        continue;
      }
      if (entry.qos == 2 && !journal_.may_send(*sequence)) {
        // Whether it was sent must be known after a crash. For all that the window lets through.
        journal_.mark(std::min(outbox_.next_sequence(), *sequence + outbox_.quota()));
        return true;
      }
    }
    if (!aliases_out_ && entry.expires == net::Time::max()) {
      const size_t at = out_.size();
      out_.insert(out_.end(), entry.packet.begin(), entry.packet.end());
      if (entry.attempted) out_[at] |= 0x08;  // DUP, 3.3.1.1
    } else {
      Publish publish;
      Fault fault;
      if (decode_publish(entry.packet, version_, publish, fault, Side::client) != nullptr) {
        PublishOutcome damaged;  // only a store can have done that
        damaged.status = {net::Error::failed, "the message came back damaged from the store"};
        ended(outbox_.end(*sequence, std::move(damaged)));
        continue;
      }
      if (entry.expires != net::Time::max())
        // What is left, rounded up as brokers do: what has less than a second left still says 1.
        publish.properties.expiry_s = static_cast<uint32_t>(
            std::max<int64_t>(0, (entry.expires - now).count() + 999'999'999) / 1'000'000'000);
      send_publish(publish, entry.attempted);
    }
    outbox_.sent(*sequence);
    if (entry.qos == 0) {
      Outbox::Ended sent = outbox_.end(*sequence, {});
      if (sent.entry.done)
        to_tell_.push({written_ + (out_.size() - out_at_), std::move(sent.entry.done)});
    }
  }
  return true;
}

void Client::Impl::send_publish(const Publish& message, bool dup) {
  AliasesOut::Choice choice;
  // An alias that makes a packet longer than the broker takes is none (3 bytes: 3.3.2.3.4).
  if (aliases_out_ && encoded_size(message, version_) + 3 <= limits_.packet_bytes)
    choice = aliases_out_->choose(message.topic);
  Publish copy = message;
  copy.dup = dup;
  copy.topic_alias = choice.alias;
  if (choice.known) copy.topic = {};
  (void)encode(copy, version_, out_);
}

void Client::Impl::write_out() {
  while (stream_ && can_write_ && out_at_ < out_.size()) {
    const net::IoResult result = stream_->write(Bytes(out_).subspan(out_at_));
    out_at_ += result.count;
    written_ += result.count;
    if (result.count > 0) last_sent_ = host_.now();
    while (!to_tell_.empty() && to_tell_.front().at <= written_) later(to_tell_.pop().done, {});
    if (result.error == net::Error::would_block) {
      can_write_ = false;
      stream_->on_writable([this] {
        turn([this] {
          can_write_ = true;
          write_out();
          if (reading_paused_ && stream_ && !crowded()) {
            reading_paused_ = false;
            readable();
          }
        });
      });
    } else if (!result.ok()) {
      if (phase_ == Phase::leaving) return gone_away();
      return fail({result.error, "writing to the broker"}, Reason::success,
                  phase_ == Phase::up ? "session" : "connack");
    }
    if (out_at_ == out_.size()) {
      out_.clear();
      out_at_ = 0;
      if (out_.capacity() > kCrowded * 2) net::Buffer().swap(out_);
      if (phase_ == Phase::leaving) {
        stream_->shutdown_write();
        return;
      }
      pump();
    } else if (out_at_ > kKeptOut && out_at_ * 2 > out_.size()) {
      out_.erase(out_.begin(), out_.begin() + static_cast<std::ptrdiff_t>(out_at_));
      out_at_ = 0;
    }
  }
}

}  // namespace culvert::mqtt
