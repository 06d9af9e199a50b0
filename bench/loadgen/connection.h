// One AMQP connection with one channel. It is opened with blocking calls, so that no half-open
// connection ever reaches the event loop; then it turns non-blocking and the engine drives it.
#pragma once
#include "wire.h"
#include <stdbool.h>

enum role { CONTROL, PRODUCER, CONSUMER };

struct connection {
  int fd;
  enum role role;
  int index; // among the connections of its role
  uint32_t frame_max;
  bool blocked;        // the broker sent connection.blocked
  uint64_t blocked_at; // ns
  bool wants_out;      // EPOLLOUT is registered

  struct buffer carry; // the incomplete frame at the end of the last read
  struct buffer out;   // acks, and the rest of a publish that was cut by a full socket
  size_t out_sent;

  // the content being received
  uint32_t content_method; // BASIC_DELIVER or BASIC_RETURN
  uint64_t delivery_tag;
  uint64_t body_left;  // bytes of the body not yet announced by a body frame
  uint32_t frame_left; // bytes of the current body frame still to come, end octet included
  uint8_t stamp[8];
  uint32_t stamp_len;

  // producer
  uint64_t sent, quota; // quota: share of --messages
  uint64_t confirm_low; // every delivery tag below is settled
  uint64_t unconfirmed;
  uint64_t *sent_at; // ring of ns by delivery tag, 0 = settled
  uint64_t ring_mask;
  int queue; // its first one

  // consumer
  uint64_t delivered, acked;
};

uint64_t now_ns(void);
void fail(const char *what); // prints errno and exits 1

// Connects, logs in and opens channel 1.
void connection_open(struct connection *c, enum role role, int index);
// Sends what is in `out` and waits; for the phases before and after the event loop.
void connection_flush(struct connection *c);
// Waits for `method`, returns its arguments (valid until the next call).
const uint8_t *connection_expect(struct connection *c, uint32_t method, uint32_t *len);
// Sends everything, closes in the order the protocol asks for, and waits for the answer.
void connection_close(struct connection *c);
void connection_set_blocking(struct connection *c, bool blocking);
// connection.close, channel.close and basic.cancel end the run: prints why and exits 2.
void connection_refused(uint32_t method, const uint8_t *arguments, uint32_t len);
void connection_blocked(struct connection *c, bool blocked);
extern uint64_t blocked_ns; // time all connections together were told to hold back
