/* The native wire as far as a load generator needs it: docs/protocol.md.
 *
 * A growing byte buffer, the msgpack items that requests are made of, and a reader that walks over
 * replies. Frames are u32 big-endian length, then one msgpack array.
 */
#ifndef COORD_BENCH_WIRE_H
#define COORD_BENCH_WIRE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    OP_CREATE = 1,
    OP_GET = 4,
    OP_SET = 5,
    OP_PING = 11,
    OP_CONNECT = 300,
};

enum {
    CODE_OK = 0,
    CODE_NODE_EXISTS = -110,
    CODE_SESSION_EXPIRED = -112,
    CODE_SESSION_MOVED = -118,
    CODE_OVERLOADED = -205,
    CODE_NOT_READY = -206,
    CODE_SEQUENCE_GAP = -210,
    CODE_NOT_LEADER = -212,
};

static const uint8_t OPENING[8] = {0x89, 'C', 'O', 'R', 'D', '\r', '\n', 1};

typedef struct {
    uint8_t *bytes;
    size_t len, cap;
} buffer;

static void *must(void *memory)
{
    if (memory == NULL) {
        fprintf(stderr, "out of memory\n");
        exit(70);
    }
    return memory;
}

static void reserve(buffer *b, size_t more)
{
    if (b->len + more > b->cap) {
        b->cap = (b->len + more) * 2;
        b->bytes = must(realloc(b->bytes, b->cap));
    }
}

static void put_raw(buffer *b, const void *bytes, size_t n)
{
    reserve(b, n);
    memcpy(b->bytes + b->len, bytes, n);
    b->len += n;
}

static void put_byte(buffer *b, uint8_t byte)
{
    put_raw(b, &byte, 1);
}

static void put_big_endian(buffer *b, uint64_t value, int bytes)
{
    for (int shift = (bytes - 1) * 8; shift >= 0; shift -= 8)
        put_byte(b, (uint8_t)(value >> shift));
}

static void put_array(buffer *b, unsigned items)
{
    put_byte(b, (uint8_t)(0x90 | items)); /* fewer than 16 */
}

static void put_int(buffer *b, int64_t value)
{
    if (value >= 0 && value < 128) {
        put_byte(b, (uint8_t)value);
    } else if (value < 0 && value >= -32) {
        put_byte(b, (uint8_t)value);
    } else if (value >= 0 && value <= UINT32_MAX) {
        put_byte(b, 0xce);
        put_big_endian(b, (uint64_t)value, 4);
    } else {
        put_byte(b, 0xd3);
        put_big_endian(b, (uint64_t)value, 8);
    }
}

static void put_bool(buffer *b, bool value)
{
    put_byte(b, value ? 0xc3 : 0xc2);
}

static void put_text(buffer *b, const char *text)
{
    size_t n = strlen(text);
    put_byte(b, 0xd9);
    put_byte(b, (uint8_t)n); /* fewer than 256 */
    put_raw(b, text, n);
}

static void put_data(buffer *b, const void *bytes, size_t n)
{
    put_byte(b, 0xc6);
    put_big_endian(b, n, 4);
    put_raw(b, bytes, n);
}

/* A frame: its length is known once its body is there. */
static size_t frame_begin(buffer *b)
{
    put_big_endian(b, 0, 4);
    return b->len;
}

static void frame_end(buffer *b, size_t body)
{
    size_t n = b->len - body;
    for (int i = 0; i < 4; i++)
        b->bytes[body - 4 + i] = (uint8_t)(n >> (24 - 8 * i));
}

/* --- reading ----------------------------------------------------------------------------------- */

typedef struct {
    const uint8_t *at, *end;
    bool bad; /* ran past the end, or met what it does not know */
} reader;

static uint64_t take_big_endian(reader *r, int bytes)
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

static unsigned take_array(reader *r)
{
    uint8_t head = (uint8_t)take_big_endian(r, 1);
    if ((head & 0xf0) == 0x90)
        return head & 0x0f;
    if (head == 0xdc)
        return (unsigned)take_big_endian(r, 2);
    r->bad = true;
    return 0;
}

static int64_t take_int(reader *r)
{
    uint8_t head = (uint8_t)take_big_endian(r, 1);
    if (head < 0x80 || head >= 0xe0)
        return (int8_t)head;
    switch (head) {
    case 0xcc: return (int64_t)take_big_endian(r, 1);
    case 0xcd: return (int64_t)take_big_endian(r, 2);
    case 0xce: return (int64_t)take_big_endian(r, 4);
    case 0xcf: return (int64_t)take_big_endian(r, 8);
    case 0xd0: return (int8_t)take_big_endian(r, 1);
    case 0xd1: return (int16_t)take_big_endian(r, 2);
    case 0xd2: return (int32_t)take_big_endian(r, 4);
    case 0xd3: return (int64_t)take_big_endian(r, 8);
    default: r->bad = true; return 0;
    }
}

/* Bytes of a bin 8 item, NULL if there is none. */
static const uint8_t *take_data(reader *r, size_t *n)
{
    *n = 0;
    if (take_big_endian(r, 1) != 0xc4) {
        r->bad = true;
        return NULL;
    }
    *n = (size_t)take_big_endian(r, 1);
    if ((size_t)(r->end - r->at) < *n) {
        r->bad = true;
        return NULL;
    }
    const uint8_t *bytes = r->at;
    r->at += *n;
    return bytes;
}

#endif
