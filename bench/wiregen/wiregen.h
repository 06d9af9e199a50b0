// Load over Kafka's, MQTT's and STOMP's wire protocols: what its modes share.
#pragma once
#include <stddef.h>
#include <stdint.h>

struct buffer {
  uint8_t *bytes;
  size_t start, end, size;
};

struct connection {
  int fd, index, ready, blocked;
  struct buffer in, out;
  // Kafka: requests under way and when they were sent; MQTT: next packet id.
  uint32_t correlation, inflight;
  uint64_t sent_at[64];
  uint16_t packet_id;
  int64_t offset;
  uint64_t published, delivered;
};

struct options {
  const char *host, *mode, *topic;
  int port, publishers, subscribers, partitions, body, batch, inflight, window, qos, fanout, clean, circles, once;
  double seconds, warmup, rate;
};

struct totals {
  uint64_t published, acknowledged, delivered, bytes;
};

extern struct options options;
extern struct totals totals;
extern int measuring;
// Set by a mode that has nothing more to measure.
extern int finished;

// One protocol. `open` logs in (blocking I/O is fine there), `pump` encodes as much as may be sent now,
// `input` takes what has been read.
struct mode {
  const char *name;
  void (*open)(struct connection *c, int subscriber);
  void (*pump)(struct connection *c);
  void (*input)(struct connection *c);
};

extern const struct mode produce_mode, fetch_mode, mqtt_mode, stomp_mode;

void die(const char *what);
uint64_t now_us(void);
void latency(uint64_t microseconds);
void reserve(struct buffer *b, size_t count);
void put(struct buffer *b, const void *bytes, size_t count);
void put8(struct buffer *b, unsigned value);
void put16(struct buffer *b, unsigned value);
void put32(struct buffer *b, uint32_t value);
void put64(struct buffer *b, uint64_t value);
uint32_t get32(const uint8_t *at);
uint64_t get64(const uint8_t *at);
uint32_t crc32c(const uint8_t *bytes, size_t count);
// Blocking: writes all of `out`, and reads until `in` holds at least `count` bytes.
void flush_now(struct connection *c);
void read_until(struct connection *c, size_t count);
// May another message go into pair `index`, so that no more than a window are on their way?
int may_publish(const struct connection *c);
