#include "options.h"
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

struct options opt = {
    .host = "127.0.0.1", .vhost = "/", .user = "guest", .password = "guest", .prefix = "bench",
    .port = 5672, .queues = 1, .body = 1024, .prefetch = 1000, .ack_every = 100, .seconds = -1,
};

enum kind { TEXT, INTEGER, UNSIGNED, LONG, REAL, FLAG };

struct flag {
  const char *name;
  enum kind kind;
  void *target;
  const char *help;
};

// One table gives the parser and the help text.
static const struct flag flags[] = {
    {"host", TEXT, &opt.host, "IPv4 address of the broker (127.0.0.1)"},
    {"port", INTEGER, &opt.port, "port (5672)"},
    {"vhost", TEXT, &opt.vhost, "virtual host (/)"},
    {"user", TEXT, &opt.user, "user (guest)"},
    {"pass", TEXT, &opt.password, "password (guest)"},
    {"prefix", TEXT, &opt.prefix, "queues are named PREFIX-000000 and so on (bench)"},
    {"producers", INTEGER, &opt.producers, "publishing connections"},
    {"consumers", INTEGER, &opt.consumers, "consuming connections"},
    {"queues", INTEGER, &opt.queues, "queues, dealt round-robin to producers and to consumers (1)"},
    {"fanout", FLAG, &opt.fanout, "publish to one fanout exchange that every queue is bound to"},
    {"body", UNSIGNED, &opt.body, "body bytes (1024); from 16 on a body carries its time stamp"},
    {"persistent", FLAG, &opt.persistent, "delivery mode 2"},
    {"durable", FLAG, &opt.durable, "durable queues and exchange"},
    {"confirms", UNSIGNED, &opt.confirms, "publisher confirms with this window per connection (0: none)"},
    {"auto-ack", FLAG, &opt.auto_ack, "consume without acknowledgements"},
    {"prefetch", UNSIGNED, &opt.prefetch, "basic.qos prefetch count (1000)"},
    {"ack-every", UNSIGNED, &opt.ack_every, "acknowledge with multiple=true every N deliveries (100)"},
    {"rate", REAL, &opt.rate, "messages/s over all producers (0: as fast as possible)"},
    {"seconds", REAL, &opt.seconds, "measured seconds (5); with --messages the longest it may take"},
    {"warmup", REAL, &opt.warmup, "seconds before measuring (0)"},
    {"messages", LONG, &opt.messages, "stop after N messages instead of after --seconds"},
    {"declare", FLAG, &opt.declare, "declare and purge the queues first"},
    {"delete", FLAG, &opt.delete_after, "delete the queues at the end"},
    {"count", FLAG, &opt.count, "only print how many messages the queues hold"},
    {"probe", FLAG, &opt.probe, "only open and close one connection"},
    {"idle", INTEGER, &opt.idle, "open N connections with a channel each, hold until stdin closes"},
    {"declare-queues", INTEGER, &opt.declare_queues, "declare N durable queues one by one, time it, hold"},
    {"json", FLAG, &opt.json, "print JSON lines instead of text"},
};
#define FLAGS ((int)(sizeof flags / sizeof flags[0]))

static void usage(int status) {
  FILE *out = status ? stderr : stdout;
  fprintf(out, "loadgen: an AMQP 0-9-1 load generator\n");
  for (int i = 0; i < FLAGS; i++)
    fprintf(out, "  --%-15s %s%s\n", flags[i].name, flags[i].kind == FLAG ? "" : "VALUE  ", flags[i].help);
  exit(status);
}

static void assign(const struct flag *flag, const char *text) {
  char *end = "";
  switch (flag->kind) {
  case TEXT: *(const char **)flag->target = text; break;
  case FLAG: *(bool *)flag->target = true; break;
  case INTEGER: *(int *)flag->target = (int)strtol(text, &end, 10); break;
  case UNSIGNED: *(uint32_t *)flag->target = (uint32_t)strtoul(text, &end, 10); break;
  case LONG: *(uint64_t *)flag->target = strtoull(text, &end, 10); break;
  case REAL: *(double *)flag->target = strtod(text, &end); break;
  }
  if (*end) {
    fprintf(stderr, "loadgen: --%s: not a number: %s\n", flag->name, text);
    exit(64);
  }
}

void options_parse(int argc, char **argv) {
  struct option names[FLAGS + 2] = {0};
  for (int i = 0; i < FLAGS; i++)
    names[i] = (struct option){flags[i].name, flags[i].kind == FLAG ? no_argument : required_argument, 0, i + 1};
  names[FLAGS] = (struct option){"help", no_argument, 0, 1000};
  int code;
  while ((code = getopt_long(argc, argv, "", names, 0)) != -1) {
    if (code == 1000 || code == '?') usage(code == '?' ? 64 : 0);
    assign(&flags[code - 1], optarg);
  }
  if (opt.seconds < 0) opt.seconds = opt.messages ? 3600 : 5;
  if (opt.queues < 1) opt.queues = 1;
  if (opt.ack_every < 1) opt.ack_every = 1;
  // A consumer that owes more acknowledgements than its prefetch would wait for ever.
  if (opt.prefetch && opt.ack_every > opt.prefetch) opt.ack_every = opt.prefetch;
}
