#include "admin.h"
#include "connection.h"
#include "options.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

// Fixed width, so that one pre-encoded publish fits every queue.
void queue_name(char *into, int index) { snprintf(into, 64, "%.40s-%06d", opt.prefix, index); }

void exchange_name(char *into) {
  if (opt.fanout) snprintf(into, 64, "%.40s.fanout", opt.prefix);
  else into[0] = 0;
}

static void queue_declare(struct connection *c, const char *name, bool passive) {
  size_t frame = method_begin(&c->out, 1, QUEUE_DECLARE);
  put16(&c->out, 0);
  put_shortstr(&c->out, name);
  put8(&c->out, (uint8_t)((passive ? 1 : 0) | (opt.durable ? 2 : 0)));
  put32(&c->out, 0);
  frame_end(&c->out, frame);
}

static void queue_purge(struct connection *c, const char *name) {
  size_t frame = method_begin(&c->out, 1, QUEUE_PURGE);
  put16(&c->out, 0);
  put_shortstr(&c->out, name);
  put8(&c->out, 0);
  frame_end(&c->out, frame);
}

static void queue_delete(struct connection *c, const char *name) {
  size_t frame = method_begin(&c->out, 1, QUEUE_DELETE);
  put16(&c->out, 0);
  put_shortstr(&c->out, name);
  put8(&c->out, 0);
  frame_end(&c->out, frame);
}

static void queue_bind(struct connection *c, const char *name, const char *exchange) {
  size_t frame = method_begin(&c->out, 1, QUEUE_BIND);
  put16(&c->out, 0);
  put_shortstr(&c->out, name);
  put_shortstr(&c->out, exchange);
  put_shortstr(&c->out, "");
  put8(&c->out, 0);
  put32(&c->out, 0);
  frame_end(&c->out, frame);
}

static void exchange_declare(struct connection *c, const char *exchange) {
  size_t frame = method_begin(&c->out, 1, EXCHANGE_DECLARE);
  put16(&c->out, 0);
  put_shortstr(&c->out, exchange);
  put_shortstr(&c->out, "fanout");
  put8(&c->out, opt.durable ? 2 : 0);
  put32(&c->out, 0);
  frame_end(&c->out, frame);
}

static void exchange_delete(struct connection *c, const char *exchange) {
  size_t frame = method_begin(&c->out, 1, EXCHANGE_DELETE);
  put16(&c->out, 0);
  put_shortstr(&c->out, exchange);
  put8(&c->out, 0);
  frame_end(&c->out, frame);
}

static const uint8_t *call(struct connection *c, uint32_t answer) {
  connection_flush(c);
  return connection_expect(c, answer, 0);
}

void admin_declare(void) {
  struct connection c;
  char name[64], exchange[64];
  connection_open(&c, CONTROL, 0);
  exchange_name(exchange);
  if (opt.fanout) {
    exchange_declare(&c, exchange);
    call(&c, EXCHANGE_DECLARE_OK);
  }
  for (int i = 0; i < opt.queues; i++) {
    queue_name(name, i);
    queue_declare(&c, name, false);
    call(&c, QUEUE_DECLARE_OK);
    queue_purge(&c, name); // a run that was broken off may have left messages
    call(&c, QUEUE_PURGE_OK);
    if (!opt.fanout) continue;
    queue_bind(&c, name, exchange);
    call(&c, QUEUE_BIND_OK);
  }
  connection_close(&c);
}

void admin_delete(void) {
  struct connection c;
  char name[64];
  connection_open(&c, CONTROL, 0);
  for (int i = 0; i < opt.queues; i++) {
    queue_name(name, i);
    queue_delete(&c, name);
    call(&c, QUEUE_DELETE_OK);
  }
  exchange_name(name);
  if (opt.fanout) {
    exchange_delete(&c, name);
    call(&c, EXCHANGE_DELETE_OK);
  }
  connection_close(&c);
}

void admin_count(void) {
  struct connection c;
  char name[64];
  uint64_t messages = 0;
  connection_open(&c, CONTROL, 0);
  for (int i = 0; i < opt.queues; i++) {
    queue_name(name, i);
    queue_declare(&c, name, true);
    const uint8_t *ok = call(&c, QUEUE_DECLARE_OK);
    messages += get32(ok + 1 + ok[0]); // queue:shortstr message-count:32 consumer-count:32
  }
  connection_close(&c);
  printf("{\"event\":\"count\",\"messages\":%" PRIu64 "}\n", messages);
}

void admin_probe(void) {
  struct connection c;
  connection_open(&c, CONTROL, 0);
  connection_close(&c);
  printf("{\"event\":\"probe\",\"ok\":true}\n");
}

// The caller measures the broker while we hold, and closes our stdin when it has.
static void hold(const char *what, int count, uint64_t started) {
  double seconds = (double)(now_ns() - started) / 1e9;
  printf("{\"event\":\"hold\",\"%s\":%d,\"seconds\":%.6f,\"per_s\":%.1f}\n", what, count, seconds,
         count / (seconds > 0 ? seconds : 1));
  fflush(stdout);
  char ignored[64];
  while (read(0, ignored, sizeof ignored) > 0) {
  }
}

void admin_idle(void) {
  struct connection *all = calloc((size_t)opt.idle, sizeof *all);
  uint64_t started = now_ns();
  for (int i = 0; i < opt.idle; i++) {
    connection_open(&all[i], CONTROL, i);
    free(all[i].out.data);
    all[i].out = (struct buffer){0};
  }
  hold("connections", opt.idle, started);
}

void admin_declare_queues(void) {
  struct connection c;
  char name[64];
  opt.durable = true;
  connection_open(&c, CONTROL, 0);
  uint64_t started = now_ns();
  for (int i = 0; i < opt.declare_queues; i++) {
    queue_name(name, i);
    queue_declare(&c, name, false);
    call(&c, QUEUE_DECLARE_OK);
  }
  hold("queues", opt.declare_queues, started);
  connection_close(&c);
}
