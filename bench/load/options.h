/* The command line of coordload.
 *
 *   coordload -s host:port[,host:port…] [-P native|zookeeper] [-o set|get|create|mixed]
 *             [-c conns] [-d depth] [-t seconds] [-w warm-up seconds]
 *             [-k keys] [-f keys per directory, 0: all in one] [-v value bytes] [-p root path]
 *             [-r percent of reads in mixed] [-l linearizable|session|stale] (native reads)
 *             [-n] (do not create the keys first) [-F] (create them, measure nothing)
 *             [-i ms] (say the number of finished operations on standard error, every so often)
 */
#ifndef COORD_LOAD_OPTIONS_H
#define COORD_LOAD_OPTIONS_H

#include "net.h"
#include "wire.h"

enum { PATH_BYTES = 200 };

/* The first four are what -o names; the others prepare. */
typedef enum { MODE_SET, MODE_GET, MODE_CREATE, MODE_MIXED, MODE_ROOT, MODE_DIRS, MODE_FILL } mode;

typedef struct {
    const wire *wire;
    mode mode;
    unsigned conns, depth, seconds, warmup, keys, per_directory, bytes, level, read_percent, hosts;
    unsigned progress_ms;
    bool fill, only_fill;
    const char *mode_name, *level_name, *root;
    host host[HOSTS_MAX];
} settings;

extern settings options;

/* Read the command line; ends the process on a bad one. */
void parse(int argc, char **argv);

#endif
