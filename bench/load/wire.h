/* What a load generator needs of a wire protocol, and the two that it speaks.
 *
 * Both frame their messages by a big-endian u32 length, and both answer the requests of a
 * connection in order, heartbeats apart. Error codes are ZooKeeper's; the native wire adds its own.
 */
#ifndef COORD_LOAD_WIRE_H
#define COORD_LOAD_WIRE_H

#include "buffer.h"

enum {
    OP_CREATE = 1,
    OP_GET = 4,
    OP_SET = 5,
    OP_PING = 11,
    OP_CLOSE = -11,
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

enum { SECRET_BYTES = 16 };

/* What survives a connection. id 0: there is no session yet. */
typedef struct {
    int64_t id, revision;
    uint8_t secret[SECRET_BYTES];
    size_t secret_bytes;
} session;

/* A request; seq and acked number the writes of a native session, level is for native reads. */
typedef struct {
    int op;
    int64_t xid, seq, acked;
    const char *path;
    size_t path_bytes;
    const void *data;
    size_t data_bytes;
    unsigned level;
    bool watch;
} request;

typedef enum { ANSWER, EVENT, FAREWELL } answer_kind;

typedef struct {
    answer_kind kind;
    int64_t xid, code, revision;
} answer;

typedef struct {
    const char *name;
    /* Ask for a session, or for the one in s again. */
    void (*put_greeting)(buffer *, const session *s, int timeout_ms);
    /* Fills s and gives CODE_OK, or gives what is wrong. */
    int64_t (*take_greeting)(reader *, session *s);
    void (*put_request)(buffer *, const request *);
    /* The xid under which the heartbeat will be answered. */
    int64_t (*put_ping)(buffer *, int64_t xid);
    void (*take_answer)(reader *, answer *);
} wire;

extern const wire native_wire, zookeeper_wire;

#endif
