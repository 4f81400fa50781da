/* One closed-loop client: a session and the requests it has in flight. */
#ifndef COORD_LOAD_CLIENT_H
#define COORD_LOAD_CLIENT_H

#include "net.h"
#include "report.h"
#include "wire.h"

/* A request in flight. seq is 0 for reads. */
typedef struct {
    uint64_t sent_ns;
    int64_t xid, seq;
    uint32_t key;
    int op;
    bool again; /* sent on an earlier connection, too */
} slot;

typedef enum { DOWN, DIALLING, GREETING, UP } phase;

/* Invariant: ring[tail … head) holds, oldest first, what was sent and not answered; answers come
 * in that order. */
typedef struct {
    stream stream;
    phase phase;
    unsigned number, host;
    session session;
    slot *ring;
    uint32_t head, tail;
    int64_t xid, seq, acked, ping_xid;
    uint64_t rng, redial_ns, heard_ns, answered_ns, pinged_ns;
    uint32_t created;
} client;

/* What all clients share. Preparing creates the keys 0 … options.keys − 1 once each. */
typedef struct {
    tally tally;
    uint32_t next_key, keys_done;
    bool stopping;
    const void *value;
} work;

extern work shared;

bool is_preparing(void);

void client_open(client *, unsigned number, int epoll_fd);
void client_free(client *);

/* Something happened on the socket. */
void client_ready(client *, uint32_t events);

/* Called every few milliseconds: dials again, gives up what is silent, sends heartbeats. */
void client_tick(client *, uint64_t now);

/* Ask the server to end the session. */
void client_say_goodbye(client *);

bool client_is_idle(const client *);

#endif
