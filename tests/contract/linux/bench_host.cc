// Figures of the Linux Host over loopback: datagrams a second, stream throughput, and memory of
// idle streams. Run from a release build: bench-linux-host [streams]
#include <malloc.h>

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <vector>

#include "impl/linux/host.h"
#include "impl/linux/stream.h"

using namespace culvert;
using namespace std::chrono_literals;
using linux_host::Loop;

namespace {

net::Endpoint loopback(uint16_t port) { return {net::IpAddress::v4(0x7f000001), port}; }

// Seconds of processor time of this process, kernel included: figures by it hold on a busy machine.
double cpu() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

// Batches of 64 out, batches of 64 in, on one thread: what one core does of both ends.
void datagrams(Loop& loop, linux_host::LinuxHost& host, size_t size, size_t train) {
  net::DatagramOptions options;
  options.local = loopback(0);
  options.receive_buffer = 8 << 20;
  auto from = std::move(*host.open_datagram(options));
  auto to = std::move(*host.open_datagram(options));
  const net::Buffer data(size * train);
  std::vector<net::DatagramOut> out(train > 1 ? 1 : 64);
  for (auto& o : out) {
    o.data = data;
    o.to = to->local();
    o.segment_size = train > 1 ? static_cast<uint16_t>(size) : 0;
  }
  std::vector<net::Buffer> buffers(64, net::Buffer(2048));
  std::vector<net::DatagramIn> in(64);
  uint64_t sent = 0, got = 0;
  const net::Time end = Loop::monotonic() + 1s;
  const double busy = cpu();
  std::function<void()> push = [&] {
    sent += from->send(out).count * train;
    if (Loop::monotonic() < end) host.post(push);
  };
  to->on_readable([&] {
    for (size_t i = 0; i < in.size(); ++i) in[i].buffer = buffers[i];
    got += to->receive(in).count;
  });
  push();
  loop.run_until([&] { return Loop::monotonic() >= end && got == sent; }, end + 100ms);
  std::printf("datagrams of %zu bytes, %s: %.0f per CPU second, sent and received, %.1f %% lost\n",
              size, train > 1 ? "trains" : "batches of 64",
              static_cast<double>(got) / (cpu() - busy),
              100.0 * static_cast<double>(sent - got) / static_cast<double>(sent));
}

void streams(Loop& loop, linux_host::LinuxHost& host, size_t count) {
  net::ListenOptions listen;
  listen.local = loopback(0);
  listen.backlog = 1024;
  auto listener = std::move(*host.listen(listen));
  std::vector<std::unique_ptr<net::Stream>> all;
  all.reserve(2 * count);
  size_t accepted = 0;
  listener->on_readable([&] {
    while (auto stream = listener->accept()) {
      stream->on_readable([] {});
      all.push_back(std::move(stream));
      ++accepted;
    }
  });
  const size_t before = mallinfo2().uordblks;
  std::vector<std::unique_ptr<net::Dial>> dials;
  for (size_t done = 0; done < count;) {
    const size_t step = std::min<size_t>(200, count - done), want = done + step;
    size_t made = done;
    for (size_t i = 0; i < step; ++i) {
      net::DialOptions options;
      options.remote = listener->local();
      dials.push_back(std::move(*host.dial(options, [&](auto result) {
        if (!result) std::exit(std::fprintf(stderr, "%s\n", result.status().to_string().c_str()));
        (*result)->on_readable([] {});
        all.push_back(std::move(*result));
        ++made;
      })));
    }
    loop.run_until([&] { return made == want && accepted == want; }, Loop::monotonic() + 10s);
    dials.clear();
    done = want;
  }
  dials.shrink_to_fit();
  const size_t after = mallinfo2().uordblks;
  std::printf(
      "%zu idle streams: %.0f bytes of heap each (a StreamImpl is %zu), kernel not counted\n",
      all.size(), static_cast<double>(after - before) / static_cast<double>(all.size()),
      sizeof(linux_host::StreamImpl));
}

void bulk(Loop& loop, linux_host::LinuxHost& host) {
  net::ListenOptions listen;
  listen.local = loopback(0);
  auto listener = std::move(*host.listen(listen));
  net::DialOptions options;
  options.remote = listener->local();
  std::unique_ptr<net::Stream> from, to;
  auto dial = std::move(*host.dial(options, [&](auto result) { from = std::move(*result); }));
  loop.run_until([&] { return (to || (to = listener->accept())) && from; }, Loop::monotonic() + 5s);
  const net::Buffer data(256 * 1024);
  net::Buffer buffer(256 * 1024);
  uint64_t got = 0;
  std::function<void()> push = [&] {
    if (from->write(data).error == net::Error::would_block)
      from->on_writable(push);
    else
      host.post(push);
  };
  to->on_readable([&] { got += to->read(buffer).count; });
  const double busy = cpu();
  push();
  loop.run_until([] { return false; }, Loop::monotonic() + 1s);
  std::printf("one stream: %.2f Gbit per CPU second, sent and received\n",
              static_cast<double>(got) * 8e-9 / (cpu() - busy));
  to->on_readable({});
  from->on_writable({});
}

}  // namespace

int main(int argc, char** argv) {
  const size_t count = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 4000;
  Loop loop;
  linux_host::LinuxHost host(loop, {});
  streams(loop, host, count);
  for (const size_t size : {64, 1200}) {
    datagrams(loop, host, size, 1);
    datagrams(loop, host, size, size == 64 ? 60 : 50);
  }
  bulk(loop, host);
}
