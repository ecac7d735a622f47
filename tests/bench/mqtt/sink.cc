// What shows that the generator is not what is measured: acknowledges every message and passes it
// on by the number in the client identifiers, without topics, sessions or memory of anything.
#include <algorithm>
#include <memory>

#include "tests/bench/mqtt/options.h"
#include "tests/bench/mqtt/poll.h"

namespace culvert::bench {

int run_sink(const Options& o) {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const int on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  a.sin_port = htons(o.port);
  if (bind(listener, reinterpret_cast<sockaddr*>(&a), sizeof a) != 0 || listen(listener, 1024) != 0)
    fail("the port is taken");
  Poll poll;
  std::vector<std::unique_ptr<Conn>> conns;
  std::vector<Conn*> subscribers;
  std::string all;  // what goes to every subscriber
  bool v5 = true;
  const auto packet = [&](Conn& conn, const uint8_t* at, const Cut& frame) {
    const uint8_t type = at[0] & 0xf0;
    if (type == kPublish) {
      const Seen seen = see_publish(at, frame, v5);
      if (seen.qos > 0) {
        append_ack(conn.out, seen.qos == 1 ? kPubAck : kPubRec, seen.identifier);
        poll.mark(conn);
      }
      if (o.ack_only) return;
      // As many subscribers as publishers: a pair; one publisher: to all; one subscriber: all to
      // it.
      if (o.publishers == 1 && subscribers.size() > 1) {
        all.append(reinterpret_cast<const char*>(at), frame.size);
        return;
      }
      Conn& to = *subscribers[subscribers.size() == o.publishers ? conn.index : 0];
      to.out.append(reinterpret_cast<const char*>(at), frame.size);
      poll.mark(to);
    } else if (type == (kPubRel & 0xf0)) {
      append_ack(conn.out, kPubComp, get16(at + frame.header));
      poll.mark(conn);
    } else if (type == kPubRec) {
      append_ack(conn.out, kPubRel, get16(at + frame.header));
      poll.mark(conn);
    } else if (type == kConnect) {
      v5 = at[frame.header + 6] == 5;
      const std::string id(reinterpret_cast<const char*>(at) + frame.header,
                           frame.size - frame.header);
      const size_t start = id.find_last_of("ps");
      conn.index = static_cast<uint32_t>(std::atoi(id.c_str() + start + 1));
      conn.publishes = id[start] == 'p';
      conn.out += v5 ? std::string("\x20\x03\0\0\0", 5) : std::string("\x20\x02\0\0", 4);
      poll.mark(conn);
    } else if (type == (kSubscribe & 0xf0)) {
      subscribers.push_back(&conn);
      conn.out += v5 ? std::string("\x90\x04\0\1\0\2", 6) : std::string("\x90\x03\0\1\2", 5);
      poll.mark(conn);
    }
  };
  const auto end = [&](Conn& conn) {
    close(conn.fd);
    for (size_t i = 0; i < subscribers.size(); ++i)
      if (subscribers[i] == &conn) subscribers.erase(subscribers.begin() + static_cast<long>(i--));
  };
  const auto give_all = [&] {
    if (all.empty()) return;
    for (Conn* to : subscribers) {
      // Without a copy for each, if it takes it.
      const ssize_t n =
          !to->out.empty() ? 0 : send(to->fd, all.data(), all.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n == static_cast<ssize_t>(all.size())) continue;
      to->out.append(all, static_cast<size_t>(std::max<ssize_t>(n, 0)));
      poll.mark(*to);
    }
    all.clear();
  };
  for (;;) {
    const int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd >= 0) {
      setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      conns.push_back(std::make_unique<Conn>());
      conns.back()->fd = fd;
      poll.watch(*conns.back());
      continue;
    }
    poll.round(10, packet, end);
    give_all();
  }
}

}  // namespace culvert::bench
