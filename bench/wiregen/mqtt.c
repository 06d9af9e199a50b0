// MQTT 3.1.1: publishers and subscribers in pairs, or one publisher to all of them.
#include "wiregen.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *payload;

static void remaining(struct buffer *b, size_t n) {
  do {
    put8(b, (unsigned)(n & 127) | (n > 127 ? 128 : 0));
    n >>= 7;
  } while (n);
}

static void text(struct buffer *b, const char *s) {
  put16(b, (unsigned)strlen(s));
  put(b, s, strlen(s));
}

static void topic_of(const struct connection *c, char *into) {
  if (options.fanout) sprintf(into, "%s/all", options.topic);
  else sprintf(into, "%s/%d", options.topic, c->index % (options.subscribers ? options.subscribers : 1));
}

static void open_mqtt(struct connection *c, int subscriber) {
  char id[64], topic[128];
  if (!payload) payload = calloc(1, (size_t)options.body + 1), memset(payload, 'x', (size_t)options.body);
  sprintf(id, "%s-%c%d", options.topic, subscriber ? 's' : 'p', c->index);
  put8(&c->out, 0x10);
  remaining(&c->out, 10 + 2 + strlen(id));
  text(&c->out, "MQTT");
  put8(&c->out, 4);
  put8(&c->out, options.clean || !subscriber ? 2 : 0);
  put16(&c->out, 0);
  text(&c->out, id);
  flush_now(c);
  read_until(c, 4);
  if (c->in.bytes[c->in.start + 3]) die("CONNECT was refused");
  c->in.start += 4;
  if (!subscriber) {
    c->ready = 1;
    return;
  }
  topic_of(c, topic);
  put8(&c->out, 0x82);
  remaining(&c->out, 2 + 2 + strlen(topic) + 1);
  put16(&c->out, 1);
  text(&c->out, topic);
  put8(&c->out, (unsigned)options.qos);
  flush_now(c);
  read_until(c, 5);
  // What an earlier run left in a session comes before the SUBACK: then the rest is input.
  if (c->in.bytes[c->in.start] == 0x90) c->in.start += 5;
}

static void pump_mqtt(struct connection *c) {
  char topic[128];
  if (!c->ready) return;
  topic_of(c, topic);
  size_t length = 2 + strlen(topic) + (options.qos ? 2u : 0u) + (size_t)options.body;
  while (c->out.end - c->out.start < 65536 && may_publish(c)) {
    if (options.qos && c->inflight >= (uint32_t)options.inflight) return;
    put8(&c->out, 0x30 | (unsigned)options.qos << 1);
    remaining(&c->out, length);
    text(&c->out, topic);
    if (options.qos) {
      if (++c->packet_id == 0) c->packet_id = 1;
      put16(&c->out, c->packet_id);
      c->sent_at[c->packet_id & 63] = now_us();
      c->inflight++;
    }
    put(&c->out, payload, (size_t)options.body);
    c->published++;
    totals.published++;
    if (options.subscribers == 0 && c->out.end - c->out.start > 32768) return;
  }
}

static void input_mqtt(struct connection *c) {
  for (;;) {
    size_t have = c->in.end - c->in.start, length = 0, head = 1;
    uint8_t *at = c->in.bytes + c->in.start;
    if (have < 2) return;
    for (int shift = 0;; shift += 7) {
      if (head == have) return;
      uint8_t octet = at[head++];
      length |= (size_t)(octet & 127) << shift;
      if (octet < 128) break;
    }
    if (have < head + length) return;
    switch (at[0] >> 4) {
    case 3:
      c->delivered++;
      totals.delivered++;
      totals.bytes += head + length;
      if (at[0] & 6) {
        size_t topic = (size_t)(at[head] << 8 | at[head + 1]);
        put8(&c->out, 0x40);
        put8(&c->out, 2);
        put(&c->out, at + head + 2 + topic, 2);
      }
      break;
    case 4:
      latency(now_us() - c->sent_at[at[head + 1] & 63]);
      totals.acknowledged++;
      c->inflight--;
      break;
    }
    c->in.start += head + length;
  }
}

const struct mode mqtt_mode = {"mqtt", open_mqtt, pump_mqtt, input_mqtt};
