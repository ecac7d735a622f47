// The packet headers as the kernel will run them: compiled with `clang -target bpf`, for tc (two
// deltas for bpf_l4_csum_replace) and for XDP (both applied in place).
#include "model/packet/rewrite.h"

struct context {
  cv_u64 data, data_end;
};

static struct cv_rewrite rewrite = {.what = 31, .source_port = 1, .sequence_delta = 7};

__attribute__((section("classifier"), used)) int tc_rewrite(struct context* c) {
  struct cv_packet packet;
  struct cv_deltas deltas;
  cv_u8 *data = (cv_u8*)(long)c->data, *end = (cv_u8*)(long)c->data_end;
  if (cv_parse(data, end, &packet) != CV_OK) return 0;
  if (cv_rewrite_fields(data, end, &packet, &rewrite, &deltas) != CV_OK) return 0;
  return (int)cv_fold(cv_sum_add(deltas.pseudo, deltas.segment));
}

__attribute__((section("xdp"), used)) int xdp_rewrite(struct context* c) {
  struct cv_packet packet;
  cv_u8 *data = (cv_u8*)(long)c->data, *end = (cv_u8*)(long)c->data_end;
  if (cv_parse(data, end, &packet) != CV_OK) return 2;
  return cv_rewrite_packet(data, end, &packet, &rewrite) == CV_OK ? 3 : 2;
}
