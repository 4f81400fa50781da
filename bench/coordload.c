/* coordload: closed-loop load generator for the native protocol.
 *
 * One thread, one epoll set, C connections with D requests in flight on each. Every connection is
 * a session: writes carry dense sequence numbers, a lost connection is dialled again (next host),
 * the session re-attached and every unanswered write sent again with its old number, so that each
 * is applied once. Prints one line of JSON.
 *
 * Options: options.h.
 *
 * "write_gap_max_ms" is the longest time during which no write of any connection succeeded;
 * "connection_gap_max_ms" the longest any single connection went without an answer;
 * "canary_max_ms" how late a 5 ms timer of this very process was at worst: what is not below that
 * is the machine's doing.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "histogram.h"
#include "options.h"
#include "wire.h"

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)

enum {
    SESSION_TIMEOUT_MS = 10000,
    REDIAL_MS = 20,
    ANSWER_TIMEOUT_MS = 3000, /* a connection silent for longer is given up */
    CANARY_MS = 5,
    SECRET_BYTES = 16,
    READ_BYTES = 1 << 16,
    CODES = 1024,
    FILL_TIMEOUT_S = 120,
    DRAIN_S = 15, /* for the last answers after the end */
};

/* A request in flight. seq is 0 for reads and heartbeats. */
typedef struct {
    uint64_t sent_ns;
    int64_t xid, seq;
    uint32_t key;
    uint16_t op;
} slot;

typedef enum { DOWN, DIALLING, GREETING, UP } phase;

/* Invariant: ring[tail … head) holds, oldest first, what was sent and not answered; answers come
 * in that order. */
typedef struct {
    int fd;
    phase phase;
    unsigned host;
    bool wants_write;
    buffer in, out;
    size_t out_done;
    slot *ring;
    uint32_t head, tail;
    int64_t xid, seq, acked, revision;
    int64_t session, ping_xid;
    uint8_t secret[SECRET_BYTES];
    size_t secret_bytes;
    uint64_t rng, redial_ns, heard_ns, answered_ns, pinged_ns;
    uint32_t created;
} conn;

static struct {
    histogram latency;
    uint64_t reads, writes, reconnects, sessions_lost;
    uint64_t errors[CODES];
    uint64_t last_write_ns, write_gap_ns, connection_gap_ns, canary_ns;
} totals;

static int epoll_fd, timer_fd;
static uint8_t *value;
static uint64_t measure_ns, end_ns;
static bool stopping;
static uint32_t fill_next, fill_done;

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static void die(const char *what)
{
    perror(what);
    exit(70);
}

static uint64_t next_random(conn *c)
{
    c->rng ^= c->rng << 13;
    c->rng ^= c->rng >> 7;
    c->rng ^= c->rng << 17;
    return c->rng;
}

/* --- requests ----------------------------------------------------------------------------------- */

static uint32_t in_flight(const conn *c)
{
    return c->head - c->tail;
}

static uint32_t ring_slots(void)
{
    return options.depth + 1;
}

static slot *slot_at(conn *c, uint32_t place)
{
    return &c->ring[place % ring_slots()];
}

static void path_of(const conn *c, const slot *s, char *path)
{
    if (options.mode == MODE_ROOT)
        snprintf(path, PATH_BYTES, "%s", options.root);
    else if (options.mode == MODE_CREATE)
        snprintf(path, PATH_BYTES, "%s/c%" PRId64 "-%u", options.root, c->session, s->key);
    else
        snprintf(path, PATH_BYTES, "%s/k%07u", options.root, s->key);
}

/* (Re)send one slot under a new xid; its sequence number stays. */
static void send_slot(conn *c, slot *s)
{
    char path[PATH_BYTES];
    buffer *b = &c->out;
    size_t body = frame_begin(b);
    s->xid = ++c->xid;
    switch (s->op) {
    case OP_GET:
        path_of(c, s, path);
        put_array(b, 5);
        put_int(b, s->xid);
        put_int(b, OP_GET);
        put_text(b, path);
        put_bool(b, false);
        put_int(b, options.level);
        break;
    case OP_SET:
    case OP_CREATE:
        path_of(c, s, path);
        put_array(b, s->op == OP_SET ? 7 : 6);
        put_int(b, s->xid);
        put_int(b, s->op);
        put_int(b, s->seq);
        put_int(b, c->acked);
        put_text(b, path);
        put_data(b, value, options.bytes);
        if (s->op == OP_SET)
            put_int(b, -1); /* any version */
        break;
    default:
        put_array(b, 2);
        put_int(b, s->xid);
        put_int(b, OP_PING);
    }
    frame_end(b, body);
}

static slot *push_slot(conn *c, uint16_t op, uint32_t key)
{
    slot *s = slot_at(c, c->head++);
    bool write = op == OP_SET || op == OP_CREATE;
    *s = (slot){.sent_ns = now_ns(), .op = op, .key = key, .seq = write ? ++c->seq : 0};
    return s;
}

static bool is_preparing(void)
{
    return options.mode >= MODE_ROOT;
}

static bool may_issue(void)
{
    return is_preparing() ? fill_next < options.keys : !stopping;
}

static void issue(conn *c)
{
    uint16_t op = OP_SET;
    uint32_t key = (uint32_t)(next_random(c) % options.keys);
    switch (options.mode) {
    case MODE_ROOT:
    case MODE_FILL:
        op = OP_CREATE;
        key = fill_next++;
        break;
    case MODE_CREATE:
        op = OP_CREATE;
        key = c->created++;
        break;
    case MODE_GET:
        op = OP_GET;
        break;
    case MODE_MIXED:
        op = next_random(c) % 100 < options.read_percent ? OP_GET : OP_SET;
        break;
    case MODE_SET:
        break;
    }
    send_slot(c, push_slot(c, op, key));
}

static void send_connect(conn *c)
{
    buffer *b = &c->out;
    put_raw(b, OPENING, sizeof OPENING);
    size_t body = frame_begin(b);
    put_array(b, 7);
    put_int(b, ++c->xid);
    put_int(b, OP_CONNECT);
    put_int(b, c->session);
    put_data(b, c->secret, c->session ? c->secret_bytes : 0);
    put_int(b, SESSION_TIMEOUT_MS);
    put_int(b, c->revision);
    put_text(b, "coordload");
    frame_end(b, body);
}

/* --- connections -------------------------------------------------------------------------------- */

static void watch(conn *c, bool write)
{
    struct epoll_event e = {.events = EPOLLIN | (write ? EPOLLOUT : 0u), .data.ptr = c};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &e) < 0)
        die("epoll_ctl");
    c->wants_write = write;
}

static void hang_up(conn *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    c->phase = DOWN;
    c->in.len = c->out.len = c->out_done = 0;
    c->host = (c->host + 1) % options.hosts;
    c->redial_ns = now_ns() + REDIAL_MS * NS_PER_MS;
    totals.reconnects++;
}

static void dial(conn *c)
{
    const struct sockaddr *to = (const struct sockaddr *)&options.address[c->host];
    int one = 1;
    c->fd = socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        die("socket");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT, .data.ptr = c};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &e) < 0)
        die("epoll_ctl");
    c->wants_write = true;
    c->phase = DIALLING;
    c->xid = c->ping_xid = 0;
    c->heard_ns = now_ns();
    if (connect(c->fd, to, options.address_bytes[c->host]) < 0 && errno != EINPROGRESS)
        hang_up(c);
    else
        send_connect(c);
}

static void flush(conn *c)
{
    while (c->out_done < c->out.len) {
        ssize_t n = send(c->fd, c->out.bytes + c->out_done, c->out.len - c->out_done, MSG_NOSIGNAL);
        if (n < 0) {
            if (errno == EAGAIN || errno == ENOTCONN) {
                if (!c->wants_write)
                    watch(c, true);
            } else {
                hang_up(c);
            }
            return;
        }
        c->out_done += (size_t)n;
    }
    c->out.len = c->out_done = 0;
    if (c->wants_write)
        watch(c, false);
}

/* --- answers ------------------------------------------------------------------------------------ */

static void count_error(int64_t code)
{
    totals.errors[(uint64_t)(code < 0 ? -code : code) % CODES]++;
}

/* The session is attached: everything unanswered goes out again, in its old order. */
static bool greeted(conn *c, reader *r, int64_t code)
{
    if (code != CODE_OK)
        count_error(code);
    if (code == CODE_SESSION_EXPIRED) {
        totals.sessions_lost++;
        c->session = c->seq = c->acked = 0;
        c->head = c->tail = 0;
        return false;
    }
    if (code != CODE_OK)
        return false;
    int64_t session = take_int(r);
    size_t n;
    const uint8_t *secret = take_data(r, &n);
    if (r->bad || n > SECRET_BYTES)
        return false;
    if (c->session == 0) {
        c->session = session;
        c->secret_bytes = n;
        memcpy(c->secret, secret, n);
    }
    c->phase = UP;
    c->pinged_ns = now_ns();
    for (uint32_t place = c->tail; place != c->head; place++)
        send_slot(c, slot_at(c, place));
    while (may_issue() && in_flight(c) < options.depth)
        issue(c);
    return true;
}

static void measure(conn *c, const slot *s, uint64_t now)
{
    bool write = s->seq != 0;
    if (now < measure_ns || now >= end_ns)
        return;
    histogram_add(&totals.latency, now - s->sent_ns);
    *(write ? &totals.writes : &totals.reads) += 1;
    if (write) {
        uint64_t since = totals.last_write_ns > measure_ns ? totals.last_write_ns : measure_ns;
        if (now - since > totals.write_gap_ns)
            totals.write_gap_ns = now - since;
        totals.last_write_ns = now;
    }
    uint64_t since = c->answered_ns > measure_ns ? c->answered_ns : measure_ns;
    if (now - since > totals.connection_gap_ns)
        totals.connection_gap_ns = now - since;
}

static bool is_refused_for_now(int64_t code)
{
    return code == CODE_OVERLOADED || code == CODE_NOT_READY || code == CODE_SEQUENCE_GAP ||
           code == CODE_NOT_LEADER || code == CODE_SESSION_MOVED || code == CODE_SESSION_EXPIRED;
}

/* One answer; false means: this connection is of no more use. */
static bool answered(conn *c, const uint8_t *bytes, size_t n)
{
    reader r = {bytes, bytes + n, false};
    take_array(&r);
    int64_t xid = take_int(&r), code = take_int(&r), revision = take_int(&r);
    if (r.bad)
        return false;
    if (revision > c->revision)
        c->revision = revision;
    if (xid < 0)
        return xid != -3; /* a notice: the server is about to close */
    if (c->phase == GREETING)
        return greeted(c, &r, code);
    if (xid == c->ping_xid)
        return true; /* a heartbeat is answered out of turn, once the leader has it */
    slot *s = slot_at(c, c->tail);
    if (in_flight(c) == 0 || xid != s->xid) {
        fprintf(stderr, "an answer out of order: xid %" PRId64 ", code %" PRId64 ", expected %" PRId64 " of %u\n", xid, code, (int64_t)s->xid, in_flight(c));
        exit(70);
    }
    if (code != CODE_OK && !(is_preparing() && code == CODE_NODE_EXISTS)) {
        count_error(code);
        if (is_refused_for_now(code))
            return false; /* come back and send it again under its number */
    }
    slot done = *s;
    c->tail++;
    if (done.seq)
        c->acked = done.seq;
    uint64_t now = now_ns();
    if (code == CODE_OK)
        measure(c, &done, now);
    c->answered_ns = now;
    if (is_preparing())
        fill_done++;
    if (now >= end_ns)
        stopping = true;
    if (may_issue())
        issue(c);
    return true;
}

static bool split(conn *c)
{
    size_t at = 0;
    while (c->in.len - at >= 4) {
        reader r = {c->in.bytes + at, c->in.bytes + c->in.len, false};
        size_t n = (size_t)take_big_endian(&r, 4);
        if (c->in.len - at - 4 < n)
            break;
        if (!answered(c, c->in.bytes + at + 4, n))
            return false;
        at += 4 + n;
    }
    memmove(c->in.bytes, c->in.bytes + at, c->in.len - at);
    c->in.len -= at;
    return true;
}

static void readable(conn *c)
{
    reserve(&c->in, READ_BYTES);
    ssize_t n = recv(c->fd, c->in.bytes + c->in.len, c->in.cap - c->in.len, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        hang_up(c);
        return;
    }
    c->heard_ns = now_ns();
    c->in.len += (size_t)n;
    if (!split(c))
        hang_up(c);
}

/* --- time --------------------------------------------------------------------------------------- */

static void look_after(conn *c, uint64_t now)
{
    if (c->phase == DOWN) {
        if (now >= c->redial_ns && (!stopping || in_flight(c)))
            dial(c);
        return;
    }
    bool waits = c->phase != UP || in_flight(c);
    if (waits && now > c->heard_ns + ANSWER_TIMEOUT_MS * NS_PER_MS) {
        hang_up(c);
    } else if (c->phase == UP && now > c->pinged_ns + SESSION_TIMEOUT_MS / 3 * NS_PER_MS) {
        c->pinged_ns = now;
        /* Answered once the leader has confirmed it, so out of turn: it has no slot. */
        slot ping = {.op = OP_PING};
        send_slot(c, &ping);
        c->ping_xid = ping.xid;
        flush(c);
    }
}

static void ticked(conn *conns, uint64_t *due_ns)
{
    uint64_t expired, now = now_ns();
    if (read(timer_fd, &expired, sizeof expired) != sizeof expired)
        return;
    if (now > *due_ns && now - *due_ns > totals.canary_ns && now >= measure_ns && now < end_ns)
        totals.canary_ns = now - *due_ns;
    *due_ns += expired * CANARY_MS * NS_PER_MS;
    for (unsigned i = 0; i < options.conns; i++)
        look_after(&conns[i], now);
}

static bool is_finished(const conn *conns)
{
    if (is_preparing())
        return fill_done >= options.keys;
    if (!stopping)
        return false;
    for (unsigned i = 0; i < options.conns; i++)
        if (in_flight(&conns[i]))
            return false;
    return true;
}

/* Run connections until the mode's end; false if that did not come in time. */
static bool run(unsigned conn_count, uint64_t give_up_ns)
{
    conn *conns = must(calloc(conn_count, sizeof *conns));
    struct epoll_event events[512];
    struct itimerspec every = {.it_value.tv_nsec = CANARY_MS * (long)NS_PER_MS,
                               .it_interval.tv_nsec = CANARY_MS * (long)NS_PER_MS};
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_fd < 0 || timer_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, timer_fd, &e) < 0)
        die("epoll");
    for (unsigned i = 0; i < conn_count; i++) {
        conn *c = &conns[i];
        c->ring = must(calloc(ring_slots(), sizeof *c->ring));
        c->rng = UINT64_C(0x9E3779B97F4A7C15) * (i + 1);
        c->host = i % options.hosts;
        dial(c);
    }
    timerfd_settime(timer_fd, 0, &every, NULL);
    uint64_t due_ns = now_ns() + CANARY_MS * NS_PER_MS;
    bool finished;
    while (!(finished = is_finished(conns)) && now_ns() < give_up_ns) {
        int n = epoll_wait(epoll_fd, events, 512, 100);
        if (now_ns() >= end_ns)
            stopping = true;
        for (int i = 0; i < n; i++) {
            conn *c = events[i].data.ptr;
            if (c == NULL) {
                ticked(conns, &due_ns);
                continue;
            }
            if (c->phase == DIALLING && events[i].events & EPOLLOUT)
                c->phase = GREETING;
            if (c->fd >= 0 && events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                readable(c);
            if (c->fd >= 0)
                flush(c);
        }
    }
    for (unsigned i = 0; i < conn_count; i++) {
        if (conns[i].fd >= 0)
            close(conns[i].fd);
        free(conns[i].in.bytes);
        free(conns[i].out.bytes);
        free(conns[i].ring);
    }
    close(epoll_fd);
    close(timer_fd);
    free(conns);
    return finished;
}

/* One phase of preparation: every key from 0 on is created, by few deep connections. */
static void prepare(mode phase, unsigned conns, unsigned depth, unsigned keys)
{
    options.mode = phase;
    options.conns = conns;
    options.depth = depth;
    options.keys = keys;
    fill_next = fill_done = 0;
    if (!run(conns, now_ns() + FILL_TIMEOUT_S * NS_PER_S)) {
        fprintf(stderr, "only %u of %u keys were created in %d s\n", fill_done, keys,
                FILL_TIMEOUT_S);
        exit(75);
    }
}

/* Create the root and every key; what exists stays. */
static void fill(void)
{
    mode wanted = options.mode;
    unsigned conns = options.conns, depth = options.depth, keys = options.keys;
    measure_ns = end_ns = UINT64_MAX;
    prepare(MODE_ROOT, 1, 1, 1);
    if (wanted != MODE_CREATE)
        prepare(MODE_FILL, 8, 64, keys);
    options.mode = wanted;
    options.conns = conns;
    options.depth = depth;
    options.keys = keys;
    memset(&totals, 0, sizeof totals);
}

/* --- report ------------------------------------------------------------------------------------- */

static void report(bool finished)
{
    const histogram *h = &totals.latency;
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    double cpu = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
                 (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
    double seconds = options.seconds;
    if (totals.writes && end_ns - totals.last_write_ns > totals.write_gap_ns)
        totals.write_gap_ns = end_ns - totals.last_write_ns;
    printf("{\"op\":\"%s\",\"level\":\"%s\",\"conns\":%u,\"depth\":%u,\"keys\":%u,\"bytes\":%u,"
           "\"seconds\":%u,\"finished\":%s,",
           options.mode_name, options.level_name, options.conns, options.depth, options.keys,
           options.bytes, options.seconds, finished ? "true" : "false");
    printf("\"ops_s\":%.0f,\"reads_s\":%.0f,\"writes_s\":%.0f,", (double)h->count / seconds,
           (double)totals.reads / seconds, (double)totals.writes / seconds);
    static const struct { const char *name; double q; } quantiles[] = {
        {"p50_us", .5}, {"p90_us", .9}, {"p99_us", .99}, {"p999_us", .999}};
    for (unsigned i = 0; i < sizeof quantiles / sizeof *quantiles; i++)
        printf("\"%s\":%.0f,", quantiles[i].name,
               (double)histogram_quantile(h, quantiles[i].q) / 1e3);
    printf("\"max_us\":%.0f,\"write_gap_max_ms\":%.1f,\"connection_gap_max_ms\":%.1f,"
           "\"canary_max_ms\":%.1f,\"reconnects\":%" PRIu64 ",\"sessions_lost\":%" PRIu64
           ",\"generator_cpu_s\":%.2f,\"errors\":{",
           (double)h->max / 1e3, (double)totals.write_gap_ns / 1e6,
           (double)totals.connection_gap_ns / 1e6, (double)totals.canary_ns / 1e6,
           totals.reconnects, totals.sessions_lost, cpu);
    const char *comma = "";
    for (int code = 0; code < CODES; code++) {
        if (totals.errors[code]) {
            printf("%s\"-%d\":%" PRIu64, comma, code, totals.errors[code]);
            comma = ",";
        }
    }
    printf("}}\n");
}

int main(int argc, char **argv)
{
    parse(argc, argv);
    value = must(malloc(options.bytes));
    memset(value, 'x', options.bytes);
    if (options.fill)
        fill();
    measure_ns = now_ns() + options.warmup * NS_PER_S;
    end_ns = measure_ns + options.seconds * NS_PER_S;
    bool finished = run(options.conns, end_ns + DRAIN_S * NS_PER_S);
    report(finished);
    return finished ? 0 : 75;
}
