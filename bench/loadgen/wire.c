#include "wire.h"
#include <stdio.h>
#include <stdlib.h>

void buffer_append(struct buffer *b, const void *bytes, size_t len) {
  if (b->len + len > b->cap) {
    b->cap = (b->len + len) * 2;
    b->data = realloc(b->data, b->cap);
    if (!b->data) {
      fprintf(stderr, "loadgen: out of memory\n");
      exit(70);
    }
  }
  if (len) memcpy(b->data + b->len, bytes, len);
  b->len += len;
}

void put8(struct buffer *b, uint8_t v) { buffer_append(b, &v, 1); }

void put16(struct buffer *b, uint16_t v) {
  v = __builtin_bswap16(v);
  buffer_append(b, &v, 2);
}

void put32(struct buffer *b, uint32_t v) {
  v = __builtin_bswap32(v);
  buffer_append(b, &v, 4);
}

void put64(struct buffer *b, uint64_t v) {
  v = __builtin_bswap64(v);
  buffer_append(b, &v, 8);
}

void put_shortstr(struct buffer *b, const char *text) {
  size_t len = strlen(text);
  put8(b, (uint8_t)len);
  buffer_append(b, text, len);
}

void put_longstr(struct buffer *b, const void *bytes, size_t len) {
  put32(b, (uint32_t)len);
  buffer_append(b, bytes, len);
}

size_t frame_begin(struct buffer *b, uint8_t type, uint16_t channel) {
  size_t start = b->len;
  put8(b, type);
  put16(b, channel);
  put32(b, 0);
  return start;
}

size_t method_begin(struct buffer *b, uint16_t channel, uint32_t method) {
  size_t start = frame_begin(b, FRAME_METHOD, channel);
  put32(b, method);
  return start;
}

void frame_end(struct buffer *b, size_t start) {
  uint32_t size = __builtin_bswap32((uint32_t)(b->len - start - 7));
  memcpy(b->data + start + 3, &size, 4);
  put8(b, FRAME_END);
}
