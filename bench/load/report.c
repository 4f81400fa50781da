#include "report.h"

#include <inttypes.h>
#include <sys/resource.h>

#include "options.h"

void count_error(tally *t, int64_t code)
{
    t->errors[(uint64_t)(code < 0 ? -code : code) % CODES]++;
}

void note_gap(const tally *t, uint64_t *longest, uint64_t since, uint64_t now)
{
    if (since < t->measure_ns)
        since = t->measure_ns;
    if (now > since && now - since > *longest)
        *longest = now - since;
}

static double cpu_s(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static void report_latency(const histogram *h)
{
    static const struct { const char *name; double q; } quantiles[] = {
        {"p50_us", .5}, {"p90_us", .9}, {"p99_us", .99}, {"p999_us", .999}};
    for (unsigned i = 0; i < sizeof quantiles / sizeof *quantiles; i++)
        printf("\"%s\":%.0f,", quantiles[i].name,
               (double)histogram_quantile(h, quantiles[i].q) / 1e3);
    printf("\"max_us\":%.0f,", (double)h->max / 1e3);
}

static void report_errors(const tally *t)
{
    const char *comma = "";
    printf("\"errors\":{");
    for (int code = 0; code < CODES; code++) {
        if (t->errors[code]) {
            printf("%s\"-%d\":%" PRIu64, comma, code, t->errors[code]);
            comma = ",";
        }
    }
    printf("}");
}

void report(tally *t, bool finished)
{
    double seconds = (double)(t->end_ns - t->measure_ns) / 1e9;
    if (t->writes)
        note_gap(t, &t->write_gap_ns, t->last_write_ns, t->end_ns);
    printf("{\"wire\":\"%s\",\"op\":\"%s\",\"level\":\"%s\",\"conns\":%u,\"depth\":%u,"
           "\"keys\":%u,\"bytes\":%u,\"seconds\":%.2f,\"finished\":%s,",
           options.wire->name, options.mode_name, options.level_name, options.conns,
           options.depth, options.keys, options.bytes, seconds, finished ? "true" : "false");
    printf("\"ops_s\":%.0f,\"reads_s\":%.0f,\"writes_s\":%.0f,",
           (double)t->latency.count / seconds, (double)t->reads / seconds,
           (double)t->writes / seconds);
    report_latency(&t->latency);
    printf("\"write_gap_max_ms\":%.1f,\"connection_gap_max_ms\":%.1f,\"canary_max_ms\":%.1f,"
           "\"reconnects\":%" PRIu64 ",\"sessions_lost\":%" PRIu64 ",\"generator_cpu_s\":%.2f,",
           (double)t->write_gap_ns / 1e6, (double)t->connection_gap_ns / 1e6,
           (double)t->canary_ns / 1e6, t->reconnects, t->sessions_lost, cpu_s());
    report_errors(t);
    printf("}\n");
}
