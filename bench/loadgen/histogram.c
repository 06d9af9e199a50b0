#include "histogram.h"
#include <string.h>

void histogram_reset(struct histogram *h) { memset(h, 0, sizeof *h); }

// The highest value that falls into the bucket, as HdrHistogram reports it.
static uint64_t bucket_top(uint32_t index) {
  if (index < 2 * HISTOGRAM_STEPS) return index;
  uint32_t shift = index / HISTOGRAM_STEPS - 1;
  uint64_t step = index - shift * HISTOGRAM_STEPS;
  return ((step + 1) << shift) - 1;
}

uint64_t histogram_percentile(const struct histogram *h, double percent) {
  if (!h->count) return 0;
  uint64_t rank = (uint64_t)(percent / 100.0 * (double)h->count + 0.5), seen = 0;
  if (rank < 1) rank = 1;
  for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
    seen += h->buckets[i];
    if (seen >= rank) return bucket_top(i) < h->max ? bucket_top(i) : h->max;
  }
  return h->max;
}
