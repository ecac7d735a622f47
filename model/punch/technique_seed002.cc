// Seed 002's own technique: "The two parties will then send a hellow data to each other every few
// seconds. Send total five times", to the address that the server told and to no other. A hello
// says how many of the peer's have come, so that both sides learn that both directions work.
#include "model/punch/technique.h"

namespace culvert::punch {
namespace {

class Seed002 : public Technique {
 public:
  Seed002(Wire& wire, const rendezvous::Introduction& introduction, net::Duration interval)
      : wire_(wire), peer_(introduction.peer_observed), interval_(interval) {}

  void start() override { next_ = wire_.now(), on_time(next_); }
  void told(const net::Endpoint& peer) override { peer_ = peer; }

  void on_probe(const Probe& probe, const net::Endpoint&) override {
    if (probe.kind == ProbeKind::hello && probe.echo > 0) wire_.confirmed(peer_, Origin::told);
  }
  void on_answer(const Probe&, const net::Endpoint&, const net::Endpoint&) override {}

  void on_time(net::Time now) override {
    if (now < next_ || sent_ >= kHellos) return;
    wire_.send(peer_, ProbeKind::hello);
    ++sent_;
    next_ += interval_;
  }
  net::Time next() const override { return sent_ < kHellos ? next_ : net::Time::max(); }

 private:
  Wire& wire_;
  net::Endpoint peer_;
  net::Duration interval_;
  net::Time next_{0};
  int sent_ = 0;
};

}  // namespace

std::unique_ptr<Technique> make_seed002(Wire& wire, const rendezvous::Introduction& introduction,
                                        net::Duration interval) {
  return std::make_unique<Seed002>(wire, introduction, interval);
}

}  // namespace culvert::punch
