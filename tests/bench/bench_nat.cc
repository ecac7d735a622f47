// bench-nat: what one translated packet costs. Packets uniform random over all mappings, half of
// them inbound, filtering and expiry on, with 1 and 10 sessions a mapping, at 1,000 and 1,000,000
// mappings; bytes a mapping; and as the floor, two bare index look-ups on this machine.
//   bench-nat [--json FILE] [--mappings N ...] [--packets N] [--nat SPEC]
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>
#include <vector>

#include "model/nat/nat.h"
#include "model/net/random.h"
#include "model/packet/flat_index.h"
#include "model/packet/packet.h"

namespace {

using culvert::nat::Action;
using culvert::nat::Nat;
using culvert::nat::Side;
using culvert::net::IpAddress;
using culvert::net::Random;
using culvert::net::Time;

constexpr size_t kView = 28;  // IPv4 + UDP: what there is of a packet to look at and to change

struct Options {
  std::string json;
  std::string nat = "eim-apdf";
  std::vector<size_t> mappings = {1000, 1'000'000};
  size_t packets = 4'000'000;  // a measurement
  int rounds = 5;              // measurements; the median counts
};

struct Row {
  size_t mappings, sessions;
  double ns, best_ns, batched_ns, floor_ns, serial_ns, create_ns, bytes;
};

void put16(uint8_t* p, uint32_t v) { cv_store16(p, cv_swap16(static_cast<uint16_t>(v))); }
void put32(uint8_t* p, uint32_t v) { cv_store32(p, cv_swap32(v)); }

struct Packet {
  uint8_t bytes[kView];
  bool inbound;
};

void fill(Packet& packet, uint32_t from, uint16_t from_port, uint32_t to, uint16_t to_port) {
  uint8_t* p = packet.bytes;
  std::memset(p, 0, kView);
  p[0] = 0x45;
  put16(p + 2, kView);
  p[8] = 64;
  p[9] = 17;
  put32(p + 12, from);
  put32(p + 16, to);
  put16(p + 10, static_cast<uint16_t>(~cv_swap16(cv_fold(cv_sum(p, 20, 0)))));
  put16(p + 20, from_port);
  put16(p + 22, to_port);
  put16(p + 24, 8);
  put16(p + 26, 0x1234);  // a checksum to keep; whether right does not matter to its cost
}

// Inside hosts have 100 sockets each; remotes are spread over 64 addresses.
uint32_t inside_ip(size_t m) { return 0x0a000000u + static_cast<uint32_t>(m / 100); }
uint16_t inside_port(size_t m) { return static_cast<uint16_t>(10000 + m % 100); }
uint32_t remote_ip(size_t m, size_t s) { return 0xc6336400u + static_cast<uint32_t>((m + s) % 64); }
uint16_t remote_port(size_t s) { return static_cast<uint16_t>(3000 + s); }

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// This thread's own time: what others do on the machine counts only as far as it empties the
// caches.
double cpu_ns() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) * 1e9 + static_cast<double>(t.tv_nsec);
}

// Two look-ups by key in two indexes of `n` entries whose records are 64 bytes elsewhere: the least
// that finding a flow by two keys can cost here.
// kSerial: each pair starts only when the last has ended, as when packets come one by one; else
// the processor overlaps them.
template <bool kSerial>
double floor_ns(size_t n, size_t count, int rounds) {
  struct alignas(64) Record {
    uint64_t key;
  };
  std::vector<Record> records(n);
  culvert::packet::FlatIndex a, b;
  const auto hash = [](uint64_t key, uint64_t seed) {
    return culvert::packet::hash_words(key, key * 3, seed);
  };
  for (size_t i = 0; i < n; ++i) {
    records[i].key = i * 0x9e3779b97f4a7c15ull;
    a.insert(hash(records[i].key, 1), static_cast<uint32_t>(i));
    b.insert(hash(records[i].key, 2), static_cast<uint32_t>(i));
  }
  Random random(5);
  std::vector<uint64_t> keys(std::min<size_t>(count, 1 << 20));
  for (auto& key : keys) key = random.below(n) * 0x9e3779b97f4a7c15ull;
  std::vector<double> all;
  uint64_t sum = 0;
  for (int r = 0; r < rounds; ++r) {
    const double start = cpu_ns();
    uint32_t last = 0;
    for (size_t k = 0; k < count; ++k) {
      const uint64_t key = keys[(k + (kSerial ? last : 0)) % keys.size()];
      const uint32_t i = a.find(hash(key, 1), [&](uint32_t x) { return records[x].key == key; });
      // The second key depends on what the first look-up found, as a real one may.
      const uint64_t next = keys[(k + i) % keys.size()];
      last = b.find(hash(next, 2), [&](uint32_t x) { return records[x].key == next; });
      sum += last;
    }
    all.push_back((cpu_ns() - start) / static_cast<double>(count));
  }
  if (sum == 42) std::puts("");
  return median(all);
}

Row measure(const Options& options, size_t mappings, size_t sessions) {
  auto config = culvert::nat::from_preset(options.nat);
  if (!config.ok()) {
    std::fprintf(stderr, "bench-nat: %s\n", config.status().to_string().c_str());
    std::exit(2);
  }
  config->max_mappings = 1u << 21;
  config->max_sessions = 1u << 24;
  // A third of the ports free, so that random allocation does not search.
  const size_t count = std::max<size_t>(1, mappings / 43000 + 1);
  std::vector<IpAddress> addresses;
  for (size_t i = 0; i < count; ++i)
    addresses.push_back(IpAddress::v4(0xcb007100u + static_cast<uint32_t>(i)));
  Nat nat(*config, addresses, 1);
  const size_t empty = nat.memory_bytes();
  std::vector<uint32_t> external_ip(mappings);
  std::vector<uint16_t> external_port(mappings);
  // Spread over a minute, so that refreshes and the wheel have something to do.
  const Time step(60'000'000'000 / static_cast<int64_t>(mappings * sessions));
  Time now(0);
  Packet p;
  const double create_start = cpu_ns();
  for (size_t s = 0; s < sessions; ++s)
    for (size_t m = 0; m < mappings; ++m) {
      now += step;
      fill(p, inside_ip(m), inside_port(m), remote_ip(m, s), remote_port(s));
      const auto outcome = nat.outbound(now, {p.bytes, kView});
      if (outcome.action != Action::forward_out) {
        std::fprintf(stderr, "bench-nat: no mapping: %s\n",
                     std::string(culvert::nat::to_string(outcome.reason)).c_str());
        std::exit(1);
      }
      external_ip[m] = cv_swap32(cv_load32(p.bytes + 12));
      external_port[m] = cv_swap16(cv_load16(p.bytes + 20));
    }
  Row row{};
  row.mappings = nat.mapping_count();
  row.sessions = sessions;
  row.create_ns = (cpu_ns() - create_start) / static_cast<double>(mappings * sessions);
  row.bytes = static_cast<double>(nat.memory_bytes() - empty) / static_cast<double>(mappings);

  Random random(7);
  std::vector<Packet> batch(1 << 16);
  std::vector<Nat::Item> items(64);
  std::vector<double> all, grouped;
  for (int r = 0; r < options.rounds; ++r) {
    for (const bool batched : {false, true}) {
      for (size_t done = 0; done < options.packets; done += batch.size()) {
        for (Packet& q : batch) {
          const size_t m = random.below(mappings), s = random.below(sessions);
          q.inbound = random.below(2) == 1;
          if (q.inbound)
            fill(q, remote_ip(m, s), remote_port(s), external_ip[m], external_port[m]);
          else
            fill(q, inside_ip(m), inside_port(m), remote_ip(m, s), remote_port(s));
        }
        size_t forwarded = 0;
        const auto start = cpu_ns();
        if (batched) {
          // 64 packets at a time, as a router reads them.
          for (size_t i = 0; i < batch.size(); i += 64) {
            now += Time(64'000);
            for (size_t k = 0; k < 64; ++k)
              items[k] = {{batch[i + k].bytes, kView},
                          kView,
                          batch[i + k].inbound ? Side::outside : Side::inside,
                          {}};
            nat.process(now, items);
            for (const Nat::Item& item : items)
              forwarded += item.outcome.reason == culvert::nat::Reason::none;
          }
        } else {
          for (Packet& q : batch) {
            // 1 us apart: a million packets a second, and every timer runs as it would.
            now += Time(1000);
            const auto outcome = q.inbound ? nat.inbound(now, {q.bytes, kView})
                                           : nat.outbound(now, {q.bytes, kView});
            forwarded += outcome.reason == culvert::nat::Reason::none;
          }
        }
        (batched ? grouped : all).push_back((cpu_ns() - start) / static_cast<double>(batch.size()));
        if (forwarded != batch.size()) {
          std::fprintf(stderr, "bench-nat: %zu of %zu forwarded\n", forwarded, batch.size());
          std::exit(1);
        }
      }
    }
  }
  row.ns = median(all);
  row.best_ns = *std::min_element(all.begin(), all.end());
  row.batched_ns = median(grouped);
  row.floor_ns = floor_ns<false>(mappings * sessions, options.packets, options.rounds);
  row.serial_ns = floor_ns<true>(mappings * sessions, options.packets, options.rounds);
  return row;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    const auto value = [&]() -> std::string {
      if (i + 1 >= argc) {
        std::fprintf(stderr, "bench-nat: %s needs a value\n", flag.c_str());
        std::exit(2);
      }
      return argv[++i];
    };
    if (flag == "--json") {
      options.json = value();
    } else if (flag == "--nat") {
      options.nat = value();
    } else if (flag == "--packets") {
      options.packets = std::max(1ul, std::strtoul(value().c_str(), nullptr, 10));
    } else if (flag == "--mappings") {
      options.mappings = {std::strtoul(value().c_str(), nullptr, 10)};
      if (options.mappings[0] == 0 || options.mappings[0] > 2'000'000) {
        std::fprintf(stderr, "bench-nat: --mappings is from 1 to 2000000\n");
        return 2;
      }
    } else {
      std::fprintf(stderr,
                   "usage: bench-nat [--json FILE] [--mappings N] [--packets N] [--nat SPEC]\n");
      return 2;
    }
  }
  std::vector<Row> rows;
  std::printf("%s, half inbound, uniform random; thread time, median over %d times %zu packets\n\n",
              options.nat.c_str(), options.rounds, options.packets);
  std::printf(
      "  mappings  sessions  ns/packet  (best)     batched     two look-ups  (serial)  ns/new"
      "  bytes/mapping\n");
  for (const size_t mappings : options.mappings)
    for (const size_t sessions : {size_t{1}, size_t{10}}) {
      rows.push_back(measure(options, mappings, sessions));
      const Row& r = rows.back();
      std::printf("  %8zu  %8zu  %9.1f  %6.1f  %13.1f  %12.1f  %8.1f  %6.0f  %13.0f\n", r.mappings,
                  r.sessions, r.ns, r.best_ns, r.batched_ns, r.floor_ns, r.serial_ns, r.create_ns,
                  r.bytes);
      std::fflush(stdout);
    }
  if (options.json.empty()) return 0;
  FILE* file = std::fopen(options.json.c_str(), "w");
  if (!file) {
    std::fprintf(stderr, "bench-nat: cannot write %s\n", options.json.c_str());
    return 1;
  }
  std::fprintf(file, "{\"nat\": \"%s\", \"rows\": [", options.nat.c_str());
  for (size_t i = 0; i < rows.size(); ++i) {
    const Row& r = rows[i];
    std::fprintf(
        file,
        "%s\n  {\"mappings\": %zu, \"sessions_per_mapping\": %zu, \"ns_per_packet\": %.2f, "
        "\"best_ns_per_packet\": %.2f, \"batched_ns_per_packet\": %.2f, "
        "\"two_lookups_ns\": %.2f, \"two_serial_lookups_ns\": %.2f, \"ns_per_new_session\": %.1f, "
        "\"bytes_per_mapping\": %.1f}",
        i ? "," : "", r.mappings, r.sessions, r.ns, r.best_ns, r.batched_ns, r.floor_ns,
        r.serial_ns, r.create_ns, r.bytes);
  }
  std::fprintf(file, "\n]}\n");
  std::fclose(file);
  return 0;
}
