// STOMP 1.2: senders and subscribers in pairs over queues, or one sender to all of them over a topic.
#define _GNU_SOURCE
#include "wiregen.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *payload;

static void say(struct connection *c, const char *text) { put(&c->out, text, strlen(text)); }

static void destination_of(const struct connection *c, char *into) {
  if (options.fanout) sprintf(into, "/topic/%s", options.topic);
  else sprintf(into, "/queue/%s-%d", options.topic, c->index % (options.subscribers ? options.subscribers : 1));
}

static void open_stomp(struct connection *c, int subscriber) {
  char destination[128], frame[256];
  if (!payload) payload = calloc(1, (size_t)options.body + 1), memset(payload, 'x', (size_t)options.body);
  say(c, "CONNECT\naccept-version:1.2\nhost:/\nlogin:guest\npasscode:guest\n\n");
  put8(&c->out, 0);
  flush_now(c);
  read_until(c, 9);
  if (memcmp(c->in.bytes + c->in.start, "CONNECTED", 9)) die("CONNECT was refused");
  while (!memchr(c->in.bytes + c->in.start, 0, c->in.end - c->in.start)) read_until(c, c->in.end - c->in.start + 1);
  c->in.start = (size_t)((uint8_t *)memchr(c->in.bytes + c->in.start, 0, c->in.end - c->in.start) - c->in.bytes) + 1;
  if (!subscriber) {
    c->ready = 1;
    return;
  }
  destination_of(c, destination);
  sprintf(frame, "SUBSCRIBE\nid:0\ndestination:%s\nack:%s\nreceipt:s\n\n", destination, options.qos ? "client" : "auto");
  say(c, frame);
  put8(&c->out, 0);
  flush_now(c);
  read_until(c, 7);
}

static void pump_stomp(struct connection *c) {
  char destination[128], head[256];
  if (!c->ready) return;
  destination_of(c, destination);
  while (c->out.end - c->out.start < 65536 && may_publish(c)) {
    if (options.qos && c->inflight >= (uint32_t)options.inflight) return;
    if (options.qos) {
      c->sent_at[c->correlation & 63] = now_us();
      sprintf(head, "SEND\ndestination:%s\npersistent:true\nreceipt:%u\ncontent-length:%d\n\n", destination,
              c->correlation++, options.body);
      c->inflight++;
    } else sprintf(head, "SEND\ndestination:%s\ncontent-length:%d\n\n", destination, options.body);
    say(c, head);
    put(&c->out, payload, (size_t)options.body);
    put8(&c->out, 0);
    c->published++;
    totals.published++;
  }
}

// Bodies hold no NUL, so that is where a frame ends.
static void input_stomp(struct connection *c) {
  for (;;) {
    while (c->in.start < c->in.end && c->in.bytes[c->in.start] == '\n') c->in.start++;
    uint8_t *at = c->in.bytes + c->in.start;
    uint8_t *end = memchr(at, 0, c->in.end - c->in.start);
    if (!end) return;
    if (at[0] == 'M') {
      c->delivered++;
      totals.delivered++;
      totals.bytes += (uint64_t)(end - at);
      if (options.qos && c->delivered % 100 == 0) {
        char *ack = memmem(at, (size_t)(end - at), "\nack:", 5);
        if (!ack) die("a message without ack header");
        char *stop = strchr(ack + 1, '\n');
        say(c, "ACK\nid:");
        put(&c->out, ack + 5, (size_t)(stop - ack - 5));
        say(c, "\n\n");
        put8(&c->out, 0);
      }
    } else if (at[0] == 'R' && at[8] == 'r') {
      char *id = memmem(at, (size_t)(end - at), "receipt-id:", 11);
      if (id && id[11] != 's') {
        latency(now_us() - c->sent_at[(unsigned)atoi(id + 11) & 63]);
        totals.acknowledged++;
        c->inflight--;
      }
    } else if (at[0] == 'E') die((const char *)at);
    c->in.start += (size_t)(end - at) + 1;
  }
}

const struct mode stomp_mode = {"stomp", open_stomp, pump_stomp, input_stomp};
