// Mutations that keep mqtt_broker_fuzz.cc's steps whole: libFuzzer's own mostly break a length, and
// then nothing behind it is a packet any more. Half of the time a step is repeated, moved, dropped,
// taken from the table below, or changed inside with the lengths put right.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <string_view>
#include <vector>

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace {

using namespace std::literals;
using Step = std::vector<uint8_t>;

// Packets that both versions read (5.0 has a property length of zero where 3.1.1 has a text of
// none or nothing), and a few that only one does. Identifiers are small, so that they meet.
constexpr std::string_view kPackets[] = {
    "\x10\x0d\0\4MQTT\4\0\0\x3c\0\1a"sv,                  // CONNECT 3.1.1, persistent
    "\x10\x0d\0\4MQTT\4\2\0\x3c\0\1b"sv,                  // clean
    "\x10\x13\0\4MQTT\5\0\0\x3c\5\x11\0\0\0\x64\0\1a"sv,  // CONNECT 5.0, expiry 100 s
    "\x10\x0e\0\4MQTT\5\2\0\x3c\0\0\1b"sv,
    "\x10\x15\0\4MQTT\4\x2e\0\x3c\0\1a\0\1t\0\3bye"sv,                // will QoS 1, retained
    "\x10\x1c\0\4MQTT\5\x16\0\2\0\0\1a\5\x18\0\0\0\2\0\1t\0\3bye"sv,  // will QoS 2, delay 2 s
    "\x82\x06\0\1\0\1t\2"sv,
    "\x82\x06\0\1\0\1#\1"sv,  // SUBSCRIBE 3.1.1
    "\x82\x07\0\1\0\0\1t\2"sv,
    "\x82\x07\0\2\0\0\1#\x2d"sv,  // 5.0, with options
    "\x82\x10\0\3\0\0\x0a$share/g/t\2"sv,
    "\x82\x09\0\4\2\x0b\7\0\1+\1"sv,
    "\xa2\x06\0\5\0\0\1t"sv,
    "\xa2\x05\0\5\0\1t"sv,  // UNSUBSCRIBE
    "\x30\5\0\1t\0x"sv,
    "\x31\5\0\1t\0x"sv,
    "\x31\4\0\1t\0"sv,  // PUBLISH, retained, cleared
    "\x32\7\0\1t\0\1\0x"sv,
    "\x34\7\0\1t\0\2\0x"sv,
    "\x3c\7\0\1t\0\2\0x"sv,
    "\x34\x0c\0\1t\0\3\5\2\0\0\0\3x"sv,  // expiry 3 s
    "\x30\x08\0\1t\3\x23\0\1x"sv,
    "\x30\x07\0\0\3\x23\0\1x"sv,  // topic alias
    "\x40\2\0\1"sv,
    "\x40\3\0\1\x80"sv,
    "\x50\2\0\1"sv,
    "\x50\3\0\1\x80"sv,
    "\x62\2\0\2"sv,
    "\x62\3\0\2\x92"sv,
    "\x70\2\0\1"sv,
    "\x40\2\0\2"sv,
    "\x50\2\0\2"sv,
    "\x70\2\0\2"sv,
    "\xc0\0"sv,
    "\xe0\0"sv,
    "\xe0\1\4"sv,
    "\xe0\7\0\5\x11\0\0\0\1"sv,
    "\xf0\5\x18\3\x15\0\0"sv,
};

bool carries_bytes(uint8_t command) { return (command >> 1 & 7) <= 2; }
bool carries_time(uint8_t command) { return (command >> 1 & 7) == 5; }

std::vector<Step> split(const uint8_t* data, size_t size) {
  std::vector<Step> steps;
  for (size_t at = 0; at < size;) {
    size_t length = 1;
    if (carries_time(data[at])) length = 2;
    if (carries_bytes(data[at]) && at + 1 < size) length = 2 + size_t{data[at + 1]};
    length = std::min(length, size - at);
    steps.emplace_back(data + at, data + at + length);
    at += length;
  }
  return steps;
}

Step packet_step(std::minstd_rand& random) {
  const std::string_view packet = kPackets[random() % std::size(kPackets)];
  Step step{static_cast<uint8_t>(random() & 1), static_cast<uint8_t>(packet.size())};
  step.insert(step.end(), packet.begin(), packet.end());
  return step;
}

// The bytes of a sending step changed; if they were one packet, its remaining length again fits.
void change_inside(Step& step) {
  if (step.size() < 4 || !carries_bytes(step[0])) {
    step.resize(LLVMFuzzerMutate(step.data(), step.size(), step.size()));
    return;
  }
  uint8_t bytes[255];
  size_t size = std::min<size_t>(step.size() - 2, sizeof bytes);
  std::memcpy(bytes, step.data() + 2, size);
  const bool packet = size_t{bytes[1]} + 2 == size;
  size = LLVMFuzzerMutate(bytes, size, packet ? 129 : sizeof bytes);
  if (packet && size >= 2) bytes[1] = static_cast<uint8_t>(size - 2);
  step.resize(2);
  step[1] = static_cast<uint8_t>(size);
  step.insert(step.end(), bytes, bytes + size);
}

}  // namespace

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned seed) {
  std::minstd_rand random(seed);
  if (size < 2 || random() % 2 == 0) return LLVMFuzzerMutate(data, size, max_size);
  std::vector<Step> steps = split(data + 1, size - 1);
  const size_t at = random() % steps.size();
  const auto where = steps.begin() + static_cast<std::ptrdiff_t>(at);
  switch (random() % 6) {
    case 0:
      steps.insert(where, Step(*where));
      break;
    case 1:
      std::swap(steps[at], steps[random() % steps.size()]);
      break;
    case 2:
      steps.erase(where);
      break;
    case 3:  // with time to be read
      steps.insert(where, Step{static_cast<uint8_t>(6 | (random() & 1))});
      [[fallthrough]];
    case 4:
      steps.insert(steps.begin() + static_cast<std::ptrdiff_t>(at), packet_step(random));
      break;
    default:
      change_inside(*where);
  }
  std::vector<uint8_t> out{data[0]};
  for (const Step& step : steps) out.insert(out.end(), step.begin(), step.end());
  out.resize(std::min(out.size(), max_size));
  std::copy(out.begin(), out.end(), data);
  return out.size();
}
