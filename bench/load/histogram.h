/* Latencies in nanoseconds, log-linear: 64 steps for each power of two, so errors below 1.6 %. */
#ifndef COORD_BENCH_HISTOGRAM_H
#define COORD_BENCH_HISTOGRAM_H

#include <stdint.h>

enum { STEPS = 64, STEP_BITS = 6, POWERS = 64 - STEP_BITS };

typedef struct {
    uint64_t count;
    uint64_t max;
    uint64_t buckets[(POWERS + 1) * STEPS];
} histogram;

static inline void histogram_add(histogram *h, uint64_t value)
{
    unsigned place = (unsigned)value;
    if (value >= STEPS) {
        unsigned power = 63u - (unsigned)__builtin_clzll(value);
        unsigned shift = power - STEP_BITS;
        place = (shift + 1) * STEPS + (unsigned)((value >> shift) & (STEPS - 1));
    }
    h->buckets[place]++;
    h->count++;
    if (value > h->max)
        h->max = value;
}

/* Smallest value that at least the fraction q of all values do not exceed (a bucket's floor). */
static inline uint64_t histogram_quantile(const histogram *h, double q)
{
    uint64_t wanted = (uint64_t)(q * (double)h->count), seen = 0;
    for (unsigned place = 0; place < (POWERS + 1) * STEPS; place++) {
        seen += h->buckets[place];
        if (seen > wanted) {
            if (place < STEPS)
                return place;
            unsigned shift = place / STEPS - 1;
            return (uint64_t)(STEPS + place % STEPS) << shift;
        }
    }
    return h->max;
}

#endif
