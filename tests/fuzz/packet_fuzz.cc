// Anything at all as a packet through parsing and rewriting: no read or write outside the view, and
// a rewrite forth and back leaves addresses and ports as they were.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "model/packet/icmp_error.h"
#include "model/packet/rewrite.h"
#include "model/packet/soft_flow_table.h"

using culvert::net::Endpoint;
using culvert::net::IpAddress;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const uint8_t what = data[0];
  const size_t n = size - 1;
  // A heap block of exactly this size, so that AddressSanitizer sees each byte outside.
  std::unique_ptr<uint8_t[]> packet(new uint8_t[n]);
  std::memcpy(packet.get(), data + 1, n);
  uint8_t* const end = packet.get() + n;
  cv_packet parsed;
  if (cv_parse(packet.get(), end, &parsed) != CV_OK) return 0;
  if (parsed.l4 > parsed.length) std::abort();
  cv_rewrite rewrite = {};
  rewrite.what = what & 31;
  rewrite.source_port = 4321;
  rewrite.destination_port = 1234;
  rewrite.sequence_delta = 0x80000001u;
  rewrite.acknowledgement_delta = 99;
  std::memset(rewrite.source, 7, 16);
  std::memset(rewrite.destination, 9, 16);
  cv_deltas deltas;
  std::unique_ptr<uint8_t[]> partial(new uint8_t[n]);
  std::memcpy(partial.get(), packet.get(), n);
  if (cv_rewrite_fields(partial.get(), partial.get() + n, &parsed, &rewrite, &deltas) == CV_OK)
    cv_apply_deltas_partial(partial.get(), partial.get() + n, &parsed, &deltas);
  if (cv_rewrite_packet(packet.get(), end, &parsed, &rewrite) == CV_OK) {
    cv_packet again;
    if (cv_parse(packet.get(), end, &again) != CV_OK) std::abort();
    if (again.l4 != parsed.l4 || again.length != parsed.length) std::abort();
  }
  // The flow table on the same bytes, with the flow they name installed.
  culvert::packet::SoftFlowTable table(4);
  std::memcpy(packet.get(), data + 1, n);
  if (parsed.version == 4 && n >= 20) {
    const Endpoint from{IpAddress::v4(cv_swap32(cv_load32(packet.get() + 12))), parsed.source_port};
    const Endpoint to{IpAddress::v4(cv_swap32(cv_load32(packet.get() + 16))),
                      parsed.destination_port};
    (void)table.install({parsed.protocol, from, to},
                        {to, from, parsed.protocol == 6 ? 5u : 0u, what});
  }
  table.process(culvert::net::Time(0), {packet.get(), n}, what & 32 ? n : parsed.length);
  (void)culvert::packet::make_icmp_error(
      {packet.get(), n}, culvert::packet::IcmpError::too_big,
      parsed.version == 4 ? IpAddress::v4(0x0a000001) : *IpAddress::parse("fd00::1"), 1300);
  return 0;
}
