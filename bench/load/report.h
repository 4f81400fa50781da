/* What coordload has counted, and the line of JSON that says so. */
#ifndef COORD_LOAD_REPORT_H
#define COORD_LOAD_REPORT_H

#include "histogram.h"
#include "wire.h"

enum { CODES = 1024 };

typedef struct {
    histogram latency;
    uint64_t reads, writes, reconnects, sessions_lost;
    uint64_t errors[CODES];
    uint64_t measure_ns, end_ns; /* counted is what was answered from the one to before the other */
    uint64_t last_write_ns, write_gap_ns, connection_gap_ns, canary_ns;
} tally;

void count_error(tally *, int64_t code);

/* A gap that began at `since` ends now. */
void note_gap(const tally *, uint64_t *longest, uint64_t since, uint64_t now);

void report(tally *, bool finished);

#endif
