// Publishes are encoded once into a block of identical slots; a send stamps the first bytes of each
// body and hands a run of slots to the kernel. The block is shared by all producers and stays in the
// cache; only the message that a full socket cuts in two is copied into its connection.
#include "admin.h"
#include "engine.h"
#include "options.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#define BLOCK_BYTES (128 * 1024)
#define SLOTS_MAX 2048
#define BLOCKS_PER_TURN 2 // then the other connections get theirs

static uint8_t *block;
static int *slot_queue; // whose routing key the slot carries
static size_t slot_bytes, key_offset, stamp_offset, key_digits;
static uint32_t slots;
static char (*queue_digits)[8];

static void encode_slot(struct buffer *b, uint32_t frame_max) {
  char exchange[64], key[64];
  exchange_name(exchange);
  queue_name(key, 0);
  size_t frame = method_begin(b, 1, BASIC_PUBLISH);
  put16(b, 0);
  put_shortstr(b, exchange);
  key_offset = b->len + 1 + strlen(key) - key_digits;
  put_shortstr(b, opt.fanout ? "" : key);
  put8(b, 0);
  frame_end(b, frame);

  frame = frame_begin(b, FRAME_HEADER, 1);
  put16(b, 60);
  put16(b, 0);
  put64(b, opt.body);
  put16(b, 1 << 12); // delivery-mode only
  put8(b, opt.persistent ? 2 : 1);
  frame_end(b, frame);

  stamp_offset = b->len + 7;
  for (uint32_t left = opt.body; left;) {
    uint32_t size = left < frame_max - FRAME_OVERHEAD ? left : frame_max - FRAME_OVERHEAD;
    frame = frame_begin(b, FRAME_BODY, 1);
    for (uint32_t i = 0; i < size; i++) put8(b, (uint8_t)('a' + i % 26));
    frame_end(b, frame);
    left -= size;
  }
}

void publish_prepare(uint32_t frame_max) {
  struct buffer slot = {0};
  key_digits = 6;
  encode_slot(&slot, frame_max);
  slot_bytes = slot.len;
  slots = (uint32_t)(BLOCK_BYTES / slot_bytes);
  if (slots < 1) slots = 1;
  if (slots > SLOTS_MAX) slots = SLOTS_MAX;
  block = malloc(slots * slot_bytes);
  slot_queue = calloc(slots, sizeof *slot_queue);
  for (uint32_t i = 0; i < slots; i++) memcpy(block + i * slot_bytes, slot.data, slot_bytes);
  free(slot.data);
  queue_digits = calloc((size_t)opt.queues, sizeof *queue_digits);
  for (int i = 0; i < opt.queues; i++) {
    char name[64];
    queue_name(name, i);
    memcpy(queue_digits[i], name + strlen(name) - key_digits, key_digits);
  }
}

void producer_prepare(struct connection *c, int producers) {
  uint64_t ring = 1024;
  while (ring < 4ull * opt.confirms) ring *= 2;
  c->sent_at = calloc(ring, sizeof *c->sent_at);
  c->ring_mask = ring - 1;
  c->queue = c->index % opt.queues;
  c->quota = opt.messages / (uint64_t)producers + ((uint64_t)c->index < opt.messages % (uint64_t)producers);
}

// ns. When message number n of this producer is due. Producers are staggered over one period.
uint64_t due_at(const struct connection *c, uint64_t n) {
  double period = opt.producers / opt.rate * 1e9;
  return loop_started + (uint64_t)(((double)n + (double)c->index / opt.producers) * period);
}

static uint64_t allowance(const struct connection *c, uint64_t now) {
  if (c->blocked) return 0;
  uint64_t room = slots;
  if (opt.confirms) {
    uint64_t window = c->unconfirmed < opt.confirms ? opt.confirms - c->unconfirmed : 0;
    uint64_t ring = c->ring_mask - (c->sent + 1 - c->confirm_low);
    if (window < room) room = window;
    if (ring < room) room = ring;
  }
  if (opt.messages && c->quota - c->sent < room) room = c->quota - c->sent;
  if (opt.rate > 0) {
    uint64_t due = 0;
    while (due < room && due_at(c, c->sent + due) <= now) due++;
    room = due;
  }
  return room;
}

// At a fixed rate a message counts from when it was due, not from when it could be sent: a broker
// that makes the generator wait must not look faster for it (coordinated omission).
static uint64_t stamp_of(const struct connection *c, uint64_t n, uint64_t now) {
  return opt.rate > 0 ? due_at(c, n) : now;
}

// With more queues than producers, each producer takes its share of the queues in turn.
static int queue_of(const struct connection *c, uint64_t n) {
  if (opt.queues <= opt.producers) return c->queue;
  return (int)(((uint64_t)c->queue + n * (uint64_t)opt.producers) % (uint64_t)opt.queues);
}

static void fill_slots(struct connection *c, uint32_t count, uint64_t now) {
  for (uint32_t i = 0; i < count; i++) {
    uint8_t *slot = block + i * slot_bytes;
    if (opt.body >= 16) {
      uint64_t stamp = stamp_of(c, c->sent + i, now);
      memcpy(slot + stamp_offset, &stamp, 8);
    }
    if (opt.fanout) continue;
    int queue = queue_of(c, c->sent + i);
    if (slot_queue[i] == queue) continue;
    memcpy(slot + key_offset, queue_digits[queue], key_digits);
    slot_queue[i] = queue;
  }
}

static void note_sent(struct connection *c, uint64_t count, uint64_t now) {
  if (opt.confirms) {
    for (uint64_t i = 0; i < count; i++)
      c->sent_at[(c->sent + i + 1) & c->ring_mask] = stamp_of(c, c->sent + i, now);
    c->unconfirmed += count;
  }
  c->sent += count;
  run.total.published += count;
}

void produce(struct connection *c, uint64_t now) {
  if (!flush(c)) return;
  for (int turn = 0; turn < BLOCKS_PER_TURN; turn++) {
    uint32_t count = (uint32_t)allowance(c, now);
    if (!count) {
      want_out(c, false);
      return;
    }
    fill_slots(c, count, now);
    ssize_t n = send(c->fd, block, count * slot_bytes, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN) fail("send");
    if (n < 0) n = 0;
    uint64_t whole = (size_t)n / slot_bytes, cut = (size_t)n % slot_bytes;
    if (cut) { // the rest of this message must follow byte for byte, so it leaves the shared block
      const uint8_t *slot = block + whole * slot_bytes;
      buffer_append(&c->out, slot + cut, slot_bytes - cut);
    }
    note_sent(c, whole + (cut > 0), now);
    if (whole < count) break;
  }
  want_out(c, true);
}
