/* coordload: closed-loop load generator for the native wire and for ZooKeeper's.
 *
 * One thread, one epoll set, C clients with D requests in flight on each, spread over the hosts.
 * Every client is a session: a lost connection is dialled again (next host), the session attached
 * again and every unanswered request sent again; on the native wire writes keep their numbers, so
 * that each is applied once. Prints one line of JSON. SIGTERM ends the measurement early.
 *
 * Options: options.h.
 *
 * "write_gap_max_ms" is the longest time during which no write of any client succeeded;
 * "connection_gap_max_ms" the longest any single client went without an answer;
 * "canary_max_ms" how late a 5 ms timer of this very process was at worst.
 */
#include <inttypes.h>
#include <signal.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "client.h"
#include "options.h"

enum {
    TICK_MS = 5,
    EVENTS = 512,
    FILL_TIMEOUT_S = 300,
    FILL_CLIENTS = 8,
    FILL_DEPTH_MAX = 64,
    FILL_BYTES_IN_FLIGHT = 1 << 20, /* of each client, however large the values */
    DRAIN_S = 15,                   /* for the last answers after the end */
    GOODBYE_MS = 300,
};

static volatile sig_atomic_t told_to_end;

static void on_signal(int number)
{
    (void)number;
    told_to_end = 1;
}

static void show_progress(uint64_t now)
{
    static uint64_t due_ns;
    if (options.progress_ms == 0 || is_preparing() || now < due_ns)
        return;
    due_ns = now + options.progress_ms * NS_PER_MS;
    fprintf(stderr, "%" PRIu64 "\n", shared.tally.latency.count);
}

/* The timer has fired; *due_ns is when it should have. */
static void ticked(client *clients, unsigned count, int timer_fd, uint64_t *due_ns)
{
    uint64_t expired, now = now_ns();
    tally *t = &shared.tally;
    if (read(timer_fd, &expired, sizeof expired) != sizeof expired)
        return;
    if (now > *due_ns && now - *due_ns > t->canary_ns && now >= t->measure_ns && now < t->end_ns)
        t->canary_ns = now - *due_ns;
    *due_ns += expired * TICK_MS * NS_PER_MS;
    if (told_to_end && now < t->end_ns)
        t->end_ns = now;
    if (now >= t->end_ns)
        shared.stopping = true;
    for (unsigned i = 0; i < count; i++)
        client_tick(&clients[i], now);
    show_progress(now);
}

static bool is_finished(const client *clients, unsigned count)
{
    if (is_preparing())
        return shared.keys_done >= options.keys;
    for (unsigned i = 0; shared.stopping && i < count; i++)
        if (!client_is_idle(&clients[i]))
            return false;
    return shared.stopping;
}

static int start_timer(int epoll_fd)
{
    const struct itimerspec every = {.it_value.tv_nsec = TICK_MS * (long)NS_PER_MS,
                                     .it_interval.tv_nsec = TICK_MS * (long)NS_PER_MS};
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL};
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &e) < 0 ||
        timerfd_settime(fd, 0, &every, NULL) < 0)
        die("timer");
    return fd;
}

/* Run clients until the mode's end; false if that did not come in time. */
static bool run(unsigned count, uint64_t limit_s)
{
    struct epoll_event events[EVENTS];
    client *clients = must(calloc(count, sizeof *clients));
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0)
        die("epoll");
    for (unsigned i = 0; i < count; i++)
        client_open(&clients[i], i, epoll_fd);
    int timer_fd = start_timer(epoll_fd);
    uint64_t started_ns = now_ns(), due_ns = started_ns + TICK_MS * NS_PER_MS;
    uint64_t give_up_ns = started_ns + limit_s * NS_PER_S;
    bool finished;
    while (!(finished = is_finished(clients, count)) && now_ns() < give_up_ns) {
        int n = epoll_wait(epoll_fd, events, EVENTS, 100);
        for (int i = 0; i < n; i++) {
            client *c = events[i].data.ptr;
            if (c == NULL)
                ticked(clients, count, timer_fd, &due_ns);
            else
                client_ready(c, events[i].events);
        }
    }
    for (unsigned i = 0; i < count; i++)
        client_say_goodbye(&clients[i]);
    usleep(GOODBYE_MS * 1000); /* a socket closed with unread bytes would take the request along */
    for (unsigned i = 0; i < count; i++)
        client_free(&clients[i]);
    close(epoll_fd);
    close(timer_fd);
    free(clients);
    return finished;
}

/* One phase of preparation: every key from 0 on is created. */
static void prepare(mode phase, unsigned keys, unsigned count, unsigned depth)
{
    settings wanted = options;
    options.mode = phase;
    options.keys = keys;
    options.depth = depth;
    shared.next_key = shared.keys_done = 0;
    if (!run(count, FILL_TIMEOUT_S)) {
        fprintf(stderr, "only %u of %u keys were created in %d s\n", shared.keys_done, keys,
                FILL_TIMEOUT_S);
        exit(75);
    }
    options = wanted;
}

/* Create the root, the directories and every key; what exists stays. */
static void fill(void)
{
    unsigned per = options.per_directory;
    unsigned depth = FILL_BYTES_IN_FLIGHT / options.bytes;
    depth = depth < 1 ? 1 : depth > FILL_DEPTH_MAX ? FILL_DEPTH_MAX : depth;
    shared.tally.measure_ns = shared.tally.end_ns = UINT64_MAX;
    prepare(MODE_ROOT, 1, 1, 1);
    if (per)
        prepare(MODE_DIRS, (options.keys + per - 1) / per, 1, depth);
    if (options.mode != MODE_CREATE || options.only_fill)
        prepare(MODE_FILL, options.keys, FILL_CLIENTS, depth);
    memset(&shared.tally, 0, sizeof shared.tally);
}

int main(int argc, char **argv)
{
    parse(argc, argv);
    raise_descriptor_limit();
    char *value = must(malloc(options.bytes));
    memset(value, 'x', options.bytes);
    shared.value = value;
    uint64_t started_ns = now_ns();
    if (options.fill)
        fill();
    if (options.only_fill) {
        printf("{\"keys\":%u,\"creates_s\":%.0f}\n", options.keys,
               options.keys / ((double)(now_ns() - started_ns) / 1e9));
        return 0;
    }
    signal(SIGTERM, on_signal);
    shared.tally.measure_ns = now_ns() + options.warmup * NS_PER_S;
    shared.tally.end_ns = shared.tally.measure_ns + options.seconds * NS_PER_S;
    bool finished = run(options.conns, options.warmup + options.seconds + DRAIN_S);
    report(&shared.tally, finished);
    return finished ? 0 : 75;
}
