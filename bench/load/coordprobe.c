/* coordprobe: many sessions that do little.
 *
 *   coordprobe -s host:port[,host:port…] [-P native|zookeeper] -o sessions|fanout|watches
 *              [-c sessions] [-n watches in all] [-r rounds] [-t most seconds a step may take]
 *
 * sessions  opens them, at most OPENING_MAX at a time, and says how many a second that were;
 * watches   also arms n one-shot watches, spread over the sessions, on the keys that coordload
 *           has made; says how many a second that were;
 * fanout    every session watches one node; r times the node is set and the time until the first,
 *           the middle and the last session has its event is taken, from the sending of the set.
 *
 * Each prints one line of JSON. The first two then keep the sessions alive until standard input
 * ends. One thread. A server that closes a connection before it has a session is dialled again, and
 * that is counted ("retries"); a session that is lost ends the program with code 75.
 */
#include <inttypes.h>
#include <poll.h>
#include <unistd.h>

#include "net.h"
#include "wire.h"

enum {
    OPENING_MAX = 100,
    SESSION_TIMEOUT_MS = 30000,
    EVENTS = 1024,
    ROUNDS_MAX = 100,
    PATH_BYTES = 64,
    ARMING_MAX = 200, /* requests of one session in flight */
    GREETING_XID = 1,
    REDIAL_MS = 20,
};

typedef enum { DOWN, DIALLING, GREETING, UP } phase;

typedef struct {
    stream stream;
    phase phase;
    session session;
    int64_t xid, seq, ping_xid;
    unsigned in_flight, to_arm, arm_next, arm_step;
    uint64_t heard_at_ns; /* the event of this round */
    uint64_t redial_ns;   /* while DOWN */
} member;

static struct {
    const wire *wire;
    const char *probe;
    host host[HOSTS_MAX];
    unsigned hosts, members, watches, rounds, limit_s;
} options = {.wire = &zookeeper_wire, .members = 5000, .watches = 5000, .rounds = 7,
             .limit_s = 120};

static const char WATCHED[] = "/bench-watched";

static member *members;
static unsigned opened, opening, down, retries, answers, events_seen;
static int epoll_fd;
static uint64_t pinged_ns;

static void fail(const char *what)
{
    fprintf(stderr, "%s: %u of %u sessions were open, %u requests answered, %u events seen\n", what,
            opened, options.members, answers, events_seen);
    exit(75);
}

static void ask(member *m, int op, const char *path, bool watch)
{
    request q = {.op = op, .xid = ++m->xid, .acked = m->seq, .path = path,
                 .path_bytes = strlen(path), .data = "x", .data_bytes = 1, .level = 1,
                 .watch = watch};
    if (op != OP_GET)
        q.seq = ++m->seq;
    options.wire->put_request(&m->stream.out, &q);
    m->in_flight++;
}

static void try_again(member *m)
{
    if (m->phase == UP)
        fail("a session was lost");
    stream_close(&m->stream);
    m->phase = DOWN;
    m->redial_ns = now_ns() + REDIAL_MS * NS_PER_MS;
    down++;
    retries++;
}

static void flush(member *m)
{
    if (!stream_flush(&m->stream))
        try_again(m);
}

/* Arm what is still to be armed, as far as the window allows. */
static void arm(member *m)
{
    char path[PATH_BYTES];
    for (; m->to_arm && m->in_flight < ARMING_MAX; m->to_arm--, m->arm_next += m->arm_step) {
        snprintf(path, sizeof path, "/bench/k%08u", m->arm_next);
        ask(m, OP_GET, path, true);
    }
}

static void dial(member *m)
{
    const host *to = &options.host[(size_t)(m - members) % options.hosts];
    m->phase = DIALLING;
    if (stream_dial(&m->stream, to))
        options.wire->put_greeting(&m->stream.out, &m->session, SESSION_TIMEOUT_MS);
    else
        try_again(m);
}

static void dial_again(void)
{
    uint64_t now = now_ns();
    for (unsigned i = 0; down && i < options.members; i++) {
        member *m = &members[i];
        if (m->phase == DOWN && m->redial_ns && now >= m->redial_ns) {
            m->redial_ns = 0;
            down--;
            dial(m);
        }
    }
}

static void heard(member *m, reader *body, uint64_t now)
{
    answer a;
    if (m->phase == GREETING) {
        if (options.wire->take_greeting(body, &m->session) != CODE_OK)
            fail("a session was refused");
        m->phase = UP;
        opened++;
        opening--;
        return;
    }
    options.wire->take_answer(body, &a);
    if (body->bad || a.kind == FAREWELL)
        fail("a server said goodbye");
    if (a.kind == EVENT) {
        m->heard_at_ns = now;
        events_seen++;
    } else if (a.xid != m->ping_xid) {
        if (a.code != CODE_OK && a.code != CODE_NODE_EXISTS) {
            fprintf(stderr, "a request was answered by code %" PRId64 "\n", a.code);
            exit(75);
        }
        m->in_flight--;
        answers++;
        arm(m);
    }
}

static void ready(member *m, uint32_t events)
{
    reader body;
    if (m->stream.fd < 0)
        return;
    if (m->phase == DIALLING && events & EPOLLOUT)
        m->phase = GREETING;
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        if (!stream_receive(&m->stream)) {
            try_again(m);
            return;
        }
        uint64_t now = now_ns();
        while (stream_next(&m->stream, &body))
            heard(m, &body, now);
    }
    flush(m);
}

static void keep_alive(void)
{
    uint64_t now = now_ns();
    if (now < pinged_ns + SESSION_TIMEOUT_MS / 3 * NS_PER_MS)
        return;
    pinged_ns = now;
    for (unsigned i = 0; i < options.members; i++) {
        member *m = &members[i];
        if (m->phase != UP)
            continue;
        m->ping_xid = options.wire->put_ping(&m->stream.out, ++m->xid);
        flush(m);
    }
}

static void turn(int timeout_ms)
{
    struct epoll_event events[EVENTS];
    int n = epoll_wait(epoll_fd, events, EVENTS, timeout_ms);
    for (int i = 0; i < n; i++)
        ready(events[i].data.ptr, events[i].events);
    dial_again();
    keep_alive();
}

/* Turn the loop until *count has reached wanted. */
static void await(const unsigned *count, unsigned wanted, const char *what)
{
    uint64_t limit_ns = now_ns() + options.limit_s * NS_PER_S;
    while (*count < wanted) {
        turn(100);
        if (now_ns() > limit_ns) {
            fprintf(stderr, "%s: %u of %u in %u s\n", what, *count, wanted, options.limit_s);
            exit(75);
        }
    }
}

static void open_members(void)
{
    members = must(calloc(options.members, sizeof *members));
    for (unsigned i = 0; i < options.members; i++) {
        member *m = &members[i];
        m->xid = GREETING_XID;
        m->stream = (stream){.fd = -1, .epoll_fd = epoll_fd, .owner = m};
        dial(m);
        opening++;
        while (opening >= OPENING_MAX)
            turn(100);
    }
    await(&opened, options.members, "sessions opened");
}

static void close_members(void)
{
    for (unsigned i = 0; i < options.members; i++) {
        request q = {.op = OP_CLOSE, .xid = ++members[i].xid};
        options.wire->put_request(&members[i].stream.out, &q);
        stream_flush(&members[i].stream);
    }
    sleep(1); /* a socket closed with unread bytes would take the request along */
}

/* Keep the sessions until standard input ends. */
static void hold(void)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    char ignored[64];
    fflush(stdout);
    for (;;) {
        turn(50);
        if (poll(&input, 1, 0) > 0 && read(STDIN_FILENO, ignored, sizeof ignored) <= 0)
            return;
    }
}

static void arm_all(void)
{
    uint64_t since = now_ns();
    for (unsigned i = 0; i < options.members; i++) {
        member *m = &members[i];
        m->to_arm = options.watches / options.members + (i < options.watches % options.members);
        m->arm_next = i;
        m->arm_step = options.members;
        arm(m);
        flush(m);
    }
    await(&answers, options.watches, "watches armed");
    printf("{\"probe\":\"watches\",\"watches\":%u,\"sessions\":%u,\"retries\":%u,"
           "\"arms_s\":%.0f}\n",
           options.watches, options.members, retries,
           options.watches / ((double)(now_ns() - since) / 1e9));
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* One round: first, middle and last event in milliseconds behind the set. The writer is the last
 * member, which watches nothing. */
static void fan_out_once(double *first, double *middle, double *last)
{
    unsigned watchers = options.members - 1;
    member *writer = &members[watchers];
    double *after = must(calloc(watchers, sizeof *after));
    answers = events_seen = 0;
    for (unsigned i = 0; i < watchers; i++) {
        ask(&members[i], OP_GET, WATCHED, true);
        flush(&members[i]);
    }
    await(&answers, watchers, "watches armed");
    uint64_t since = now_ns();
    ask(writer, OP_SET, WATCHED, false);
    flush(writer);
    await(&events_seen, watchers, "events received");
    for (unsigned i = 0; i < watchers; i++)
        after[i] = (double)(members[i].heard_at_ns - since) / 1e6;
    qsort(after, watchers, sizeof *after, by_value);
    *first = after[0];
    *middle = after[watchers / 2];
    *last = after[watchers - 1];
    free(after);
    await(&answers, watchers + 1, "the set answered");
}

static double median(double *values, unsigned n)
{
    qsort(values, n, sizeof *values, by_value);
    return values[n / 2];
}

static void fan_out(void)
{
    double first[ROUNDS_MAX], middle[ROUNDS_MAX], last[ROUNDS_MAX];
    ask(&members[0], OP_CREATE, WATCHED, false);
    flush(&members[0]);
    await(&answers, 1, "the node created");
    sleep(1); /* every server has it */
    for (unsigned i = 0; i < options.rounds; i++)
        fan_out_once(&first[i], &middle[i], &last[i]);
    printf("{\"probe\":\"fanout\",\"watchers\":%u,\"rounds\":%u,\"first_ms\":%.1f,"
           "\"middle_ms\":%.1f,\"last_ms\":%.1f",
           options.members - 1, options.rounds, median(first, options.rounds),
           median(middle, options.rounds), median(last, options.rounds));
    printf(",\"retries\":%u,\"worst_ms\":%.1f}\n", retries, last[options.rounds - 1]); /* sorted */
}

static unsigned number(const char *text)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    if (*end != 0 || value == 0 || value > 10000000) {
        fprintf(stderr, "expected a positive number: %s\n", text);
        exit(64);
    }
    return (unsigned)value;
}

static void parse(int argc, char **argv)
{
    int letter;
    while ((letter = getopt(argc, argv, "s:P:o:c:n:r:t:")) != -1) {
        switch (letter) {
        case 's': options.hosts = resolve(optarg, options.host); break;
        case 'P':
            options.wire = strcmp(optarg, "native") ? &zookeeper_wire : &native_wire;
            break;
        case 'o': options.probe = optarg; break;
        case 'c': options.members = number(optarg); break;
        case 'n': options.watches = number(optarg); break;
        case 'r': options.rounds = number(optarg); break;
        case 't': options.limit_s = number(optarg); break;
        default: exit(64);
        }
    }
    if (options.hosts == 0 || options.probe == NULL || options.rounds > ROUNDS_MAX) {
        fprintf(stderr, "usage: coordprobe -s host:port -o sessions|fanout|watches [options]\n");
        exit(64);
    }
}

int main(int argc, char **argv)
{
    parse(argc, argv);
    raise_descriptor_limit();
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0)
        die("epoll");
    bool fans_out = strcmp(options.probe, "fanout") == 0;
    options.members += fans_out; /* the writer */
    uint64_t since = pinged_ns = now_ns();
    open_members();
    double opens_s = options.members / ((double)(now_ns() - since) / 1e9);
    if (fans_out) {
        fan_out();
    } else if (strcmp(options.probe, "watches") == 0) {
        arm_all();
        hold();
    } else {
        printf("{\"probe\":\"sessions\",\"sessions\":%u,\"retries\":%u,\"opens_s\":%.0f}\n",
               options.members, retries, opens_s);
        hold();
    }
    close_members();
    return 0;
}
