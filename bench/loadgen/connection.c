#include "connection.h"
#include "options.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

uint64_t blocked_ns;

uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void fail(const char *what) {
  fprintf(stderr, "loadgen: %s: %s\n", what, strerror(errno));
  exit(1);
}

static void connect_socket(struct connection *c) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)opt.port)};
  if (inet_pton(AF_INET, opt.host, &address.sin_addr) != 1) {
    fprintf(stderr, "loadgen: --host must be an IPv4 address, got %s\n", opt.host);
    exit(64);
  }
  c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (c->fd < 0) fail("socket");
  if (connect(c->fd, (struct sockaddr *)&address, sizeof address) < 0) fail("connect");
  int on = 1;
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

void connection_set_blocking(struct connection *c, bool blocking) {
  int flags = fcntl(c->fd, F_GETFL);
  if (fcntl(c->fd, F_SETFL, blocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK) < 0) fail("fcntl");
}

void connection_flush(struct connection *c) {
  while (c->out_sent < c->out.len) {
    ssize_t n = send(c->fd, c->out.data + c->out_sent, c->out.len - c->out_sent, MSG_NOSIGNAL);
    if (n < 0 && errno != EINTR) fail("send");
    if (n > 0) c->out_sent += (size_t)n;
  }
  c->out.len = c->out_sent = 0;
}

static void read_exactly(struct connection *c, uint8_t *into, size_t len) {
  while (len) {
    ssize_t n = recv(c->fd, into, len, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail("recv");
    if (n == 0) {
      fprintf(stderr, "loadgen: the broker closed the connection\n");
      exit(3);
    }
    into += n;
    len -= (size_t)n;
  }
}

void connection_refused(uint32_t method, const uint8_t *arguments, uint32_t len) {
  if (method == BASIC_CANCEL) {
    fprintf(stderr, "loadgen: the broker cancelled a consumer\n");
    exit(2);
  }
  int text = len > 3 ? arguments[2] : 0;
  fprintf(stderr, "loadgen: %s.close %u %.*s\n", method == CHANNEL_CLOSE ? "channel" : "connection",
          get16(arguments), text, (const char *)arguments + 3);
  exit(2);
}

void connection_blocked(struct connection *c, bool blocked) {
  if (blocked == c->blocked) return;
  if (blocked) c->blocked_at = now_ns();
  else blocked_ns += now_ns() - c->blocked_at;
  c->blocked = blocked;
}

const uint8_t *connection_expect(struct connection *c, uint32_t method, uint32_t *len) {
  static uint8_t payload[FRAME_MAX + 1];
  for (;;) {
    uint8_t head[7];
    read_exactly(c, head, 7);
    uint32_t size = get32(head + 3);
    if (size > FRAME_MAX) {
      fprintf(stderr, "loadgen: frame of %u bytes is larger than agreed\n", size);
      exit(2);
    }
    read_exactly(c, payload, size + 1);
    if (payload[size] != FRAME_END) {
      fprintf(stderr, "loadgen: frame without its end octet\n");
      exit(2);
    }
    if (head[0] != FRAME_METHOD) continue;
    uint32_t got = get32(payload);
    if (len) *len = size - 4;
    if (got == method) return payload + 4;
    if (got == CONNECTION_CLOSE || got == CHANNEL_CLOSE) connection_refused(got, payload + 4, size - 4);
    if (got == CONNECTION_BLOCKED || got == CONNECTION_UNBLOCKED) connection_blocked(c, got == CONNECTION_BLOCKED);
  }
}

static void put_capabilities(struct buffer *b) {
  static const char *const names[] = {"publisher_confirms", "basic.nack", "connection.blocked",
                                      "consumer_cancel_notify", "authentication_failure_close"};
  struct buffer inner = {0}, table = {0};
  for (int i = 0; i < 5; i++) {
    put_shortstr(&inner, names[i]);
    put8(&inner, 't');
    put8(&inner, 1);
  }
  put_shortstr(&table, "capabilities");
  put8(&table, 'F');
  put_longstr(&table, inner.data, inner.len);
  put_longstr(b, table.data, table.len);
  free(inner.data);
  free(table.data);
}

static void log_in(struct connection *c) {
  buffer_append(&c->out, "AMQP\0\0\x09\x01", 8);
  connection_flush(c);
  connection_expect(c, CONNECTION_START, 0);

  char response[256];
  int len = snprintf(response, sizeof response, "%c%s%c%s", 0, opt.user, 0, opt.password);
  size_t frame = method_begin(&c->out, 0, CONNECTION_START_OK);
  put_capabilities(&c->out);
  put_shortstr(&c->out, "PLAIN");
  put_longstr(&c->out, response, (size_t)len);
  put_shortstr(&c->out, "en_US");
  frame_end(&c->out, frame);
  connection_flush(c);

  const uint8_t *tune = connection_expect(c, CONNECTION_TUNE, 0);
  uint16_t channel_max = get16(tune);
  c->frame_max = get32(tune + 2);
  if (c->frame_max == 0 || c->frame_max > FRAME_MAX) c->frame_max = FRAME_MAX;
  frame = method_begin(&c->out, 0, CONNECTION_TUNE_OK);
  put16(&c->out, channel_max);
  put32(&c->out, c->frame_max);
  put16(&c->out, 0); // heartbeats off: a paused generator must not look like a dead one
  frame_end(&c->out, frame);
  frame = method_begin(&c->out, 0, CONNECTION_OPEN);
  put_shortstr(&c->out, opt.vhost);
  put_shortstr(&c->out, "");
  put8(&c->out, 0);
  frame_end(&c->out, frame);
  connection_flush(c);
  connection_expect(c, CONNECTION_OPEN_OK, 0);
}

void connection_open(struct connection *c, enum role role, int index) {
  *c = (struct connection){.role = role, .index = index, .confirm_low = 1};
  connect_socket(c);
  log_in(c);
  size_t frame = method_begin(&c->out, 1, CHANNEL_OPEN);
  put_shortstr(&c->out, "");
  frame_end(&c->out, frame);
  connection_flush(c);
  connection_expect(c, CHANNEL_OPEN_OK, 0);
}

void connection_close(struct connection *c) {
  size_t frame = method_begin(&c->out, 0, CONNECTION_CLOSE);
  put16(&c->out, 200);
  put_shortstr(&c->out, "done");
  put32(&c->out, 0);
  frame_end(&c->out, frame);
  connection_flush(c);
  connection_expect(c, CONNECTION_CLOSE_OK, 0);
  close(c->fd);
}
