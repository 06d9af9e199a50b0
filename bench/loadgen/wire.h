// AMQP 0-9-1 on the wire: big-endian numbers, frames, and the methods the generator speaks.
//
//   frame   = type:8 channel:16 size:32 payload:size 0xCE
//   method  = class:16 method:16 arguments            (type 1)
//   header  = class:16 weight:16 body-size:64 flags:16 properties  (type 2)
//   body    = bytes                                   (type 3)
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define FRAME_METHOD 1
#define FRAME_HEADER 2
#define FRAME_BODY 3
#define FRAME_HEARTBEAT 8
#define FRAME_END 0xCE
#define FRAME_OVERHEAD 8
#define FRAME_MAX 131072

#define METHOD(class, method) (((uint32_t)(class) << 16) | (method))
#define CONNECTION_START METHOD(10, 10)
#define CONNECTION_START_OK METHOD(10, 11)
#define CONNECTION_TUNE METHOD(10, 30)
#define CONNECTION_TUNE_OK METHOD(10, 31)
#define CONNECTION_OPEN METHOD(10, 40)
#define CONNECTION_OPEN_OK METHOD(10, 41)
#define CONNECTION_CLOSE METHOD(10, 50)
#define CONNECTION_CLOSE_OK METHOD(10, 51)
#define CONNECTION_BLOCKED METHOD(10, 60)
#define CONNECTION_UNBLOCKED METHOD(10, 61)
#define CHANNEL_OPEN METHOD(20, 10)
#define CHANNEL_OPEN_OK METHOD(20, 11)
#define CHANNEL_FLOW METHOD(20, 20)
#define CHANNEL_CLOSE METHOD(20, 40)
#define EXCHANGE_DECLARE METHOD(40, 10)
#define EXCHANGE_DECLARE_OK METHOD(40, 11)
#define EXCHANGE_DELETE METHOD(40, 20)
#define EXCHANGE_DELETE_OK METHOD(40, 21)
#define QUEUE_DECLARE METHOD(50, 10)
#define QUEUE_DECLARE_OK METHOD(50, 11)
#define QUEUE_BIND METHOD(50, 20)
#define QUEUE_BIND_OK METHOD(50, 21)
#define QUEUE_PURGE METHOD(50, 30)
#define QUEUE_PURGE_OK METHOD(50, 31)
#define QUEUE_DELETE METHOD(50, 40)
#define QUEUE_DELETE_OK METHOD(50, 41)
#define BASIC_QOS METHOD(60, 10)
#define BASIC_QOS_OK METHOD(60, 11)
#define BASIC_CONSUME METHOD(60, 20)
#define BASIC_CONSUME_OK METHOD(60, 21)
#define BASIC_CANCEL METHOD(60, 30)
#define BASIC_PUBLISH METHOD(60, 40)
#define BASIC_RETURN METHOD(60, 50)
#define BASIC_DELIVER METHOD(60, 60)
#define BASIC_ACK METHOD(60, 80)
#define BASIC_NACK METHOD(60, 120)
#define CONFIRM_SELECT METHOD(85, 10)
#define CONFIRM_SELECT_OK METHOD(85, 11)

static inline uint16_t get16(const uint8_t *p) { return (uint16_t)(p[0] << 8 | p[1]); }
static inline uint32_t get32(const uint8_t *p) {
  uint32_t v;
  memcpy(&v, p, 4);
  return __builtin_bswap32(v);
}
static inline uint64_t get64(const uint8_t *p) {
  uint64_t v;
  memcpy(&v, p, 8);
  return __builtin_bswap64(v);
}

// A growing byte buffer; the only allocation on the paths that write.
struct buffer {
  uint8_t *data;
  size_t len, cap;
};

void buffer_append(struct buffer *b, const void *bytes, size_t len);
void put8(struct buffer *b, uint8_t v);
void put16(struct buffer *b, uint16_t v);
void put32(struct buffer *b, uint32_t v);
void put64(struct buffer *b, uint64_t v);
void put_shortstr(struct buffer *b, const char *text);
void put_longstr(struct buffer *b, const void *bytes, size_t len);

// frame_begin returns where the frame starts; frame_end goes back there to fill in its size.
size_t frame_begin(struct buffer *b, uint8_t type, uint16_t channel);
size_t method_begin(struct buffer *b, uint16_t channel, uint32_t method);
void frame_end(struct buffer *b, size_t start);
