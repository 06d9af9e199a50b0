#include "engine.h"
#include "options.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define EVENTS 256
#define TICK_NS_MIN 100000 // a fixed rate is paced no finer: a wake-up costs the machine 20 us

struct measurement run;
uint64_t loop_started;

static int epoll_fd, timer_fd = -1;
static struct connection *producers, *consumers;
static volatile sig_atomic_t interrupted;

static void on_signal(int number) { interrupted = number; }

bool flush(struct connection *c) {
  while (c->out_sent < c->out.len) {
    ssize_t n = send(c->fd, c->out.data + c->out_sent, c->out.len - c->out_sent, MSG_NOSIGNAL);
    if (n < 0 && errno == EAGAIN) {
      want_out(c, true);
      return false;
    }
    if (n < 0) fail("send");
    c->out_sent += (size_t)n;
  }
  c->out.len = c->out_sent = 0;
  return true;
}

static void register_interest(struct connection *c, int operation) {
  struct epoll_event event = {.events = EPOLLIN | (c->wants_out ? EPOLLOUT : 0u), .data.ptr = c};
  if (epoll_ctl(epoll_fd, operation, c->fd, &event) < 0) fail("epoll_ctl");
}

void want_out(struct connection *c, bool wanted) {
  if (c->wants_out == wanted) return;
  c->wants_out = wanted;
  register_interest(c, EPOLL_CTL_MOD);
}

static void consume(struct connection *c) {
  char name[64];
  size_t frame;
  if (!opt.auto_ack && opt.prefetch) {
    frame = method_begin(&c->out, 1, BASIC_QOS);
    put32(&c->out, 0);
    put16(&c->out, (uint16_t)opt.prefetch);
    put8(&c->out, 0);
    frame_end(&c->out, frame);
    connection_flush(c);
    connection_expect(c, BASIC_QOS_OK, 0);
  }
  for (int queue = c->index % opt.queues; queue < opt.queues; queue += opt.consumers) {
    snprintf(name, sizeof name, "%.40s-%06d", opt.prefix, queue);
    frame = method_begin(&c->out, 1, BASIC_CONSUME);
    put16(&c->out, 0);
    put_shortstr(&c->out, name);
    put_shortstr(&c->out, name);                      // consumer tag
    put8(&c->out, (uint8_t)(8 | (opt.auto_ack ? 2 : 0))); // nowait: deliveries may already be coming
    put32(&c->out, 0);
    frame_end(&c->out, frame);
  }
  connection_flush(c);
}

static void open_producer(struct connection *c, int index) {
  connection_open(c, PRODUCER, index);
  producer_prepare(c, opt.producers);
  if (!opt.confirms) return;
  size_t frame = method_begin(&c->out, 1, CONFIRM_SELECT);
  put8(&c->out, 0);
  frame_end(&c->out, frame);
  connection_flush(c);
  connection_expect(c, CONFIRM_SELECT_OK, 0);
}

static void open_all(void) {
  epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  producers = calloc((size_t)opt.producers + 1, sizeof *producers);
  consumers = calloc((size_t)opt.consumers + 1, sizeof *consumers);
  for (int i = 0; i < opt.producers; i++) open_producer(&producers[i], i);
  if (opt.producers) publish_prepare(producers[0].frame_max);
  for (int i = 0; i < opt.consumers; i++) {
    connection_open(&consumers[i], CONSUMER, i);
    consume(&consumers[i]);
  }
  for (int i = 0; i < opt.consumers; i++) {
    connection_set_blocking(&consumers[i], false);
    register_interest(&consumers[i], EPOLL_CTL_ADD);
  }
  for (int i = 0; i < opt.producers; i++) {
    connection_set_blocking(&producers[i], false);
    register_interest(&producers[i], EPOLL_CTL_ADD);
  }
  if (opt.rate <= 0 || !opt.producers) return;
  timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  struct epoll_event event = {.events = EPOLLIN};
  if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, timer_fd, &event) < 0) fail("epoll_ctl");
}

// Everything that is due goes out now; then sleep until the next message of any producer is due.
static void pace(uint64_t now) {
  uint64_t next = UINT64_MAX;
  for (int i = 0; i < opt.producers; i++) {
    produce(&producers[i], now);
    uint64_t due = due_at(&producers[i], producers[i].sent);
    if (due < next) next = due;
  }
  if (next < now + TICK_NS_MIN) next = now + TICK_NS_MIN;
  struct itimerspec at = {.it_value = {(time_t)(next / 1000000000u), (long)(next % 1000000000u)}};
  if (timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &at, 0) < 0) fail("timerfd_settime");
}

static void handle(struct epoll_event *event) {
  struct connection *c = event->data.ptr;
  if (!c) {
    uint64_t ticks;
    if (read(timer_fd, &ticks, sizeof ticks) > 0) pace(now_ns());
    return;
  }
  if (event->events & ~(uint32_t)EPOLLOUT) receive(c);
  if (c->role == PRODUCER) produce(c, now_ns());
  else if (flush(c)) want_out(c, false);
}

static double cpu_seconds(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void measuring_begins(void) {
  run.at_start = run.total;
  run.blocked_at_start = blocked_ns;
  histogram_reset(&run.latency);
  histogram_reset(&run.confirm_latency);
  run.cpu_seconds = cpu_seconds();
  // The runner reads the broker's CPU and counters when it sees this line.
  if (opt.json) printf("{\"event\":\"measure\"}\n");
  fflush(stdout);
}

static bool reached_messages(void) {
  if (!opt.messages) return false;
  uint64_t deliveries = opt.messages * (uint64_t)(opt.fanout && opt.producers ? opt.queues : 1);
  if (opt.consumers && run.total.delivered < deliveries) return false;
  if (!opt.producers) return true;
  if (run.total.published < opt.messages) return false;
  if (opt.confirms && run.total.confirmed + run.total.nacked < opt.messages) return false;
  for (int i = 0; i < opt.producers; i++)
    if (producers[i].out.len) return false;
  return true;
}

static void loop(void) {
  struct epoll_event events[EVENTS];
  loop_started = now_ns();
  uint64_t measure_at = loop_started + (uint64_t)(opt.warmup * 1e9);
  uint64_t end_at = measure_at + (uint64_t)(opt.seconds * 1e9), measured_from = 0, now;
  for (bool begun = false;; begun = true) {
    now = now_ns();
    if (!measured_from && now >= measure_at) {
      measuring_begins();
      measured_from = now;
    }
    if (now >= end_at || interrupted || reached_messages()) break;
    // The first publishes; from here on confirms, room in the sockets and the clock drive the rest.
    for (int i = 0; !begun && i < opt.producers; i++) produce(&producers[i], now);
    if (!begun && timer_fd >= 0) pace(now);
    int n = epoll_wait(epoll_fd, events, EVENTS, 20);
    if (n < 0 && errno != EINTR) fail("epoll_wait");
    for (int i = 0; i < n; i++) handle(&events[i]);
  }
  run.complete = opt.messages ? reached_messages() : !interrupted;
  run.seconds = (double)(now - (measured_from ? measured_from : loop_started)) / 1e9;
  run.cpu_seconds = cpu_seconds() - run.cpu_seconds;
  for (int i = 0; i < opt.producers; i++) connection_blocked(&producers[i], false);
}

// After a counted run every acknowledgement must have arrived, so the connections end in order;
// after a timed one the sockets are simply cut, the queues are deleted or thrown away anyway.
static void close_all(void) {
  for (int i = 0; i < opt.consumers; i++) {
    if (!opt.messages) {
      close(consumers[i].fd);
      continue;
    }
    if (!opt.auto_ack) acknowledge(&consumers[i]);
    connection_set_blocking(&consumers[i], true);
    connection_flush(&consumers[i]);
    if (!consumers[i].carry.len && !consumers[i].frame_left) connection_close(&consumers[i]);
  }
  for (int i = 0; i < opt.producers; i++) {
    if (opt.messages && !producers[i].carry.len && run.complete) {
      connection_set_blocking(&producers[i], true);
      connection_close(&producers[i]);
    } else {
      close(producers[i].fd);
    }
  }
}

void engine_run(void) {
  signal(SIGINT, on_signal);
  signal(SIGTERM, on_signal);
  open_all();
  loop();
  report_print();
  close_all();
}
