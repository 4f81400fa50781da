#include "options.h"

#include <unistd.h>

enum { WRITES_IN_FLIGHT_MAX = 256 };

settings options = {
    .wire = &native_wire, .mode = MODE_SET, .conns = 64, .depth = 1, .seconds = 8, .warmup = 2,
    .keys = 10000, .bytes = 100, .level = 1, .read_percent = 90, .fill = true, .mode_name = "set",
    .level_name = "session", .root = "/bench",
};

static int place_of(const char *name, const char *const *names, const char *what)
{
    for (int i = 0; names[i] != NULL; i++)
        if (strcmp(name, names[i]) == 0)
            return i;
    fprintf(stderr, "unknown %s: %s\n", what, name);
    exit(64);
}

static unsigned number(const char *text, unsigned least)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    if (*end != 0 || *text == 0 || value < least || value > 100000000) {
        fprintf(stderr, "expected a number from %u on: %s\n", least, text);
        exit(64);
    }
    return (unsigned)value;
}

static void take(int letter, char *text)
{
    static const char *const wires[] = {"native", "zookeeper", NULL};
    static const char *const modes[] = {"set", "get", "create", "mixed", NULL};
    static const char *const levels[] = {"linearizable", "session", "stale", NULL};
    switch (letter) {
    case 's': options.hosts = resolve(text, options.host); break;
    case 'P':
        options.wire = place_of(text, wires, "wire") ? &zookeeper_wire : &native_wire;
        break;
    case 'o':
        options.mode = (mode)place_of(text, modes, "operation");
        options.mode_name = text;
        break;
    case 'l':
        options.level = (unsigned)place_of(text, levels, "level");
        options.level_name = text;
        break;
    case 'c': options.conns = number(text, 1); break;
    case 'd': options.depth = number(text, 1); break;
    case 't': options.seconds = number(text, 1); break;
    case 'w': options.warmup = number(text, 0); break;
    case 'k': options.keys = number(text, 1); break;
    case 'f': options.per_directory = number(text, 0); break;
    case 'v': options.bytes = number(text, 1); break;
    case 'r': options.read_percent = number(text, 0); break;
    case 'i': options.progress_ms = number(text, 1); break;
    case 'p': options.root = text; break;
    case 'n': options.fill = false; break;
    case 'F': options.only_fill = true; break;
    default: exit(64);
    }
}

void parse(int argc, char **argv)
{
    int letter;
    while ((letter = getopt(argc, argv, "s:P:o:l:c:d:t:w:k:f:v:r:i:p:nF")) != -1)
        take(letter, optarg);
    if (options.hosts == 0 || strlen(options.root) > PATH_BYTES / 2 || options.root[0] != '/') {
        fprintf(stderr, "usage: coordload -s host:port[,host:port] [options as in options.h]\n");
        exit(64);
    }
    if (options.depth > WRITES_IN_FLIGHT_MAX) {
        fprintf(stderr, "a session has at most %d writes in flight\n", WRITES_IN_FLIGHT_MAX);
        exit(64);
    }
}
