// Frames are parsed where the kernel put them. Bodies are skipped in pieces, so at most one small
// method or header frame is ever carried over to the next read.
#include "engine.h"
#include "options.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#define READ_BYTES (128 * 1024)

static uint8_t input[FRAME_MAX + FRAME_OVERHEAD + READ_BYTES];

static void broken(const char *what) {
  fprintf(stderr, "loadgen: %s\n", what);
  exit(2);
}

void acknowledge(struct connection *c) {
  if (c->acked == c->delivery_tag) return;
  size_t frame = method_begin(&c->out, 1, BASIC_ACK);
  put64(&c->out, c->delivery_tag);
  put8(&c->out, 1); // multiple
  frame_end(&c->out, frame);
  c->acked = c->delivery_tag;
}

static void message_received(struct connection *c, uint64_t now) {
  if (c->content_method != BASIC_DELIVER) {
    run.total.returned++;
    return;
  }
  run.total.delivered++;
  if (opt.body >= 16 && c->stamp_len == 8) {
    uint64_t sent;
    memcpy(&sent, c->stamp, 8);
    // A backlog filled by an earlier run on this boot is fine; a foreign message is not a latency.
    if (sent && sent <= now) histogram_record(&run.latency, now - sent, 1);
  }
  if (!opt.auto_ack && c->delivery_tag - c->acked >= opt.ack_every) acknowledge(c);
}

static uint64_t settle_one(struct connection *c, uint64_t tag, uint64_t now) {
  uint64_t *sent_at = &c->sent_at[tag & c->ring_mask];
  if (!*sent_at) return 0;
  histogram_record(&run.confirm_latency, now > *sent_at ? now - *sent_at : 0, 1);
  *sent_at = 0;
  return 1;
}

static void settle(struct connection *c, const uint8_t *arguments, bool ack, uint64_t now) {
  uint64_t tag = get64(arguments), settled = 0;
  bool multiple = arguments[8] & 1;
  if (tag == 0 && multiple) tag = c->sent;
  if (tag > c->sent) broken("confirm of a message that was never published");
  if (multiple)
    for (uint64_t t = c->confirm_low; t <= tag; t++) settled += settle_one(c, t, now);
  else if (tag >= c->confirm_low)
    settled = settle_one(c, tag, now);
  while (c->confirm_low <= c->sent && !c->sent_at[c->confirm_low & c->ring_mask]) c->confirm_low++;
  c->unconfirmed -= settled;
  if (ack) run.total.confirmed += settled;
  else run.total.nacked += settled;
}

static void deliver(struct connection *c, const uint8_t *arguments) {
  const uint8_t *p = arguments + 1 + arguments[0]; // consumer-tag:shortstr delivery-tag:64 redelivered:1
  uint64_t tag = get64(p);
  if (tag != c->delivery_tag + 1) broken("delivery tags are not consecutive");
  c->delivery_tag = tag;
  run.total.redelivered += p[8] & 1;
  c->content_method = BASIC_DELIVER;
}

static void method_received(struct connection *c, const uint8_t *payload, uint32_t size, uint64_t now) {
  uint32_t method = get32(payload);
  const uint8_t *arguments = payload + 4;
  switch (method) {
  case BASIC_DELIVER: deliver(c, arguments); break;
  case BASIC_RETURN: c->content_method = BASIC_RETURN; break;
  case BASIC_ACK: settle(c, arguments, true, now); break;
  case BASIC_NACK: settle(c, arguments, false, now); break;
  case CONNECTION_BLOCKED: connection_blocked(c, true); break;
  case CONNECTION_UNBLOCKED: connection_blocked(c, false); break;
  case CONNECTION_CLOSE:
  case CHANNEL_CLOSE:
  case BASIC_CANCEL: connection_refused(method, arguments, size - 4); break;
  default: fprintf(stderr, "loadgen: unexpected method %u.%u\n", method >> 16, method & 0xffff); exit(2);
  }
}

// Consumes what is there of the current body frame; returns where the next bytes begin.
static const uint8_t *body_piece(struct connection *c, const uint8_t *p, const uint8_t *end, uint64_t now) {
  uint32_t n = c->frame_left < (size_t)(end - p) ? c->frame_left : (uint32_t)(end - p);
  uint32_t missing = 8 - c->stamp_len, body = n == c->frame_left ? n - 1 : n;
  if (missing && body) {
    uint32_t take = body < missing ? body : missing;
    memcpy(c->stamp + c->stamp_len, p, take);
    c->stamp_len += take;
  }
  c->frame_left -= n;
  if (c->frame_left == 0) {
    if (p[n - 1] != FRAME_END) broken("body frame without its end octet");
    if (c->body_left == 0) message_received(c, now);
  }
  return p + n;
}

static void header_received(struct connection *c, const uint8_t *payload, uint64_t now) {
  c->body_left = get64(payload + 4);
  if (c->body_left != opt.body) broken("a message came with a body of another size than --body");
  c->stamp_len = 0;
  if (c->body_left == 0) message_received(c, now);
}

// Returns how many bytes were used; the rest is the beginning of a frame.
static size_t parse(struct connection *c, const uint8_t *start, size_t len, uint64_t now) {
  const uint8_t *p = start, *end = start + len;
  for (;;) {
    if (c->frame_left) {
      if (p == end) break;
      p = body_piece(c, p, end, now);
      continue;
    }
    if (end - p < 7) break;
    uint32_t size = get32(p + 3);
    if (size > FRAME_MAX - FRAME_OVERHEAD) broken("frame larger than agreed");
    if (p[0] == FRAME_BODY) {
      if (size > c->body_left) broken("body longer than its header said");
      c->body_left -= size;
      c->frame_left = size + 1;
      p += 7;
      continue;
    }
    if ((size_t)(end - p) < size + FRAME_OVERHEAD) break;
    if (p[7 + size] != FRAME_END) broken("frame without its end octet");
    if (p[0] == FRAME_METHOD) method_received(c, p + 7, size, now);
    else if (p[0] == FRAME_HEADER) header_received(c, p + 7, now);
    else if (p[0] != FRAME_HEARTBEAT) broken("unknown frame type");
    p += size + FRAME_OVERHEAD;
  }
  return (size_t)(p - start);
}

void receive(struct connection *c) {
  size_t carried = c->carry.len;
  if (carried) memcpy(input, c->carry.data, carried);
  ssize_t n = recv(c->fd, input + carried, READ_BYTES, 0);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n < 0) fail("recv");
  if (n == 0) {
    fprintf(stderr, "loadgen: the broker closed the connection\n");
    exit(3);
  }
  size_t len = carried + (size_t)n, used = parse(c, input, len, now_ns());
  c->carry.len = 0;
  if (used < len) buffer_append(&c->carry, input + used, len - used);
}
