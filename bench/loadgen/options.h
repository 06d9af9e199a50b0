// Everything the load generator can be told. Parsed once, read everywhere, never written again.
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct options {
  const char *host, *vhost, *user, *password, *prefix;
  int port;
  int producers, consumers, queues; // connections, connections, queues
  uint32_t body;                    // bytes
  bool persistent, durable, auto_ack, fanout;
  uint32_t confirms; // publisher window in messages, 0 = no publisher confirms
  uint32_t prefetch, ack_every;
  double rate;     // messages/s over all producers, 0 = as fast as possible
  double seconds;  // measured time; with --messages: the longest it may take
  double warmup;   // seconds before measuring begins
  uint64_t messages; // stop after this many, 0 = stop after --seconds
  bool declare, delete_after, json, count, probe;
  int idle;           // open this many connections and hold them
  int declare_queues; // declare this many durable queues and time it
};

extern struct options opt;

void options_parse(int argc, char **argv);
