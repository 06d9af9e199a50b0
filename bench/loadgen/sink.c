// A stand-in for a broker that does nothing: it counts and confirms whatever is published and sends
// consumers the same message for ever. What the generator reaches against it is the generator's own
// limit, which must lie well above any figure it reports about a broker.
//
// usage: sink PORT BODY_BYTES
#define _GNU_SOURCE // accept4
#include "wire.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_BYTES (128 * 1024)
#define BLOCK_BYTES (128 * 1024)

struct peer {
  int fd;
  bool greeted, consuming;
  uint64_t published, confirmed, delivery_tag;
  struct buffer carry, out;
  size_t cut; // bytes of the first slot that the last send has already written
};

static int epoll_fd;
static uint8_t input[FRAME_MAX + FRAME_OVERHEAD + READ_BYTES];
static uint8_t *block; // deliveries, encoded once; only the delivery tag changes
static size_t slot_bytes, tag_offset, slots;

static void deliveries_prepare(uint32_t body_bytes) {
  struct buffer slot = {0};
  size_t frame = method_begin(&slot, 1, BASIC_DELIVER);
  put_shortstr(&slot, "bench-000000");
  tag_offset = slot.len;
  put64(&slot, 0);
  put8(&slot, 0);
  put_shortstr(&slot, "");
  put_shortstr(&slot, "bench-000000");
  frame_end(&slot, frame);
  frame = frame_begin(&slot, FRAME_HEADER, 1);
  put16(&slot, 60);
  put16(&slot, 0);
  put64(&slot, body_bytes);
  put16(&slot, 0);
  frame_end(&slot, frame);
  frame = frame_begin(&slot, FRAME_BODY, 1);
  for (uint32_t i = 0; i < body_bytes; i++) put8(&slot, 0);
  frame_end(&slot, frame);
  slot_bytes = slot.len;
  slots = BLOCK_BYTES / slot_bytes + 1;
  block = malloc(slots * slot_bytes);
  for (size_t i = 0; i < slots; i++) memcpy(block + i * slot_bytes, slot.data, slot_bytes);
}

static void answer(struct peer *p, uint16_t channel, uint32_t method, const void *arguments, size_t len) {
  size_t frame = method_begin(&p->out, channel, method);
  buffer_append(&p->out, arguments, len);
  frame_end(&p->out, frame);
}

static void method_received(struct peer *p, uint32_t method) {
  switch (method) {
  case CONNECTION_START_OK: answer(p, 0, CONNECTION_TUNE, "\x07\xff\x00\x02\x00\x00\x00\x00", 8); break;
  case CONNECTION_OPEN: answer(p, 0, CONNECTION_OPEN_OK, "", 1); break;
  case CONNECTION_CLOSE: answer(p, 0, CONNECTION_CLOSE_OK, "", 0); break;
  case CHANNEL_OPEN: answer(p, 1, CHANNEL_OPEN_OK, "\0\0\0\0", 4); break;
  case CONFIRM_SELECT: answer(p, 1, CONFIRM_SELECT_OK, "", 0); break;
  case EXCHANGE_DECLARE: answer(p, 1, EXCHANGE_DECLARE_OK, "", 0); break;
  case EXCHANGE_DELETE: answer(p, 1, EXCHANGE_DELETE_OK, "", 0); break;
  case QUEUE_DECLARE: answer(p, 1, QUEUE_DECLARE_OK, "\0\0\0\0\0\0\0\0", 9); break; // nameless, empty
  case QUEUE_BIND: answer(p, 1, QUEUE_BIND_OK, "", 0); break;
  case QUEUE_PURGE: answer(p, 1, QUEUE_PURGE_OK, "\0\0\0", 4); break;
  case QUEUE_DELETE: answer(p, 1, QUEUE_DELETE_OK, "\0\0\0", 4); break;
  case BASIC_QOS: answer(p, 1, BASIC_QOS_OK, "", 0); break;
  case BASIC_CONSUME: p->consuming = true; break;
  case BASIC_PUBLISH: p->published++; break;
  default: break;
  }
}

// Frames are walked one by one, as a broker has to.
static size_t parse(struct peer *p, const uint8_t *start, size_t len) {
  const uint8_t *at = start, *end = start + len;
  if (!p->greeted && len >= 8) {
    answer(p, 0, CONNECTION_START, "\0\x09\0\0\0\0\0\0\0\5PLAIN\0\0\0\5en_US", 24);
    p->greeted = true;
    at += 8;
  }
  while (end - at >= 7) {
    uint32_t size = get32(at + 3);
    if ((size_t)(end - at) < size + FRAME_OVERHEAD) break;
    if (at[0] == FRAME_METHOD) method_received(p, get32(at + 7));
    at += size + FRAME_OVERHEAD;
  }
  return (size_t)(at - start);
}

static void deliver(struct peer *p) {
  for (size_t i = 0; i < slots; i++) {
    uint64_t tag = __builtin_bswap64(p->delivery_tag + 1 + i);
    memcpy(block + i * slot_bytes + tag_offset, &tag, 8);
  }
  ssize_t n = send(p->fd, block + p->cut, slots * slot_bytes - p->cut, MSG_NOSIGNAL);
  if (n <= 0) return;
  size_t written = p->cut + (size_t)n;
  p->delivery_tag += written / slot_bytes;
  p->cut = written % slot_bytes;
}

static void close_peer(struct peer *p) {
  close(p->fd);
  free(p->carry.data);
  free(p->out.data);
  free(p);
}

// Answers are tiny against the socket's buffer, so a short send would be a fault, not back-pressure.
static bool send_answers(struct peer *p) {
  bool sent = !p->out.len || send(p->fd, p->out.data, p->out.len, MSG_NOSIGNAL) == (ssize_t)p->out.len;
  p->out.len = 0;
  return sent;
}

static bool readable(struct peer *p) {
  size_t carried = p->carry.len;
  if (carried) memcpy(input, p->carry.data, carried);
  ssize_t n = recv(p->fd, input + carried, READ_BYTES, 0);
  if (n < 0 && errno == EAGAIN) return true;
  if (n <= 0) return false;
  size_t len = carried + (size_t)n, used = parse(p, input, len);
  p->carry.len = 0;
  if (used < len) buffer_append(&p->carry, input + used, len - used);
  if (p->published > p->confirmed) {
    size_t frame = method_begin(&p->out, 1, BASIC_ACK);
    put64(&p->out, p->published);
    put8(&p->out, 1);
    frame_end(&p->out, frame);
    p->confirmed = p->published;
  }
  if (!send_answers(p)) return false;
  struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = p};
  if (p->consuming) epoll_ctl(epoll_fd, EPOLL_CTL_MOD, p->fd, &event);
  return true;
}

static void accept_peer(int listener) {
  struct peer *p = calloc(1, sizeof *p);
  int on = 1;
  p->fd = accept4(listener, 0, 0, SOCK_NONBLOCK);
  setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = p};
  epoll_ctl(epoll_fd, EPOLL_CTL_ADD, p->fd, &event);
}

int main(int argc, char **argv) {
  if (argc != 3) return 64;
  deliveries_prepare((uint32_t)atoi(argv[2]));
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1]))};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 1024)) {
    perror("sink");
    return 1;
  }
  epoll_fd = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN}, events[256];
  epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event);
  for (;;) {
    int n = epoll_wait(epoll_fd, events, 256, -1);
    for (int i = 0; i < n; i++) {
      struct peer *p = events[i].data.ptr;
      if (!p) accept_peer(listener);
      else if ((events[i].events & ~(uint32_t)EPOLLOUT) && !readable(p)) close_peer(p);
      else if (events[i].events & EPOLLOUT && p->consuming) deliver(p);
    }
  }
}
