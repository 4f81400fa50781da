/* A disk that is slow, fails, is full, or forgets what was not synced. Preloaded:
 *
 *   JEPSEN_LITE_DISK_ROOT     what happens to files below this directory is up to us
 *   JEPSEN_LITE_DISK_CONTROL  a file of one `struct control`, mapped; written by the harness
 *   JEPSEN_LITE_DISK_UNDO     a directory for what must be put back after a power loss
 *   JEPSEN_LITE_BOOT_ID       a file that is read in place of the kernel's boot id
 *
 * Undo: before a page of a file named data.mdb is overwritten for the first time since the last
 * sync of that file, what stood there is appended to UNDO/<inode>: u64 offset, u32 bytes, bytes.
 * A sync empties that file; a write through a descriptor that is O_DSYNC is durable by itself.
 * So after kill -9 any subset of these pages may be put back: that is what a power loss does.
 * Other files (snapshots, marks) count as durable once written.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { PATH_BYTES = 4096, PAGE = 4096, FILES_MAX = 8, PAGES_MAX = 1 << 20, FD_MIN = 600 };

/* All fields are read anew at each call. */
struct control {
    int32_t sync_delay_ms; /* each sync takes this much longer, until it is 0 again */
    int32_t sync_error;    /* errno of each sync; 0: none */
    int32_t write_error;   /* errno of each write */
    int32_t is_full;       /* the file system says that nothing is free */
    uint64_t delayed, failed, refused;
};

static struct control nothing, *control = &nothing;
static char root[PATH_BYTES], undo[PATH_BYTES];
static size_t root_bytes;
static const char *boot_id;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static struct tracked {
    ino_t inode; /* 0: free */
    int fd;      /* of its undo file */
    uint8_t *kept; /* a bit for each page */
} files[FILES_MAX];

__attribute__((constructor)) static void begin(void) {
    const char *wanted = getenv("JEPSEN_LITE_DISK_ROOT");
    const char *shared = getenv("JEPSEN_LITE_DISK_CONTROL");
    const char *place = getenv("JEPSEN_LITE_DISK_UNDO");
    boot_id = getenv("JEPSEN_LITE_BOOT_ID");
    if (!wanted || !shared || strlen(wanted) >= PATH_BYTES)
        return;
    int fd = syscall(SYS_openat, AT_FDCWD, shared, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return;
    void *at = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    syscall(SYS_close, fd);
    if (at == MAP_FAILED)
        return;
    control = at;
    strcpy(root, wanted);
    root_bytes = strlen(root);
    if (place && strlen(place) < PATH_BYTES)
        strcpy(undo, place);
}

/* Whether `fd` is a regular file below the root, and whether it is one whose pages are kept. */
static int is_ours(int fd, struct stat *found, int *is_data) {
    char link[64], path[PATH_BYTES];
    if (!root_bytes || fstat(fd, found) != 0 || !S_ISREG(found->st_mode))
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t bytes = readlink(link, path, sizeof path - 1);
    if (bytes <= (ssize_t)root_bytes)
        return 0;
    path[bytes] = 0;
    if (strncmp(path, root, root_bytes) != 0 || path[root_bytes] != '/')
        return 0;
    const char *name = strrchr(path, '/') + 1;
    *is_data = undo[0] && strcmp(name, "data.mdb") == 0;
    return 1;
}

/* Call with the lock held. NULL: there are too many files, or no room to remember. */
static struct tracked *tracked(ino_t inode, int make) {
    struct tracked *room = NULL;
    for (int i = 0; i < FILES_MAX; i++) {
        if (files[i].inode == inode)
            return &files[i];
        if (!files[i].inode && !room)
            room = &files[i];
    }
    if (!make || !room)
        return NULL;
    char path[PATH_BYTES + 32];
    snprintf(path, sizeof path, "%s/%llu", undo, (unsigned long long)inode);
    int fd = syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0 || !(room->kept = calloc(PAGES_MAX / 8, 1)))
        abort();
    room->fd = fcntl(fd, F_DUPFD_CLOEXEC, FD_MIN);
    syscall(SYS_close, fd);
    room->inode = inode;
    return room;
}

static void keep(int fd, ino_t inode, off_t offset, size_t bytes) {
    if (fcntl(fd, F_GETFL) & O_DSYNC)
        return;
    pthread_mutex_lock(&lock);
    struct tracked *file = tracked(inode, 1);
    off_t first = offset / PAGE, last = (offset + (off_t)bytes - 1) / PAGE;
    for (off_t page = first; file && bytes && page <= last && page < PAGES_MAX; page++) {
        if (file->kept[page / 8] & (1 << page % 8))
            continue;
        struct { uint64_t offset; uint32_t bytes; uint8_t data[PAGE]; } __attribute__((packed)) old;
        ssize_t got = syscall(SYS_pread64, fd, old.data, PAGE, page * PAGE);
        if (got < 0) { /* opened for writing only */
            char path[64];
            snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
            int other = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
            got = other < 0 ? 0 : syscall(SYS_pread64, other, old.data, PAGE, page * PAGE);
            if (other >= 0)
                syscall(SYS_close, other);
        }
        old.offset = page * PAGE;
        old.bytes = got > 0 ? got : 0;
        size_t size = sizeof old - PAGE + old.bytes;
        if (syscall(SYS_write, file->fd, &old, size) != (long)size)
            abort();
        file->kept[page / 8] |= 1 << page % 8;
    }
    pthread_mutex_unlock(&lock);
}

static void forget(ino_t inode) {
    pthread_mutex_lock(&lock);
    struct tracked *file = tracked(inode, 0);
    if (file) {
        memset(file->kept, 0, PAGES_MAX / 8);
        syscall(SYS_ftruncate, file->fd, 0);
    }
    pthread_mutex_unlock(&lock);
}

/* Wait as a slow disk does; a stall ends as soon as the harness says so. */
static void wait_for_disk(void) {
    int waited = 0;
    if (control->sync_delay_ms > 0)
        __atomic_add_fetch(&control->delayed, 1, __ATOMIC_RELAXED);
    while (waited++ < control->sync_delay_ms)
        usleep(1000);
}

static int sync_fails(void) {
    if (!control->sync_error)
        return 0;
    __atomic_add_fetch(&control->failed, 1, __ATOMIC_RELAXED);
    errno = control->sync_error;
    return 1;
}

static int sync_file(int fd, long call) {
    struct stat found;
    int is_data = 0;
    if (!is_ours(fd, &found, &is_data))
        return syscall(call, fd);
    wait_for_disk();
    if (sync_fails())
        return -1;
    int result = syscall(call, fd);
    if (result == 0 && is_data)
        forget(found.st_ino);
    return result;
}

int fsync(int fd) { return sync_file(fd, SYS_fsync); }

int fdatasync(int fd) { return sync_file(fd, SYS_fdatasync); }

/* 0: the write may be made. */
static int before_write(int fd, off_t offset, size_t bytes) {
    struct stat found;
    int is_data = 0;
    if (!is_ours(fd, &found, &is_data))
        return 0;
    if (control->write_error) {
        __atomic_add_fetch(&control->failed, 1, __ATOMIC_RELAXED);
        errno = control->write_error;
        return -1;
    }
    if (fcntl(fd, F_GETFL) & O_DSYNC) {
        wait_for_disk();
        if (sync_fails())
            return -1;
    }
    if (is_data)
        keep(fd, found.st_ino, offset < 0 ? lseek(fd, 0, SEEK_CUR) : offset, bytes);
    return 0;
}

static size_t total(const struct iovec *parts, int count) {
    size_t bytes = 0;
    for (int i = 0; i < count; i++)
        bytes += parts[i].iov_len;
    return bytes;
}

ssize_t write(int fd, const void *data, size_t bytes) {
    return before_write(fd, -1, bytes) ? -1 : syscall(SYS_write, fd, data, bytes);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    return before_write(fd, -1, total(parts, count)) ? -1 : syscall(SYS_writev, fd, parts, count);
}

ssize_t pwrite64(int fd, const void *data, size_t bytes, off_t offset) {
    return before_write(fd, offset, bytes) ? -1 : syscall(SYS_pwrite64, fd, data, bytes, offset);
}

ssize_t pwrite(int fd, const void *data, size_t bytes, off_t offset) {
    return pwrite64(fd, data, bytes, offset);
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off_t offset) {
    if (before_write(fd, offset, total(parts, count)))
        return -1;
    return syscall(SYS_pwritev, fd, parts, count, offset, 0);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
    return pwritev64(fd, parts, count, offset);
}

ssize_t pwritev64v2(int fd, const struct iovec *parts, int count, off_t offset, int flags) {
    if (before_write(fd, offset, total(parts, count)))
        return -1;
    return syscall(SYS_pwritev2, fd, parts, count, offset, 0, flags);
}

ssize_t pwritev2(int fd, const struct iovec *parts, int count, off_t offset, int flags) {
    return pwritev64v2(fd, parts, count, offset, flags);
}

/* --- what the file system says is free --------------------------------------------------------- */

static int told(int result, struct statvfs *found) {
    if (result == 0 && control->is_full) {
        __atomic_add_fetch(&control->refused, 1, __ATOMIC_RELAXED);
        found->f_bavail = found->f_bfree = 0;
    }
    return result;
}

int statvfs(const char *path, struct statvfs *found) {
    int fd = syscall(SYS_openat, AT_FDCWD, path, O_PATH | O_CLOEXEC);
    if (fd < 0)
        return -1;
    int result = fstatvfs64(fd, (struct statvfs64 *)found);
    syscall(SYS_close, fd);
    return told(result, found);
}

int statvfs64(const char *path, struct statvfs64 *found) {
    return statvfs(path, (struct statvfs *)found);
}

/* --- the boot id ------------------------------------------------------------------------------- */

static int open_at(int directory, const char *path, int flags, mode_t mode) {
    if (boot_id && path && strcmp(path, "/proc/sys/kernel/random/boot_id") == 0)
        path = boot_id;
    return syscall(SYS_openat, directory, path, flags, mode);
}

#define MODE(flags) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | __O_TMPFILE)) { \
        va_list rest; \
        va_start(rest, flags); \
        mode = va_arg(rest, mode_t); \
        va_end(rest); \
    }

int open(const char *path, int flags, ...) {
    MODE(flags)
    return open_at(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    MODE(flags)
    return open_at(AT_FDCWD, path, flags | O_LARGEFILE, mode);
}

int openat(int directory, const char *path, int flags, ...) {
    MODE(flags)
    return open_at(directory, path, flags, mode);
}

int openat64(int directory, const char *path, int flags, ...) {
    MODE(flags)
    return open_at(directory, path, flags | O_LARGEFILE, mode);
}
