// Kafka: Produce 7 with batches made beforehand, Fetch 11 that counts records by their batches' headers.
#include "wiregen.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

static uint8_t *batch;
static size_t batch_bytes;
static int records;

static void varint(struct buffer *b, int64_t value) {
  uint64_t v = ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);
  while (v >= 128) {
    put8(b, (unsigned)(v & 127) | 128);
    v >>= 7;
  }
  put8(b, (unsigned)v);
}

// Magic 2, https://kafka.apache.org/documentation/#recordbatch
static void make_batch(void) {
  struct buffer body = {0}, b = {0};
  char *value = malloc((size_t)options.body);
  uint32_t random = 12345;
  for (int i = 0; i < options.body; i++) value[i] = (char)('a' + (random = random * 1103515245u + 12345u) / 65536 % 26);
  while (records == 0 || (int)(body.end - body.start) + options.body + 16 + 61 <= options.batch) {
    struct buffer r = {0};
    put8(&r, 0);
    varint(&r, 0);
    varint(&r, records);
    varint(&r, -1);
    varint(&r, options.body);
    put(&r, value, (size_t)options.body);
    varint(&r, 0);
    varint(&body, (int64_t)r.end);
    put(&body, r.bytes, r.end);
    free(r.bytes);
    records++;
  }
  put64(&b, 0);
  put32(&b, (uint32_t)(body.end + 49));
  put32(&b, (uint32_t)-1);
  put8(&b, 2);
  put32(&b, 0);
  put16(&b, 0);
  put32(&b, (uint32_t)(records - 1));
  // Of today, or retention takes them away.
  uint64_t now = (uint64_t)time(NULL) * 1000;
  put64(&b, now);
  put64(&b, now);
  put64(&b, (uint64_t)-1);
  put16(&b, 0xffff);
  put32(&b, (uint32_t)-1);
  put32(&b, (uint32_t)records);
  put(&b, body.bytes, body.end);
  uint32_t crc = crc32c(b.bytes + 21, b.end - 21);
  for (int i = 0; i < 4; i++) b.bytes[17 + i] = (uint8_t)(crc >> (24 - 8 * i));
  batch = b.bytes;
  batch_bytes = b.end;
}

static void header(struct connection *c, unsigned api, unsigned version, size_t length) {
  put32(&c->out, (uint32_t)(length + 10));
  put16(&c->out, api);
  put16(&c->out, version);
  put32(&c->out, c->correlation++);
  put16(&c->out, 0);
}

static void open_produce(struct connection *c, int subscriber) {
  (void)subscriber;
  if (!batch) make_batch();
  c->offset = c->index; // partition in turn
}

static void pump_produce(struct connection *c) {
  size_t topic = strlen(options.topic);
  size_t length = 2 + 2 + 4 + 4 + 2 + topic + 4 + 4 + 4 + batch_bytes;
  while (c->inflight < (uint32_t)options.inflight) {
    if (options.rate > 0) {
      static uint64_t started;
      if (!started) started = now_us();
      if ((double)totals.published >= (double)(now_us() - started) / 1e6 * options.rate) return;
    }
    c->sent_at[c->correlation & 63] = now_us();
    header(c, 0, 7, length);
    put16(&c->out, 0xffff); // no transaction
    put16(&c->out, 0xffff); // acks=all
    put32(&c->out, 30000);
    put32(&c->out, 1);
    put16(&c->out, (unsigned)topic);
    put(&c->out, options.topic, topic);
    put32(&c->out, 1);
    put32(&c->out, (uint32_t)(c->offset++ % options.partitions));
    put32(&c->out, (uint32_t)batch_bytes);
    put(&c->out, batch, batch_bytes);
    c->inflight++;
    totals.published += (uint64_t)records;
  }
}

static void input_produce(struct connection *c) {
  for (;;) {
    size_t have = c->in.end - c->in.start;
    uint8_t *at = c->in.bytes + c->in.start;
    if (have < 4 || have < 4 + get32(at)) return;
    uint32_t correlation = get32(at + 4);
    size_t error = 4 + 4 + 4 + 2 + strlen(options.topic) + 4 + 4;
    if (at[error] || at[error + 1]) die(at[error + 1] == 3 ? "no such topic" : "a produce request failed");
    latency(now_us() - c->sent_at[correlation & 63]);
    totals.acknowledged += (uint64_t)records;
    totals.bytes += batch_bytes;
    c->inflight--;
    c->in.start += 4 + get32(at);
  }
}

static void open_fetch(struct connection *c, int subscriber) { (void)subscriber, (void)c; }

static int64_t *offsets;

static void pump_fetch(struct connection *c) {
  if (c->inflight) return;
  if (!offsets) offsets = calloc((size_t)options.partitions, sizeof *offsets);
  size_t topic = strlen(options.topic);
  size_t mine = 0;
  for (int p = c->index; p < options.partitions; p += options.publishers) mine++;
  size_t length = 4 + 4 + 4 + 4 + 1 + 4 + 4 + 4 + 2 + topic + 4 + mine * 28 + 4 + 2;
  header(c, 1, 11, length);
  put32(&c->out, (uint32_t)-1);
  put32(&c->out, 500);
  put32(&c->out, 1);
  put32(&c->out, 52428800);
  put8(&c->out, 0);
  put32(&c->out, 0);
  put32(&c->out, (uint32_t)-1);
  put32(&c->out, 1);
  put16(&c->out, (unsigned)topic);
  put(&c->out, options.topic, topic);
  put32(&c->out, (uint32_t)mine);
  for (int p = c->index; p < options.partitions; p += options.publishers) {
    put32(&c->out, (uint32_t)p);
    put32(&c->out, (uint32_t)-1);
    put64(&c->out, (uint64_t)offsets[p]);
    put64(&c->out, (uint64_t)-1);
    put32(&c->out, (uint32_t)options.batch);
  }
  put32(&c->out, 0); // forgotten topics
  put16(&c->out, 0); // rack
  c->inflight = 1;
}

// Walks [batch header, records] pairs; a batch that is cut off at the end does not count.
static int64_t count_records(const uint8_t *at, size_t length, int64_t offset) {
  while (length >= 61) {
    size_t size = get32(at + 8) + 12u;
    if (size > length) break;
    int64_t next = (int64_t)get64(at) + (int64_t)get32(at + 23) + 1;
    if (next > offset) {
      totals.delivered += (uint64_t)(next - offset);
      offset = next;
    }
    totals.bytes += size;
    at += size;
    length -= size;
  }
  return offset;
}

static void input_fetch(struct connection *c) {
  size_t have = c->in.end - c->in.start;
  uint8_t *frame = c->in.bytes + c->in.start;
  if (have < 4 || have < 4 + get32(frame)) return;
  uint8_t *at = frame + 4 + 4 + 4 + 2 + 4; // size, correlation, throttle, error, session
  uint32_t topics = get32(at);
  at += 4;
  for (uint32_t t = 0; t < topics; t++) {
    at += 2 + (size_t)(at[0] << 8 | at[1]);
    uint32_t n = get32(at);
    at += 4;
    for (uint32_t i = 0; i < n; i++) {
      uint32_t p = get32(at);
      if (at[4] || at[5]) die("a fetch failed");
      int64_t end = (int64_t)get64(at + 6);
      at += 4 + 2 + 8 + 8 + 8;
      int32_t aborted = (int32_t)get32(at);
      at += 4 + (aborted > 0 ? (size_t)aborted * 16 : 0) + 4;
      int32_t length = (int32_t)get32(at);
      at += 4;
      if (length > 0) {
        offsets[p] = count_records(at, (size_t)length, offsets[p]);
        at += length;
      }
      if (offsets[p] < end) continue;
      // Whoever reads in circles starts over at once: waiting for more would be most of the time.
      if (options.circles) offsets[p] = 0;
      // Whoever reads once has read it, with one partition.
      if (options.once) finished = 1;
    }
  }
  c->in.start += 4 + get32(frame);
  c->inflight = 0;
}

const struct mode produce_mode = {"produce", open_produce, pump_produce, input_produce};
const struct mode fetch_mode = {"fetch", open_fetch, pump_fetch, input_fetch};
