/* canary: whether the machine itself stands still.
 *
 *   canary [-p period ms] [-t threshold ms]
 *
 * One thread per processor, bound to it, in real-time class where the system allows that, sleeps
 * for one period after another. What runs on the machine cannot delay such a thread; a late
 * awakening means that the processor did nothing at all meanwhile. Runs until standard input ends,
 * then prints one line of JSON: the longest delay and each one above the threshold.
 */
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include "buffer.h"

enum { PROCESSORS_MAX = 256, STALLS_MAX = 100 };

typedef struct {
    int processor;
    bool realtime;
    uint64_t longest_ns;
    unsigned stalls;
    uint64_t at_ns[STALLS_MAX], late_ns[STALLS_MAX];
} bird;

static uint64_t period_ns = 2 * NS_PER_MS, threshold_ns = 50 * NS_PER_MS, started_ns;
static volatile bool ending;

static void settle(bird *b)
{
    cpu_set_t only;
    CPU_ZERO(&only);
    CPU_SET(b->processor, &only);
    pthread_setaffinity_np(pthread_self(), sizeof only, &only);
    struct sched_param highest = {.sched_priority = sched_get_priority_max(SCHED_FIFO)};
    b->realtime = pthread_setschedparam(pthread_self(), SCHED_FIFO, &highest) == 0;
}

static void *sing(void *argument)
{
    bird *b = argument;
    settle(b);
    for (uint64_t due = now_ns() + period_ns; !ending; due = now_ns() + period_ns) {
        struct timespec until = {.tv_sec = (time_t)(due / NS_PER_S),
                                 .tv_nsec = (long)(due % NS_PER_S)};
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) != 0)
            continue;
        uint64_t late = now_ns() - due;
        if (late > b->longest_ns)
            b->longest_ns = late;
        if (late > threshold_ns && b->stalls < STALLS_MAX) {
            b->at_ns[b->stalls] = due - started_ns;
            b->late_ns[b->stalls++] = late;
        }
    }
    return NULL;
}

static void report(const bird *birds, int count)
{
    uint64_t longest = 0;
    bool realtime = true;
    const char *comma = "";
    for (int i = 0; i < count; i++) {
        realtime = realtime && birds[i].realtime;
        if (birds[i].longest_ns > longest)
            longest = birds[i].longest_ns;
    }
    printf("{\"longest_ms\":%.1f,\"realtime\":%s,\"stalls\":[", (double)longest / 1e6,
           realtime ? "true" : "false");
    for (int i = 0; i < count; i++) {
        for (unsigned k = 0; k < birds[i].stalls; k++, comma = ",")
            printf("%s{\"processor\":%d,\"at_s\":%.2f,\"late_ms\":%.1f}", comma,
                   birds[i].processor, (double)birds[i].at_ns[k] / 1e9,
                   (double)birds[i].late_ns[k] / 1e6);
    }
    printf("]}\n");
}

int main(int argc, char **argv)
{
    static bird birds[PROCESSORS_MAX];
    pthread_t threads[PROCESSORS_MAX];
    cpu_set_t usable;
    int letter, count = 0;
    while ((letter = getopt(argc, argv, "p:t:")) != -1) {
        if (letter == '?')
            return 64;
        *(letter == 'p' ? &period_ns : &threshold_ns) = strtoul(optarg, NULL, 10) * NS_PER_MS;
    }
    if (sched_getaffinity(0, sizeof usable, &usable) < 0)
        die("sched_getaffinity");
    started_ns = now_ns();
    for (int i = 0; i < PROCESSORS_MAX; i++) {
        if (!CPU_ISSET(i, &usable))
            continue;
        birds[count].processor = i;
        if (pthread_create(&threads[count], NULL, sing, &birds[count]) != 0)
            die("pthread_create");
        count++;
    }
    char ignored[64];
    while (read(STDIN_FILENO, ignored, sizeof ignored) > 0)
        continue;
    ending = true;
    for (int i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    report(birds, count);
    return 0;
}
