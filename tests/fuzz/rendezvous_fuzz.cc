// Any bytes as a rendezvous frame, as the sealed body of one, and as a punch probe: nothing
// crashes, no answer is longer than what asked for it, and nothing that is not signed is believed.
#include <cstdio>
#include <cstdlib>

#include "model/net/random.h"
#include "model/punch/probe.h"
#include "model/rendezvous/mediator.h"

using namespace culvert;

namespace {

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

const net::Endpoint kFrom{net::IpAddress::v4(0xc6336402), 4000};

rendezvous::Mediator& mediator() {
  static net::Random random(1);
  static rendezvous::Mediator* made = [] {
    rendezvous::MediatorOptions options;
    options.devices = {{"a", {1}}, {"b", {2}}};
    options.limit.per_second = 0;
    return new rendezvous::Mediator(
        options,
        [](net::MutableBytes out) {
          for (uint8_t& b : out) b = static_cast<uint8_t>(random.next());
        },
        nullptr);
  }();
  return *made;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const net::Bytes bytes(data, size);
  static int64_t clock = 0;
  const net::Time now(++clock * 1000000);

  require(mediator().handle(now, kFrom, bytes).empty(), "an unsealed frame was answered");

  // The body of a frame that device a sealed itself: byte 0 chooses the type.
  if (size > 0) {
    static const auto keys = rendezvous::device_keys(net::Buffer{1}, "a");
    const uint8_t type = data[0] % 24;
    const net::Buffer head{rendezvous::kFirstByte, type, 1, 'a'};
    const bool up = rendezvous::from_device(static_cast<rendezvous::FrameType>(type));
    rendezvous::Nonce nonce{};
    const net::Buffer sealed =
        net::seal(up ? keys.to_server : keys.to_device, nonce, head, bytes.subspan(1));
    net::Buffer frame = head;
    frame.insert(frame.end(), nonce.begin(), nonce.end());
    frame.insert(frame.end(), sealed.begin(), sealed.end());
    for (const auto& out : mediator().handle(now, kFrom, frame)) {
      require(out.to == kFrom, "an answer went to somebody else");
    }
    const auto envelope = rendezvous::open_envelope(frame);
    if (envelope.ok() && !up) (void)rendezvous::decode_reply(*envelope, keys);
  }

  const auto message = stun::Message::parse(bytes);
  if (message.ok()) {
    static const auto keys = punch::probe_keys(net::Key{}, 1, "a", "b");
    (void)punch::session_of(*message);
    require(!punch::open_probe(*message, keys, punch::Role::initiator), "an unsigned probe");
  }
  return 0;
}
