/* A disk that fails on demand. Preloaded:
 *
 *   COORD_FAULT_CONTROL   a file with "MODE PART [MILLISECONDS]", or nothing: no fault. It is read
 *                         at each call, so that a fault begins and ends while the process runs.
 *
 * PART is text that the path of a file must contain to be struck: "/log/", "/tree-".
 *
 *   eio-sync      syncs, and writes that are synchronous by themselves, fail with EIO
 *   eio-write     writes fail with EIO
 *   enospc        writes fail with ENOSPC
 *   short         writes take half of what they are given, then fail with ENOSPC
 *   slow          syncs and synchronous writes take MILLISECONDS longer
 *   stuck         they do not return while this is what the file says
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind { SYNC = 1, WRITE = 2 };

struct order {
    char mode[32], part[64];
    int milliseconds;
};

static int is_ordered(struct order *order) {
    const char *control = getenv("COORD_FAULT_CONTROL");
    char text[256];
    int saved = errno, fd;
    ssize_t count = 0;
    if (!control)
        return 0;
    fd = syscall(SYS_openat, AT_FDCWD, control, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        count = syscall(SYS_read, fd, text, sizeof text - 1);
        syscall(SYS_close, fd);
    }
    errno = saved;
    if (count <= 0)
        return 0;
    text[count] = 0;
    order->milliseconds = 0;
    return sscanf(text, "%31s %63s %d", order->mode, order->part, &order->milliseconds) >= 2;
}

static int is_struck(int fd, struct order *order) {
    char name[64], path[PATH_MAX];
    ssize_t length;
    if (!is_ordered(order))
        return 0;
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    length = readlink(name, path, sizeof path - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    return strstr(path, order->part) != NULL;
}

/* 0: go on; 1: fail, errno says how; 2: take half, the rest of the write fails. */
static int fault(int fd, int kind) {
    struct order order;
    int flags;
    if (!is_struck(fd, &order))
        return 0;
    flags = fcntl(fd, F_GETFL);
    if (kind == WRITE && flags >= 0 && (flags & O_DSYNC))
        kind |= SYNC;
    if ((kind & SYNC) && !strcmp(order.mode, "slow"))
        usleep(1000 * order.milliseconds);
    while ((kind & SYNC) && !strcmp(order.mode, "stuck")) {
        usleep(20000);
        if (!is_struck(fd, &order))
            return 0;
    }
    if (((kind & SYNC) && !strcmp(order.mode, "eio-sync")) ||
        ((kind & WRITE) && !strcmp(order.mode, "eio-write"))) {
        errno = EIO;
        return 1;
    }
    if ((kind & WRITE) && (!strcmp(order.mode, "enospc") || !strcmp(order.mode, "short"))) {
        errno = ENOSPC;
        return strcmp(order.mode, "short") ? 1 : 2;
    }
    return 0;
}

#define REAL(name) ((__typeof__(&name))real(#name))

static void *real(const char *name) {
    return dlsym(RTLD_NEXT, name);
}

int fsync(int fd) {
    return fault(fd, SYNC) ? -1 : REAL(fsync)(fd);
}

int fdatasync(int fd) {
    return fault(fd, SYNC) ? -1 : REAL(fdatasync)(fd);
}

/* Half of a write, in whole sectors: what a disk that fills up takes. */
static size_t half(size_t size) {
    return size / 2 / 512 * 512;
}

ssize_t write(int fd, const void *data, size_t size) {
    int how = fault(fd, WRITE);
    if (how == 1 || (how == 2 && !half(size)))
        return -1;
    return REAL(write)(fd, data, how ? half(size) : size);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
    int how = fault(fd, WRITE);
    if (how == 1 || (how == 2 && !half(size)))
        return -1;
    return REAL(pwrite)(fd, data, how ? half(size) : size, at);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    int how = fault(fd, WRITE);
    if (how == 1 || (how == 2 && !half(size)))
        return -1;
    return REAL(pwrite64)(fd, data, how ? half(size) : size, at);
}

ssize_t writev(int fd, const struct iovec *pieces, int count) {
    int how = fault(fd, WRITE);
    if (how == 1 || (how == 2 && count < 2))
        return -1;
    return REAL(writev)(fd, pieces, how ? count / 2 : count);
}

ssize_t pwritev(int fd, const struct iovec *pieces, int count, off_t at) {
    int how = fault(fd, WRITE);
    if (how == 1 || (how == 2 && count < 2))
        return -1;
    return REAL(pwritev)(fd, pieces, how ? count / 2 : count, at);
}
