// Internet checksums, whole and incremental (RFC 1071, RFC 1624 equation 3). C for g++, clang and
// `clang -target bpf`: no libc, static inline. Sums are the kernel's __wsum: 16-bit words as they
// lie in memory, added with end-around carry, so that a delta can go to bpf_l4_csum_replace.
#ifndef CULVERT_MODEL_PACKET_CHECKSUM_H_
#define CULVERT_MODEL_PACKET_CHECKSUM_H_

// <stdint.h> drags libc in under -target bpf; these are the same types.
typedef __UINT8_TYPE__ cv_u8;
typedef __UINT16_TYPE__ cv_u16;
typedef __UINT32_TYPE__ cv_u32;
typedef __UINT64_TYPE__ cv_u64;

#define CV_INLINE static inline __attribute__((always_inline, unused))

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define cv_swap16(x) __builtin_bswap16(x) /* host <-> network order */
#define cv_swap32(x) __builtin_bswap32(x)
#else
#define cv_swap16(x) ((cv_u16)(x))
#define cv_swap32(x) ((cv_u32)(x))
#endif

CV_INLINE cv_u16 cv_load16(const cv_u8* p) {  // as it lies in memory
  cv_u16 v;
  __builtin_memcpy(&v, p, 2);
  return v;
}
CV_INLINE cv_u32 cv_load32(const cv_u8* p) {
  cv_u32 v;
  __builtin_memcpy(&v, p, 4);
  return v;
}
CV_INLINE void cv_store16(cv_u8* p, cv_u16 v) { __builtin_memcpy(p, &v, 2); }
CV_INLINE void cv_store32(cv_u8* p, cv_u32 v) { __builtin_memcpy(p, &v, 4); }

CV_INLINE cv_u32 cv_sum_add(cv_u32 sum, cv_u32 word) {
  sum += word;
  return sum + (sum < word);
}
CV_INLINE cv_u16 cv_fold(cv_u32 sum) {
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return (cv_u16)sum;
}

// Writes a field and adds ~m + m' to `delta`. `p` is at an even offset from the start of what the
// checksum covers.
CV_INLINE void cv_replace16(cv_u8* p, cv_u16 value, cv_u32* delta) {
  *delta = cv_sum_add(*delta, (cv_u16)~cv_load16(p));
  *delta = cv_sum_add(*delta, value);
  cv_store16(p, value);
}
CV_INLINE void cv_replace32(cv_u8* p, cv_u32 value, cv_u32* delta) {
  *delta = cv_sum_add(*delta, ~cv_load32(p));
  *delta = cv_sum_add(*delta, value);
  cv_store32(p, value);
}
// At an odd offset the same bytes weigh the other way round (RFC 1071 section 2, byte order).
CV_INLINE void cv_replace32_odd(cv_u8* p, cv_u32 value, cv_u32* delta) {
  cv_u32 change = cv_sum_add(~cv_load32(p), value);
  cv_u16 folded = cv_fold(change);
  *delta = cv_sum_add(*delta, (cv_u16)(folded << 8 | folded >> 8));
  cv_store32(p, value);
}

// HC' = ~(~HC + ~m + m'): RFC 1624 equation 3. Equation 4, and RFC 1141's, can give ffff for 0.
CV_INLINE cv_u16 cv_checksum_adjust(cv_u16 checksum, cv_u32 delta) {
  return (cv_u16)~cv_fold(cv_sum_add((cv_u16)~checksum, delta));
}

// The sum over `size` bytes, at most 65535, added to `sum`. Not for eBPF (unbounded loop).
#ifndef __bpf__
CV_INLINE cv_u32 cv_sum(const cv_u8* p, cv_u32 size, cv_u32 sum) {
  while (size >= 4) {
    sum = cv_sum_add(sum, cv_load32(p));
    p += 4;
    size -= 4;
  }
  if (size >= 2) {
    sum = cv_sum_add(sum, cv_load16(p));
    p += 2;
    size -= 2;
  }
  if (size) {
    cv_u8 last[2] = {p[0], 0};
    sum = cv_sum_add(sum, cv_load16(last));
  }
  return sum;
}
#endif

#endif  // CULVERT_MODEL_PACKET_CHECKSUM_H_
