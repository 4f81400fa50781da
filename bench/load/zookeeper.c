/* ZooKeeper's wire: fixed-width big-endian integers, length-prefixed strings. */
#include "wire.h"

enum {
    XID_EVENT = -1,
    XID_PING = -2,
    PERMISSIONS_ALL = 31,
    VERSION_ANY = -1,
    FLAGS_PERSISTENT = 0,
};

static void put_i32(buffer *b, int32_t value)
{
    put_big_endian(b, (uint32_t)value, 4);
}

static void put_bytes(buffer *b, const void *bytes, size_t n)
{
    put_i32(b, (int32_t)n);
    put_raw(b, bytes, n);
}

static void put_greeting(buffer *b, const session *s, int timeout_ms)
{
    size_t body = frame_begin(b);
    put_i32(b, 0); /* protocol version */
    put_big_endian(b, (uint64_t)s->revision, 8);
    put_i32(b, timeout_ms);
    put_big_endian(b, (uint64_t)s->id, 8);
    put_bytes(b, s->secret, SECRET_BYTES);
    put_byte(b, 0); /* not content with a read-only server */
    frame_end(b, body);
}

static int64_t take_greeting(reader *r, session *s)
{
    take_big_endian(r, 4); /* protocol version */
    int32_t timeout_ms = (int32_t)take_big_endian(r, 4);
    int64_t id = (int64_t)take_big_endian(r, 8);
    size_t n = (size_t)take_big_endian(r, 4);
    const uint8_t *secret = n <= SECRET_BYTES ? take_raw(r, n) : NULL;
    if (r->bad || secret == NULL || timeout_ms <= 0)
        return CODE_SESSION_EXPIRED;
    s->id = id;
    s->secret_bytes = n;
    memcpy(s->secret, secret, n);
    return CODE_OK;
}

static void put_open_acl(buffer *b)
{
    put_i32(b, 1);
    put_i32(b, PERMISSIONS_ALL);
    put_bytes(b, "world", 5);
    put_bytes(b, "anyone", 6);
}

static void put_request(buffer *b, const request *q)
{
    size_t body = frame_begin(b);
    put_i32(b, (int32_t)q->xid);
    put_i32(b, q->op);
    if (q->op != OP_CLOSE)
        put_bytes(b, q->path, q->path_bytes);
    switch (q->op) {
    case OP_GET:
        put_byte(b, q->watch);
        break;
    case OP_SET:
        put_bytes(b, q->data, q->data_bytes);
        put_i32(b, VERSION_ANY);
        break;
    case OP_CREATE:
        put_bytes(b, q->data, q->data_bytes);
        put_open_acl(b);
        put_i32(b, FLAGS_PERSISTENT);
        break;
    default:
        break;
    }
    frame_end(b, body);
}

static int64_t put_ping(buffer *b, int64_t xid)
{
    (void)xid;
    size_t body = frame_begin(b);
    put_i32(b, XID_PING);
    put_i32(b, OP_PING);
    frame_end(b, body);
    return XID_PING;
}

static void take_answer(reader *r, answer *a)
{
    a->xid = (int32_t)take_big_endian(r, 4);
    a->revision = (int64_t)take_big_endian(r, 8);
    a->code = (int32_t)take_big_endian(r, 4);
    a->kind = a->xid == XID_EVENT ? EVENT : ANSWER;
    if (a->kind == EVENT)
        a->revision = 0; /* says nothing about what this session has seen */
}

const wire zookeeper_wire = {
    .name = "zookeeper",
    .put_greeting = put_greeting,
    .take_greeting = take_greeting,
    .put_request = put_request,
    .put_ping = put_ping,
    .take_answer = take_answer,
};
