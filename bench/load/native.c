/* The native wire, docs/protocol.md: frames of one msgpack array. */
#include "wire.h"

enum {
    OP_CONNECT = 300,
    XID_CLOSING = -3,
    VERSION_ANY = -1,
};

static const uint8_t OPENING[8] = {0x89, 'C', 'O', 'R', 'D', '\r', '\n', 1};

static void put_array(buffer *b, unsigned items)
{
    put_byte(b, (uint8_t)(0x90 | items)); /* fewer than 16 */
}

static void put_int(buffer *b, int64_t value)
{
    if (value >= -32 && value < 128) {
        put_byte(b, (uint8_t)value);
    } else if (value >= 0 && value <= UINT32_MAX) {
        put_byte(b, 0xce);
        put_big_endian(b, (uint64_t)value, 4);
    } else {
        put_byte(b, 0xd3);
        put_big_endian(b, (uint64_t)value, 8);
    }
}

static void put_text(buffer *b, const char *text, size_t n)
{
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

/* The connection's first request has xid 1: what follows starts above. */
static void put_greeting(buffer *b, const session *s, int timeout_ms)
{
    put_raw(b, OPENING, sizeof OPENING);
    size_t body = frame_begin(b);
    put_array(b, 7);
    put_int(b, 1);
    put_int(b, OP_CONNECT);
    put_int(b, s->id);
    put_data(b, s->secret, s->id ? s->secret_bytes : 0);
    put_int(b, timeout_ms);
    put_int(b, s->revision);
    put_text(b, "coordload", 9);
    frame_end(b, body);
}

static void take_answer(reader *r, answer *a)
{
    take_array(r);
    a->xid = take_int(r);
    a->code = take_int(r);
    a->revision = take_int(r);
    a->kind = a->xid == XID_CLOSING ? FAREWELL : a->xid < 0 ? EVENT : ANSWER;
}

static int64_t take_greeting(reader *r, session *s)
{
    answer a;
    take_answer(r, &a);
    if (r->bad || a.code != CODE_OK)
        return r->bad ? CODE_NOT_READY : a.code;
    int64_t id = take_int(r);
    bool is_short = take_big_endian(r, 1) == 0xc4;
    size_t n = (size_t)take_big_endian(r, 1);
    const uint8_t *secret = is_short && n <= SECRET_BYTES ? take_raw(r, n) : NULL;
    if (r->bad || secret == NULL)
        return CODE_NOT_READY;
    s->id = id;
    s->secret_bytes = n;
    memcpy(s->secret, secret, n);
    return CODE_OK;
}

static void put_request(buffer *b, const request *q)
{
    size_t body = frame_begin(b);
    switch (q->op) {
    case OP_GET:
        put_array(b, 5);
        put_int(b, q->xid);
        put_int(b, q->op);
        put_text(b, q->path, q->path_bytes);
        put_byte(b, q->watch ? 0xc3 : 0xc2);
        put_int(b, q->level);
        break;
    case OP_SET:
    case OP_CREATE:
        put_array(b, q->op == OP_SET ? 7 : 6);
        put_int(b, q->xid);
        put_int(b, q->op);
        put_int(b, q->seq);
        put_int(b, q->acked);
        put_text(b, q->path, q->path_bytes);
        put_data(b, q->data, q->data_bytes);
        if (q->op == OP_SET)
            put_int(b, VERSION_ANY);
        break;
    default:
        put_array(b, 2);
        put_int(b, q->xid);
        put_int(b, q->op);
    }
    frame_end(b, body);
}

static int64_t put_ping(buffer *b, int64_t xid)
{
    request ping = {.op = OP_PING, .xid = xid};
    put_request(b, &ping);
    return xid;
}

const wire native_wire = {
    .name = "native",
    .put_greeting = put_greeting,
    .take_greeting = take_greeting,
    .put_request = put_request,
    .put_ping = put_ping,
    .take_answer = take_answer,
};
