#include "engine.h"
#include "options.h"
#include <inttypes.h>
#include <stdio.h>

static void latency_json(const char *name, const struct histogram *h) {
  printf(",\"%s\":{\"count\":%" PRIu64 ",\"p50\":%.3f,\"p99\":%.3f,\"p999\":%.3f,\"max\":%.3f}", name, h->count,
         (double)histogram_percentile(h, 50) / 1e3, (double)histogram_percentile(h, 99) / 1e3,
         (double)histogram_percentile(h, 99.9) / 1e3, (double)h->max / 1e3);
}

static void print_json(const struct counts *n, double seconds, double blocked) {
  printf("{\"event\":\"result\",\"complete\":%s,\"seconds\":%.6f", run.complete ? "true" : "false", seconds);
  printf(",\"published\":%" PRIu64 ",\"confirmed\":%" PRIu64 ",\"nacked\":%" PRIu64 ",\"returned\":%" PRIu64
         ",\"delivered\":%" PRIu64 ",\"redelivered\":%" PRIu64,
         n->published, n->confirmed, n->nacked, n->returned, n->delivered, n->redelivered);
  printf(",\"published_per_s\":%.1f,\"confirmed_per_s\":%.1f,\"delivered_per_s\":%.1f",
         (double)n->published / seconds, (double)n->confirmed / seconds, (double)n->delivered / seconds);
  latency_json("latency_us", &run.latency);
  latency_json("confirm_latency_us", &run.confirm_latency);
  printf(",\"cpu_seconds\":%.3f,\"blocked_seconds\":%.3f", run.cpu_seconds, blocked);
  printf(",\"total_published\":%" PRIu64 ",\"total_confirmed\":%" PRIu64 ",\"total_delivered\":%" PRIu64 "}\n",
         run.total.published, run.total.confirmed, run.total.delivered);
}

static void latency_text(const char *name, const struct histogram *h) {
  if (!h->count) return;
  printf("%-18s p50 %.3f ms   p99 %.3f ms   p99.9 %.3f ms   max %.3f ms\n", name,
         (double)histogram_percentile(h, 50) / 1e6, (double)histogram_percentile(h, 99) / 1e6,
         (double)histogram_percentile(h, 99.9) / 1e6, (double)h->max / 1e6);
}

void report_print(void) {
  struct counts n = {
      .published = run.total.published - run.at_start.published,
      .confirmed = run.total.confirmed - run.at_start.confirmed,
      .nacked = run.total.nacked - run.at_start.nacked,
      .returned = run.total.returned - run.at_start.returned,
      .delivered = run.total.delivered - run.at_start.delivered,
      .redelivered = run.total.redelivered - run.at_start.redelivered,
  };
  double seconds = run.seconds > 0 ? run.seconds : 1e-9;
  double blocked = (double)(blocked_ns - run.blocked_at_start) / 1e9;
  if (opt.json) {
    print_json(&n, seconds, blocked);
  } else {
    printf("%.2f s: published %.0f/s, confirmed %.0f/s, delivered %.0f/s\n", seconds,
           (double)n.published / seconds, (double)n.confirmed / seconds, (double)n.delivered / seconds);
    printf("nacked %" PRIu64 ", returned %" PRIu64 ", redelivered %" PRIu64
           ", blocked %.2f s, generator CPU %.2f s%s\n",
           n.nacked, n.returned, n.redelivered, blocked, run.cpu_seconds, run.complete ? "" : ", INCOMPLETE");
    latency_text("end to end", &run.latency);
    latency_text("publish to confirm", &run.confirm_latency);
  }
  fflush(stdout);
}
