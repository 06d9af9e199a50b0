// HDR-style histogram: 128 linear steps per power of two, so any value is known to better than 1 %.
#pragma once
#include <stdint.h>

#define HISTOGRAM_STEPS 128
#define HISTOGRAM_BUCKETS (58 * HISTOGRAM_STEPS)

struct histogram {
  uint64_t count, max;
  uint64_t buckets[HISTOGRAM_BUCKETS];
};

static inline uint32_t histogram_index(uint64_t value) {
  if (value < HISTOGRAM_STEPS) return (uint32_t)value;
  uint32_t shift = 63 - (uint32_t)__builtin_clzll(value) - 7; // leaves the top 8 bits: 128..255
  return shift * HISTOGRAM_STEPS + (uint32_t)(value >> shift);
}

static inline void histogram_record(struct histogram *h, uint64_t value, uint64_t times) {
  h->buckets[histogram_index(value)] += times;
  h->count += times;
  if (value > h->max) h->max = value;
}

void histogram_reset(struct histogram *h);
uint64_t histogram_percentile(const struct histogram *h, double percent);
