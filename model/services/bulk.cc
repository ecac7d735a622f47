#include <array>
#include <boost/endian/conversion.hpp>
#include <list>

#include "model/net/crypto.h"
#include "model/services/command_line.h"
#include "model/services/resolver.h"
#include "model/services/table.h"

namespace culvert::services {
namespace {

using namespace std::chrono_literals;

// A transfer: eight bytes of length, the bytes, 32 bytes of BLAKE2b over them. The receiver sends
// the hash of what it got back, so that both ends know.
constexpr size_t kLength = 8, kHash = 32;
constexpr size_t kPiece = 65536;         // ours: bytes made, hashed and written at a time
constexpr size_t kMostBulkStreams = 64;  // ours: received at the same time

struct BulkOptions {
  net::Endpoint listen;
  Target to;
  uint64_t bytes = 1000000;
};

std::string hex(net::Bytes bytes) {
  std::string out;
  for (const uint8_t byte : bytes) {
    out += "0123456789abcdef"[byte >> 4];
    out += "0123456789abcdef"[byte & 15];
  }
  return out;
}

double megabits(uint64_t bytes, net::Duration took) {
  return took.count() > 0 ? double(bytes) * 8000.0 / double(took.count()) : 0.0;
}

class BulkSink : public Service {
 public:
  BulkSink(net::Host& host, const BulkOptions& options) : host_(host), options_(options) {}

  net::Status start() override {
    net::ListenOptions listen;
    listen.local = options_.listen;
    auto listener = host_.listen(listen);
    if (!listener) return listener.status();
    listener_ = std::move(*listener);
    listener_->on_readable([this] { accept(); });
    host_.log().write("bulk", "ready", {{"local", listener_->local()}});
    return {};
  }

 private:
  struct Transfer {
    std::unique_ptr<net::Stream> stream;
    net::Time began{0};
    net::Buffer frame;  // the length, then the hash, as they come in
    uint64_t total = 0, got = 0;
    bool announced = false, judged = false;
    net::Blake2b hash;
    net::Buffer reply;
  };
  using At = std::list<Transfer>::iterator;

  void accept() {
    while (transfers_.size() < kMostBulkStreams) {
      auto stream = listener_->accept();
      if (!stream) return;
      const At at = transfers_.emplace(transfers_.end());
      at->stream = std::move(stream);
      at->began = host_.now();
      at->stream->on_readable([this, at] { read(at); });
    }
    listener_->on_readable({});
  }

  void read(At at) {
    if (piece_.empty()) piece_.resize(kPiece);
    for (;;) {
      const auto io = at->stream->read(piece_);
      if (io.count == 0) {
        if (io.error == net::Error::would_block) return;
        if (!at->judged)
          host_.log().write("bulk", "failed",
                            {{"from", at->stream->remote()},
                             {"received", at->got},
                             {"why", net::to_string(io.error)}});
        return end(at);
      }
      take(*at, net::Bytes(piece_).first(io.count));
      if (at->judged && !write(at)) return;
    }
  }

  void take(Transfer& transfer, net::Bytes data) {
    while (!data.empty() && !transfer.judged) {
      if (transfer.announced && transfer.got < transfer.total) {
        const auto part =
            data.first(std::min<uint64_t>(data.size(), transfer.total - transfer.got));
        transfer.hash.update(part);
        transfer.got += part.size();
        data = data.subspan(part.size());
        continue;
      }
      const size_t want = transfer.announced ? kHash : kLength;
      const size_t part = std::min(data.size(), want - transfer.frame.size());
      transfer.frame.insert(transfer.frame.end(), data.begin(), data.begin() + part);
      data = data.subspan(part);
      if (transfer.frame.size() < want) continue;
      if (transfer.announced)
        judge(transfer);
      else
        transfer.total = boost::endian::load_big_u64(transfer.frame.data());
      transfer.announced = true;
      transfer.frame.clear();
    }
  }

  void judge(Transfer& transfer) {
    const net::Key hash = transfer.hash.finish();
    const net::Duration took = host_.now() - transfer.began;
    const bool ok = net::equal_in_constant_time(hash, transfer.frame);
    transfer.judged = true;
    transfer.reply.assign(hash.begin(), hash.end());
    host_.log().write("bulk", "received",
                      {{"from", transfer.stream->remote()},
                       {"bytes", transfer.got},
                       {"intact", ok},
                       {"hash", hex(hash)},
                       {"took_ms", took},
                       {"mbps", megabits(transfer.got, took)}});
  }

  // False: it ended, `at` is gone.
  bool write(At at) {
    if (!at->reply.empty()) {
      const auto io = at->stream->write(at->reply);
      at->reply.erase(at->reply.begin(), at->reply.begin() + io.count);
      if (io.error == net::Error::would_block) {
        at->stream->on_writable([this, at] { write(at); });
      } else if (!io.ok()) {
        end(at);
        return false;
      } else {
        at->stream->shutdown_write();
      }
    }
    return true;
  }

  void end(At at) {
    const bool was_full = transfers_.size() == kMostBulkStreams;
    transfers_.erase(at);
    if (was_full) listener_->on_readable([this] { accept(); });
  }

  net::Host& host_;
  BulkOptions options_;
  std::unique_ptr<net::Listener> listener_;
  std::list<Transfer> transfers_;
  net::Buffer piece_;
};

class BulkSource : public Service {
 public:
  BulkSource(net::Host& host, const BulkOptions& options)
      : host_(host), options_(options), random_(net::derive_seed(host.random().next(), "bulk")) {}

  net::Status start() override {
    host_.log().write("bulk", "ready");
    lookup_ = find(host_, options_.to, [this](net::Result<net::Endpoint> to) {
      if (!to) return fail(to.status());
      net::DialOptions dial;
      dial.remote = *to;
      auto begun = host_.dial(dial, [this](net::Result<std::unique_ptr<net::Stream>> stream) {
        if (!stream) return fail(stream.status());
        stream_ = std::move(*stream);
        began_ = host_.now();
        pending_.resize(kLength);
        boost::endian::store_big_u64(pending_.data(), options_.bytes);
        stream_->on_readable([this] { read(); });
        write();
      });
      if (!begun) return fail(begun.status());
      dial_ = std::move(*begun);
    });
    return {};
  }

 private:
  void write() {
    while (!over_) {
      if (done_ == pending_.size() && !refill()) return stream_->shutdown_write();
      const auto io = stream_->write(net::Bytes(pending_).subspan(done_));
      done_ += io.count;
      if (io.error == net::Error::would_block) return stream_->on_writable([this] { write(); });
      if (!io.ok()) return fail({io.error, "the transfer broke off"});
    }
  }

  bool refill() {
    done_ = 0;
    if (made_ == options_.bytes) {
      pending_.clear();
      if (hashed_) return false;
      hashed_ = true;
      hash_ = hasher_.finish();
      pending_.assign(hash_.begin(), hash_.end());
      return true;
    }
    pending_.resize(std::min<uint64_t>(kPiece, options_.bytes - made_));
    for (size_t i = 0; i < pending_.size(); i += 8) {
      uint8_t word[8];
      boost::endian::store_big_u64(word, random_.next());
      std::copy_n(word, std::min<size_t>(8, pending_.size() - i), pending_.begin() + i);
    }
    made_ += pending_.size();
    hasher_.update(pending_);
    return true;
  }

  void read() {
    std::array<uint8_t, kHash> piece;
    for (;;) {
      const auto io = stream_->read(net::MutableBytes(piece).first(kHash - answer_.size()));
      answer_.insert(answer_.end(), piece.begin(), piece.begin() + io.count);
      if (answer_.size() == kHash) return result();
      if (io.count == 0) {
        if (io.error == net::Error::would_block) return;
        return fail({io.error, "the receiver sent no hash"});
      }
    }
  }

  void result() {
    if (over_) return;
    over_ = true;
    const net::Duration took = host_.now() - began_;
    const bool ok = hashed_ && net::equal_in_constant_time(answer_, hash_);
    host_.log().write("bulk", "result",
                      {{"to", stream_->remote()},
                       {"bytes", options_.bytes},
                       {"intact", ok},
                       {"took_ms", took},
                       {"mbps", megabits(options_.bytes, took)}});
    stream_->on_readable({});
    finished(ok ? net::Status{} : net::Status{net::Error::failed, "the hashes differ"});
  }

  void fail(const net::Status& status) {
    if (over_) return;
    over_ = true;
    host_.log().write(
        "bulk", "result",
        {{"intact", false}, {"error", net::to_string(status.error)}, {"detail", status.detail}});
    finished(status);
  }

  net::Host& host_;
  BulkOptions options_;
  net::Random random_;
  std::unique_ptr<net::Lookup> lookup_;
  std::unique_ptr<net::Dial> dial_;
  std::unique_ptr<net::Stream> stream_;
  net::Time began_{0};
  net::Buffer pending_, answer_;
  size_t done_ = 0;
  uint64_t made_ = 0;
  bool hashed_ = false, over_ = false;
  net::Blake2b hasher_;
  net::Key hash_{};
};

class BulkBlueprint : public Blueprint {
 public:
  void options(CLI::App& app) override {
    add_endpoint(app, "--listen", options_.listen, "receive here");
    add_target(app, "--to", options_.to, "send there");
    app.add_option("--bytes", options_.bytes, "how much to send")
        ->check(CLI::Range(0.0, 1e15))
        ->capture_default_str();
  }
  net::Status check() override {
    if (options_.listen.is_none() == options_.to.host.empty())
      return {net::Error::invalid, "give either --listen or --to"};
    return {};
  }
  net::Result<std::unique_ptr<Service>> build(net::Host& host) override {
    if (options_.to.host.empty())
      return std::unique_ptr<Service>(std::make_unique<BulkSink>(host, options_));
    return std::unique_ptr<Service>(std::make_unique<BulkSource>(host, options_));
  }

 private:
  BulkOptions options_;
};

}  // namespace

std::unique_ptr<Blueprint> bulk_blueprint() { return std::make_unique<BulkBlueprint>(); }

}  // namespace culvert::services
