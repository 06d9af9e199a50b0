// wiregen MODE --port N ...: one thread, one epoll loop; prints one JSON line with what went through.
#define _GNU_SOURCE
#include "../loadgen/histogram.h"
#include "wiregen.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

struct options options = {.host = "127.0.0.1", .topic = "bench", .publishers = 1, .partitions = 1,
                          .body = 100, .batch = 65536, .inflight = 5, .window = 500, .seconds = 5,
                          .warmup = 1, .clean = 1};
struct totals totals;
int measuring;
int finished;
static struct histogram latencies;
static struct connection *connections;
static int count, epoll;
static const struct mode *mode;

void die(const char *what) {
  fprintf(stderr, "wiregen: %s%s%s\n", what, errno ? ": " : "", errno ? strerror(errno) : "");
  exit(1);
}

uint64_t now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

void latency(uint64_t microseconds) {
  if (measuring) histogram_record(&latencies, microseconds, 1);
}

void reserve(struct buffer *b, size_t wanted) {
  if (b->start == b->end) b->start = b->end = 0;
  if (b->end + wanted <= b->size) return;
  memmove(b->bytes, b->bytes + b->start, b->end - b->start);
  b->end -= b->start;
  b->start = 0;
  if (b->end + wanted <= b->size) return;
  b->size = (b->end + wanted) * 2;
  b->bytes = realloc(b->bytes, b->size);
  if (!b->bytes) die("out of memory");
}

void put(struct buffer *b, const void *bytes, size_t n) {
  reserve(b, n);
  memcpy(b->bytes + b->end, bytes, n);
  b->end += n;
}

void put8(struct buffer *b, unsigned v) {
  uint8_t one = (uint8_t)v;
  put(b, &one, 1);
}

void put16(struct buffer *b, unsigned v) {
  uint16_t n = htons((uint16_t)v);
  put(b, &n, 2);
}

void put32(struct buffer *b, uint32_t v) {
  uint32_t n = htonl(v);
  put(b, &n, 4);
}

void put64(struct buffer *b, uint64_t v) {
  put32(b, (uint32_t)(v >> 32));
  put32(b, (uint32_t)v);
}

uint32_t get32(const uint8_t *at) {
  uint32_t n;
  memcpy(&n, at, 4);
  return ntohl(n);
}

uint64_t get64(const uint8_t *at) { return (uint64_t)get32(at) << 32 | get32(at + 4); }

uint32_t crc32c(const uint8_t *bytes, size_t n) {
  static uint32_t table[256];
  if (!table[1])
    for (uint32_t i = 0; i < 256; i++) {
      uint32_t c = i;
      for (int k = 0; k < 8; k++) c = c & 1 ? c >> 1 ^ 0x82f63b78u : c >> 1;
      table[i] = c;
    }
  uint32_t crc = ~0u;
  while (n--) crc = crc >> 8 ^ table[(crc ^ *bytes++) & 255];
  return ~crc;
}

void flush_now(struct connection *c) {
  while (c->out.start < c->out.end) {
    ssize_t n = write(c->fd, c->out.bytes + c->out.start, c->out.end - c->out.start);
    if (n <= 0) die("write");
    c->out.start += (size_t)n;
  }
}

void read_until(struct connection *c, size_t wanted) {
  while (c->in.end - c->in.start < wanted) {
    reserve(&c->in, 65536);
    ssize_t n = read(c->fd, c->in.bytes + c->in.end, c->in.size - c->in.end);
    if (n <= 0) {
      if (n == 0) errno = 0;
      die("the server closed a connection while logging in");
    }
    c->in.end += (size_t)n;
  }
}

int may_publish(const struct connection *c) {
  if (options.subscribers == 0) return 1;
  if (options.fanout)
    return totals.published * (uint64_t)options.subscribers - totals.delivered <
           (uint64_t)options.window * (uint64_t)options.subscribers;
  const struct connection *to = &connections[options.publishers + c->index % options.subscribers];
  return c->published - to->delivered < (uint64_t)options.window;
}

static void dial(struct connection *c) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)options.port)};
  inet_pton(AF_INET, options.host, &to.sin_addr);
  c->fd = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(c->fd, (struct sockaddr *)&to, sizeof to)) die("connect");
  int on = 1;
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static void watch(struct connection *c, int op, uint32_t events) {
  struct epoll_event e = {.events = events, .data.ptr = c};
  epoll_ctl(epoll, op, c->fd, &e);
}

static void send_out(struct connection *c) {
  while (c->out.start < c->out.end) {
    ssize_t n = write(c->fd, c->out.bytes + c->out.start, c->out.end - c->out.start);
    if (n < 0 && errno == EAGAIN) {
      if (!c->blocked) watch(c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
      c->blocked = 1;
      return;
    }
    if (n <= 0) die("write");
    c->out.start += (size_t)n;
  }
  if (c->blocked) watch(c, EPOLL_CTL_MOD, EPOLLIN);
  c->blocked = 0;
}

static void receive(struct connection *c) {
  for (int i = 0; i < 4; i++) {
    reserve(&c->in, 262144);
    ssize_t n = read(c->fd, c->in.bytes + c->in.end, c->in.size - c->in.end);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) {
      if (n == 0) errno = 0;
      die("the server closed a connection");
    }
    c->in.end += (size_t)n;
    mode->input(c);
    if (n < 65536) return;
  }
}

static void step(int timeout) {
  struct epoll_event events[256];
  int n = epoll_wait(epoll, events, 256, timeout);
  for (int i = 0; i < n; i++) {
    struct connection *c = events[i].data.ptr;
    if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) receive(c);
    if (events[i].events & EPOLLOUT) send_out(c);
  }
  for (int i = 0; i < count; i++) {
    struct connection *c = &connections[i];
    if (!c->blocked) {
      mode->pump(c);
      send_out(c);
    }
  }
}

static double cpu_seconds(void) {
  struct rusage u;
  getrusage(RUSAGE_SELF, &u);
  return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
         (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void parse(int argc, char **argv) {
  struct { const char *name; int *at; } ints[] = {
      {"--port", &options.port},         {"--publishers", &options.publishers},
      {"--subscribers", &options.subscribers}, {"--partitions", &options.partitions},
      {"--body", &options.body},         {"--batch", &options.batch},
      {"--inflight", &options.inflight}, {"--window", &options.window},
      {"--qos", &options.qos},           {"--fanout", &options.fanout},
      {"--clean", &options.clean},       {"--circles", &options.circles},
      {"--once", &options.once}};
  struct { const char *name; double *at; } doubles[] = {
      {"--seconds", &options.seconds}, {"--warmup", &options.warmup}, {"--rate", &options.rate}};
  options.mode = argv[1];
  for (int i = 2; i + 1 < argc; i += 2) {
    int known = 0;
    for (size_t k = 0; k < sizeof ints / sizeof *ints; k++)
      if (!strcmp(argv[i], ints[k].name)) *ints[k].at = atoi(argv[i + 1]), known = 1;
    for (size_t k = 0; k < sizeof doubles / sizeof *doubles; k++)
      if (!strcmp(argv[i], doubles[k].name)) *doubles[k].at = atof(argv[i + 1]), known = 1;
    if (!strcmp(argv[i], "--host")) options.host = argv[i + 1], known = 1;
    if (!strcmp(argv[i], "--topic")) options.topic = argv[i + 1], known = 1;
    if (!known) {
      errno = 0;
      die(argv[i]);
    }
  }
}

static void run(double seconds) {
  uint64_t end = now_us() + (uint64_t)(seconds * 1e6);
  while (now_us() < end && !finished) step(options.rate > 0 ? 1 : 20);
}

int main(int argc, char **argv) {
  if (argc < 2) die("MODE (produce, fetch, mqtt, stomp) --port N ...");
  parse(argc, argv);
  const struct mode *modes[] = {&produce_mode, &fetch_mode, &mqtt_mode, &stomp_mode};
  for (size_t i = 0; i < 4; i++)
    if (!strcmp(options.mode, modes[i]->name)) mode = modes[i];
  if (!mode) die("unknown mode");
  struct rlimit files = {1 << 20, 1 << 20};
  setrlimit(RLIMIT_NOFILE, &files);
  count = options.publishers + options.subscribers;
  connections = calloc((size_t)count, sizeof *connections);
  epoll = epoll_create1(0);
  // Subscribers first, so that nothing is published to nobody.
  for (int i = count - 1; i >= 0; i--) {
    struct connection *c = &connections[i];
    c->index = i < options.publishers ? i : i - options.publishers;
    dial(c);
    mode->open(c, i >= options.publishers);
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    watch(c, EPOLL_CTL_ADD, EPOLLIN);
  }
  run(options.warmup);
  struct totals before = totals;
  double cpu = cpu_seconds();
  uint64_t started = now_us();
  measuring = 1;
  run(options.seconds);
  double took = (double)(now_us() - started) / 1e6;
  printf("{\"seconds\":%.3f,\"published\":%.1f,\"acknowledged\":%.1f,\"delivered\":%.1f,\"mbytes\":%.2f,"
         "\"p50\":%.3f,\"p99\":%.3f,\"generatorCores\":%.3f}\n",
         took, (double)(totals.published - before.published) / took,
         (double)(totals.acknowledged - before.acknowledged) / took,
         (double)(totals.delivered - before.delivered) / took,
         (double)(totals.bytes - before.bytes) / took / 1e6,
         (double)histogram_percentile(&latencies, 50) / 1000.0,
         (double)histogram_percentile(&latencies, 99) / 1000.0, (cpu_seconds() - cpu) / took);
  return 0;
}
