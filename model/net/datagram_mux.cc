#include "model/net/datagram_mux.h"

#include <algorithm>

namespace culvert::net {
namespace {

constexpr size_t kBufferSize = 65536;  // the largest UDP datagram, or a whole GRO train

}  // namespace

struct DatagramMux::User::Entry {
  FirstBytes range;
  Receive receive;
  Icmp icmp;
  bool gone = false;
};

DatagramMux::User::~User() { entry_->gone = true; }

DatagramMux::DatagramMux(std::unique_ptr<DatagramSocket> socket)
    : socket_(std::move(socket)), alive_(std::make_shared<bool>(true)), buffer_(kBufferSize) {
  socket_->on_readable([this] { receive(); });
  socket_->on_icmp([this](const IcmpEvent& event) {
    each([&](User::Entry& user) {
      if (user.icmp) user.icmp(event);
      return false;
    });
  });
}

DatagramMux::~DatagramMux() { *alive_ = false; }

std::unique_ptr<DatagramMux::User> DatagramMux::attach(FirstBytes range, Receive receive,
                                                       Icmp icmp) {
  auto entry = std::make_shared<User::Entry>();
  entry->range = range;
  entry->receive = std::move(receive);
  entry->icmp = std::move(icmp);
  users_.push_back(entry);
  return std::unique_ptr<User>(new User(std::move(entry)));
}

Status DatagramMux::send_to(const Endpoint& to, Bytes data, std::optional<uint8_t> ttl) {
  DatagramOut out;
  out.data = data;
  out.to = to;
  out.ttl = ttl;
  return send(out);
}

Status DatagramMux::send(const DatagramOut& out) {
  const IoResult result = socket_->send({&out, 1});
  if (result.ok()) return {};
  ++send_drops_;
  return {result.error,
          "sending " + std::to_string(out.data.size()) + " bytes to " + out.to.to_string()};
}

// Runs `visit` for the users until it answers true; false when nobody did. Users come and go, and
// the mux itself may, inside `visit`: entries are held here and those gone are skipped.
template <class Visit>
bool DatagramMux::each(Visit visit) {
  users_.erase(std::remove_if(users_.begin(), users_.end(), [](auto& u) { return u->gone; }),
               users_.end());
  const auto alive = alive_;
  const auto users = users_;
  for (const auto& user : users) {
    if (user->gone) continue;
    if (visit(*user)) return true;
    if (!*alive) return true;
  }
  return false;
}

void DatagramMux::give(const DatagramIn& in, Bytes data) {
  const auto alive = alive_;
  const bool taken = each([&](User::Entry& user) {
    if (!data.empty() && (data[0] < user.range.first || data[0] > user.range.last)) return false;
    return user.receive(in, data);
  });
  if (!taken && *alive) ++unclaimed_;
}

void DatagramMux::receive() {
  // One buffer's worth a turn: the socket calls again while there is more, and other sockets get
  // their turn in between.
  const auto alive = alive_;
  Buffer buffer = std::move(buffer_);  // survives the mux's own end in a callback
  for (int turn = 0; turn < 16 && *alive; ++turn) {
    DatagramIn in;
    in.buffer = buffer;
    const IoResult result = socket_->receive({&in, 1});
    if (result.count == 0) break;
    if (in.truncated) continue;
    const size_t step = in.segment_size ? in.segment_size : std::max<size_t>(in.size, 1);
    if (in.size == 0) give(in, {});
    for (size_t at = 0; at < in.size && *alive; at += step)
      give(in, Bytes(buffer.data() + at, std::min(step, in.size - at)));
  }
  if (*alive) buffer_ = std::move(buffer);
}

}  // namespace culvert::net
