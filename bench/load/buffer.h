/* Growing byte buffers, readers that cannot run past their end, and the clock. */
#ifndef COORD_LOAD_BUFFER_H
#define COORD_LOAD_BUFFER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)

typedef struct {
    uint8_t *bytes;
    size_t len, cap;
} buffer;

static inline uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static inline void die(const char *what)
{
    perror(what);
    exit(70);
}

static inline void *must(void *memory)
{
    if (memory == NULL)
        die("out of memory");
    return memory;
}

static inline void reserve(buffer *b, size_t more)
{
    if (b->len + more > b->cap) {
        b->cap = (b->len + more) * 2;
        b->bytes = must(realloc(b->bytes, b->cap));
    }
}

static inline void put_raw(buffer *b, const void *bytes, size_t n)
{
    reserve(b, n);
    if (n)
        memcpy(b->bytes + b->len, bytes, n);
    b->len += n;
}

static inline void put_byte(buffer *b, uint8_t byte)
{
    put_raw(b, &byte, 1);
}

static inline void store_big_endian(uint8_t *at, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        at[i] = (uint8_t)(value >> (8 * (bytes - 1 - i)));
}

static inline void put_big_endian(buffer *b, uint64_t value, int bytes)
{
    reserve(b, (size_t)bytes);
    store_big_endian(b->bytes + b->len, value, bytes);
    b->len += (size_t)bytes;
}

/* A frame: its length goes before its body once the body is there. */
static inline size_t frame_begin(buffer *b)
{
    put_big_endian(b, 0, 4);
    return b->len;
}

static inline void frame_end(buffer *b, size_t body)
{
    store_big_endian(b->bytes + body - 4, b->len - body, 4);
}

typedef struct {
    const uint8_t *at, *end;
    bool bad; /* ran past the end, or met what it does not know */
} reader;

static inline uint64_t take_big_endian(reader *r, int bytes)
{
    if (r->end - r->at < bytes) {
        r->bad = true;
        return 0;
    }
    uint64_t value = 0;
    while (bytes-- > 0)
        value = value << 8 | *r->at++;
    return value;
}

/* The next n bytes, NULL if there are not that many. */
static inline const uint8_t *take_raw(reader *r, size_t n)
{
    if ((size_t)(r->end - r->at) < n) {
        r->bad = true;
        return NULL;
    }
    const uint8_t *bytes = r->at;
    r->at += n;
    return bytes;
}

#endif
