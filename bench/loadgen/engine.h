// The measured part: producers and consumers on one epoll loop, and what they count.
//
//   engine.c    opens the connections, runs the loop through warm-up and measurement
//   publish.c   out: pre-encoded publishes, window, rate, back-pressure
//   receive.c   in:  incremental frame parsing, deliveries, confirms
#pragma once
#include "connection.h"
#include "histogram.h"

struct counts {
  uint64_t published, confirmed, nacked, returned, delivered, redelivered;
};

struct measurement {
  struct counts total, at_start; // since the loop began; when measuring began
  uint64_t blocked_at_start;     // ns
  double seconds, cpu_seconds;
  bool complete; // reached --messages, or its full --seconds
  struct histogram latency, confirm_latency;
};

extern struct measurement run;
extern uint64_t loop_started; // ns; the schedule of --rate counts from here

void engine_run(void);
void report_print(void);

// publish.c
void publish_prepare(uint32_t frame_max);
void producer_prepare(struct connection *c, int producers);
void produce(struct connection *c, uint64_t now);
uint64_t due_at(const struct connection *c, uint64_t n); // --rate only

// receive.c
void receive(struct connection *c);
void acknowledge(struct connection *c);

// engine.c
bool flush(struct connection *c); // non-blocking; true when nothing is left
void want_out(struct connection *c, bool wanted);
