/* The command line of coordload.
 *
 *   coordload -s host:port[,host:port…] [-o set|get|create|mixed] [-c conns] [-d depth]
 *             [-t seconds] [-w warm-up seconds] [-k keys] [-v value bytes]
 *             [-l linearizable|session|stale] [-r percent of reads in mixed] [-p root path]
 *             [-n] (do not create the keys first)
 */
#ifndef COORD_BENCH_OPTIONS_H
#define COORD_BENCH_OPTIONS_H

#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    HOSTS_MAX = 16,
    PATH_BYTES = 200,
    WRITES_IN_FLIGHT_MAX = 256,
};

/* The first four are what -o names; the others prepare. */
typedef enum { MODE_SET, MODE_GET, MODE_CREATE, MODE_MIXED, MODE_ROOT, MODE_FILL } mode;

static struct {
    mode mode;
    unsigned conns, depth, seconds, warmup, keys, bytes, level, read_percent, hosts;
    bool fill;
    const char *mode_name, *level_name, *root;
    struct sockaddr_storage address[HOSTS_MAX];
    socklen_t address_bytes[HOSTS_MAX];
} options = {
    .mode = MODE_SET, .conns = 64, .depth = 1, .seconds = 8, .warmup = 2, .keys = 10000,
    .bytes = 100, .level = 1, .read_percent = 90, .fill = true, .mode_name = "set",
    .level_name = "session", .root = "/bench",
};

static void add_host(char *text)
{
    char *colon = strrchr(text, ':');
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    if (colon == NULL || options.hosts == HOSTS_MAX) {
        fprintf(stderr, "expected host:port, at most %d of them: %s\n", HOSTS_MAX, text);
        exit(64);
    }
    *colon = 0;
    int failed = getaddrinfo(text, colon + 1, &hints, &found);
    if (failed) {
        fprintf(stderr, "%s: %s\n", text, gai_strerror(failed));
        exit(68);
    }
    memcpy(&options.address[options.hosts], found->ai_addr, found->ai_addrlen);
    options.address_bytes[options.hosts++] = found->ai_addrlen;
    freeaddrinfo(found);
}

static int place_of(const char *name, const char *const *names, const char *what)
{
    for (int i = 0; names[i] != NULL; i++)
        if (strcmp(name, names[i]) == 0)
            return i;
    fprintf(stderr, "unknown %s: %s\n", what, name);
    exit(64);
}

static unsigned positive(const char *text)
{
    char *end;
    unsigned long number = strtoul(text, &end, 10);
    if (*end != 0 || number == 0 || number > 100000000) {
        fprintf(stderr, "expected a positive number: %s\n", text);
        exit(64);
    }
    return (unsigned)number;
}

static void parse(int argc, char **argv)
{
    static const char *const modes[] = {"set", "get", "create", "mixed", NULL};
    static const char *const levels[] = {"linearizable", "session", "stale", NULL};
    int letter;
    while ((letter = getopt(argc, argv, "s:o:c:d:t:w:k:v:l:r:p:n")) != -1) {
        switch (letter) {
        case 's':
            for (char *host = strtok(optarg, ","); host; host = strtok(NULL, ","))
                add_host(host);
            break;
        case 'o':
            options.mode = (mode)place_of(optarg, modes, "operation");
            options.mode_name = optarg;
            break;
        case 'l':
            options.level = (unsigned)place_of(optarg, levels, "level");
            options.level_name = optarg;
            break;
        case 'c': options.conns = positive(optarg); break;
        case 'd': options.depth = positive(optarg); break;
        case 't': options.seconds = positive(optarg); break;
        case 'w': options.warmup = (unsigned)atoi(optarg); break;
        case 'k': options.keys = positive(optarg); break;
        case 'v': options.bytes = positive(optarg); break;
        case 'r': options.read_percent = positive(optarg); break;
        case 'p': options.root = optarg; break;
        case 'n': options.fill = false; break;
        default: exit(64);
        }
    }
    if (options.hosts == 0 || strlen(options.root) > PATH_BYTES / 2 || options.root[0] != '/') {
        fprintf(stderr, "usage: coordload -s host:port[,host:port] [options as in the source]\n");
        exit(64);
    }
    if (options.depth > WRITES_IN_FLIGHT_MAX) {
        fprintf(stderr, "a session has at most %d writes in flight\n", WRITES_IN_FLIGHT_MAX);
        exit(64);
    }
}

#endif
