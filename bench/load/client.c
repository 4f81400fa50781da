#include "client.h"

#include <inttypes.h>

#include "options.h"

enum {
    SESSION_TIMEOUT_MS = 10000,
    REDIAL_MS = 20,
    ANSWER_TIMEOUT_MS = 3000, /* a connection silent for longer is given up */
    GREETING_XID = 1,
};

work shared;

bool is_preparing(void)
{
    return options.mode >= MODE_ROOT;
}

static uint32_t ring_slots(void)
{
    return options.depth + 1;
}

static uint32_t in_flight(const client *c)
{
    return c->head - c->tail;
}

static slot *slot_at(client *c, uint32_t place)
{
    return &c->ring[place % ring_slots()];
}

static uint64_t next_random(client *c)
{
    c->rng ^= c->rng << 13;
    c->rng ^= c->rng >> 7;
    c->rng ^= c->rng << 17;
    return c->rng;
}

/* --- requests --------------------------------------------------------------------------------- */

static char *write_digits(char *at, uint32_t number, int digits)
{
    for (int i = digits - 1; i >= 0; i--, number /= 10)
        at[i] = (char)('0' + number % 10);
    return at + digits;
}

/* The path of a slot's node, written by hand: printf would be a tenth of this program's time. */
static size_t path_of(const client *c, const slot *s, char *path)
{
    size_t n = strlen(options.root);
    char *at = path + n;
    memcpy(path, options.root, n);
    if (options.mode == MODE_ROOT)
        return n;
    if (options.mode == MODE_CREATE)
        return n + (size_t)sprintf(at, "/c%" PRIx64 "-%u", (uint64_t)c->session.id, s->key);
    if (options.per_directory && options.mode != MODE_DIRS) {
        memcpy(at, "/d", 2);
        at = write_digits(at + 2, s->key / options.per_directory, 6);
    }
    memcpy(at, options.mode == MODE_DIRS ? "/d" : "/k", 2);
    at = write_digits(at + 2, s->key, options.mode == MODE_DIRS ? 6 : 8);
    return (size_t)(at - path);
}

/* (Re)send one slot under a new xid; its sequence number stays. */
static void send_slot(client *c, slot *s)
{
    char path[PATH_BYTES];
    s->xid = ++c->xid;
    request q = {.op = s->op, .xid = s->xid, .seq = s->seq, .acked = c->acked, .path = path,
                 .data = shared.value, .data_bytes = options.bytes, .level = options.level};
    q.path_bytes = path_of(c, s, path);
    options.wire->put_request(&c->stream.out, &q);
}

static void issue(client *c, uint64_t now)
{
    int op = OP_SET;
    uint32_t key = (uint32_t)(next_random(c) % options.keys);
    if (is_preparing()) {
        op = OP_CREATE;
        key = shared.next_key++;
    } else if (options.mode == MODE_CREATE) {
        op = OP_CREATE;
        key = c->created++;
    } else if (options.mode == MODE_GET) {
        op = OP_GET;
    } else if (options.mode == MODE_MIXED && next_random(c) % 100 < options.read_percent) {
        op = OP_GET;
    }
    slot *s = slot_at(c, c->head++);
    *s = (slot){.sent_ns = now, .op = op, .key = key, .seq = op == OP_GET ? 0 : ++c->seq};
    send_slot(c, s);
}

static bool may_issue(void)
{
    return is_preparing() ? shared.next_key < options.keys : !shared.stopping;
}

/* --- connections ------------------------------------------------------------------------------ */

static void hang_up(client *c)
{
    stream_close(&c->stream);
    c->phase = DOWN;
    c->host = (c->host + 1) % options.hosts;
    c->redial_ns = now_ns() + REDIAL_MS * NS_PER_MS;
    shared.tally.reconnects++;
}

static void dial(client *c)
{
    c->phase = DIALLING;
    c->xid = GREETING_XID;
    c->ping_xid = 0;
    c->heard_ns = now_ns();
    if (!stream_dial(&c->stream, &options.host[c->host]))
        hang_up(c);
    else
        options.wire->put_greeting(&c->stream.out, &c->session, SESSION_TIMEOUT_MS);
}

void client_open(client *c, unsigned number, int epoll_fd)
{
    c->stream = (stream){.fd = -1, .epoll_fd = epoll_fd, .owner = c};
    c->ring = must(calloc(ring_slots(), sizeof *c->ring));
    c->rng = UINT64_C(0x9E3779B97F4A7C15) * (number + 1);
    c->number = number;
    c->host = number % options.hosts;
    dial(c);
}

void client_free(client *c)
{
    stream_free(&c->stream);
    free(c->ring);
}

bool client_is_idle(const client *c)
{
    return in_flight(c) == 0;
}

void client_say_goodbye(client *c)
{
    request q = {.op = OP_CLOSE, .xid = ++c->xid};
    if (c->phase != UP)
        return;
    options.wire->put_request(&c->stream.out, &q);
    stream_flush(&c->stream);
}

/* --- answers ---------------------------------------------------------------------------------- */

/* The session is attached: everything unanswered goes out again, in its old order. */
static bool greeted(client *c, reader *r, uint64_t now)
{
    int64_t code = options.wire->take_greeting(r, &c->session);
    if (code != CODE_OK)
        count_error(&shared.tally, code);
    if (code == CODE_SESSION_EXPIRED) {
        shared.tally.sessions_lost++;
        c->session = (session){.id = 0};
        c->seq = c->acked = 0;
        c->head = c->tail = 0;
    }
    if (code != CODE_OK)
        return false;
    c->phase = UP;
    c->pinged_ns = now;
    for (uint32_t place = c->tail; place != c->head; place++) {
        slot_at(c, place)->again = true;
        send_slot(c, slot_at(c, place));
    }
    while (may_issue() && in_flight(c) < options.depth)
        issue(c, now);
    return true;
}

static void measure(client *c, const slot *s, uint64_t now)
{
    tally *t = &shared.tally;
    if (now < t->measure_ns || now >= t->end_ns)
        return;
    histogram_add(&t->latency, now - s->sent_ns);
    if (s->op == OP_GET) {
        t->reads++;
    } else {
        t->writes++;
        note_gap(t, &t->write_gap_ns, t->last_write_ns, now);
        t->last_write_ns = now;
    }
    note_gap(t, &t->connection_gap_ns, c->answered_ns, now);
}

static bool is_refused_for_now(int64_t code)
{
    return code == CODE_OVERLOADED || code == CODE_NOT_READY || code == CODE_SEQUENCE_GAP ||
           code == CODE_NOT_LEADER || code == CODE_SESSION_MOVED || code == CODE_SESSION_EXPIRED;
}

/* What another connection, or another run, has created already is as good as created. */
static bool is_done(const slot *s, int64_t code)
{
    return code == CODE_OK || (code == CODE_NODE_EXISTS && (is_preparing() || s->again));
}

/* One answer; false means: this connection is of no more use. */
static bool answered(client *c, const answer *a, uint64_t now)
{
    slot *s = slot_at(c, c->tail);
    if (in_flight(c) == 0 || a->xid != s->xid) {
        fprintf(stderr, "an answer out of order: xid %" PRId64 ", code %" PRId64 "\n", a->xid,
                a->code);
        exit(70);
    }
    if (!is_done(s, a->code)) {
        count_error(&shared.tally, a->code);
        if (is_refused_for_now(a->code))
            return false; /* come back and send it again under its number */
    }
    slot done = *s;
    c->tail++;
    if (done.seq)
        c->acked = done.seq;
    if (a->code == CODE_OK)
        measure(c, &done, now);
    c->answered_ns = now;
    if (is_preparing())
        shared.keys_done++;
    if (may_issue())
        issue(c, now);
    return true;
}

/* One frame; false as above. */
static bool heard(client *c, reader *body, uint64_t now)
{
    if (c->phase == GREETING)
        return greeted(c, body, now);
    answer a;
    options.wire->take_answer(body, &a);
    if (body->bad || a.kind == FAREWELL)
        return false;
    if (a.revision > c->session.revision)
        c->session.revision = a.revision;
    /* A heartbeat may be answered out of turn, once the leader has it: it has no slot. */
    if (a.kind == EVENT || a.xid == c->ping_xid)
        return true;
    return answered(c, &a, now);
}

void client_ready(client *c, uint32_t events)
{
    if (c->stream.fd < 0)
        return;
    if (c->phase == DIALLING && events & EPOLLOUT)
        c->phase = GREETING;
    bool good = true;
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        reader body;
        good = stream_receive(&c->stream);
        uint64_t now = now_ns(); /* one reading for all that has arrived together */
        if (good)
            c->heard_ns = now;
        if (now >= shared.tally.end_ns)
            shared.stopping = true;
        while (good && stream_next(&c->stream, &body))
            good = heard(c, &body, now);
    }
    if (!good || !stream_flush(&c->stream))
        hang_up(c);
}

void client_tick(client *c, uint64_t now)
{
    if (c->phase == DOWN) {
        if (now >= c->redial_ns && (!shared.stopping || in_flight(c)))
            dial(c);
        return;
    }
    bool waits = c->phase != UP || in_flight(c);
    if (waits && now > c->heard_ns + ANSWER_TIMEOUT_MS * NS_PER_MS) {
        hang_up(c);
    } else if (c->phase == UP && now > c->pinged_ns + SESSION_TIMEOUT_MS / 3 * NS_PER_MS) {
        c->pinged_ns = now;
        c->ping_xid = options.wire->put_ping(&c->stream.out, ++c->xid);
        if (!stream_flush(&c->stream))
            hang_up(c);
    }
}
