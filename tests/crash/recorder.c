/* Records what a process does to the files below one directory. Preloaded:
 *
 *   COORD_CRASH_ROOT   the directory; everything else passes unseen
 *   COORD_CRASH_TRACE  the file that one record is appended to per call
 *   COORD_CRASH_VAULT  a directory where each new file gets a second name, so that its inode
 *                      number is never given to another file
 *
 * A record, little-endian, without padding:
 *
 *   u32 bytes of the whole record   u8 what   u8 flags   u16 bytes of the path
 *   u64 inode   u64 offset   u32 thread   path, relative to the root   data
 *
 * Calls that change something are made and recorded under one lock: the order of the records is
 * the order of the changes. A sync is recorded twice, before and after: what it makes durable is
 * what was recorded before it began, from the moment at which it has returned.
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
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum what {
    CREATED = 'C', DIRECTORY_MADE = 'D', WRITTEN = 'W', TRUNCATED = 'T', SYNC_BEGUN = 'B',
    SYNC_ENDED = 'E', RENAMED = 'R', UNLINKED = 'U', DIRECTORY_REMOVED = 'X', MAPPED = 'M'
};

enum { DURABLE = 1 }; /* the write itself was synchronous */

struct head {
    uint32_t bytes;
    uint8_t what, flags;
    uint16_t path_bytes;
    uint64_t inode, offset;
    uint32_t thread;
} __attribute__((packed));

enum { PATH_BYTES = 4096, TRACE_FD_MIN = 600, MAPPINGS_MAX = 8, MAPPED_BYTES_MAX = 4096 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char root[PATH_BYTES];
static size_t root_bytes;
static int trace_fd = -1;

__attribute__((constructor)) static void begin(void) {
    const char *wanted = getenv("COORD_CRASH_ROOT"), *trace = getenv("COORD_CRASH_TRACE");
    if (!wanted || !trace || !realpath(wanted, root))
        return;
    int fd = syscall(SYS_openat, AT_FDCWD, trace, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0)
        return;
    trace_fd = fcntl(fd, F_DUPFD_CLOEXEC, TRACE_FD_MIN);
    syscall(SYS_close, fd);
    root_bytes = strlen(root);
}

static void fail(const char *why) {
    dprintf(2, "recorder: %s: %s\n", why, strerror(errno));
    abort();
}

/* The part of `path` below the root; NULL if it is not there. */
static const char *below_root(const char *path) {
    if (trace_fd < 0 || strncmp(path, root, root_bytes) != 0)
        return NULL;
    if (path[root_bytes] == '/')
        return path + root_bytes + 1;
    return path[root_bytes] ? NULL : path + root_bytes;
}

static void put(enum what what, int flags, uint64_t inode, uint64_t offset, const char *path,
                   const void *data, size_t data_bytes) {
    size_t path_bytes = strlen(path);
    struct head head = {sizeof head + path_bytes + data_bytes, what, flags, path_bytes, inode,
                        offset, syscall(SYS_gettid)};
    struct iovec parts[] = {
        {&head, sizeof head}, {(void *)path, path_bytes}, {(void *)data, data_bytes}};
    if (syscall(SYS_writev, trace_fd, parts, 3) != (long)head.bytes)
        fail("the trace cannot be written");
}

/* Small files are mapped and written by stores that no call tells of: they are compared with what
 * they were at each record. Larger ones are reported, and the replay refuses the trace. */
static struct mapping {
    const char *at; /* NULL: free */
    size_t bytes;
    uint64_t inode;
    char path[256], seen[MAPPED_BYTES_MAX];
} mappings[MAPPINGS_MAX];

static void look_at_mappings(void) {
    for (int i = 0; i < MAPPINGS_MAX; i++) {
        struct mapping *one = &mappings[i];
        if (one->at && memcmp(one->at, one->seen, one->bytes) != 0) {
            memcpy(one->seen, one->at, one->bytes);
            put(WRITTEN, 0, one->inode, 0, one->path, one->seen, one->bytes);
        }
    }
}

/* Call with the lock held. */
static void append(enum what what, int flags, uint64_t inode, uint64_t offset, const char *path,
                   const void *data, size_t data_bytes) {
    look_at_mappings();
    put(what, flags, inode, offset, path, data, data_bytes);
}

/* Where `fd` points, if that is a regular file or a directory below the root. */
static const char *path_of(int fd, char *buffer, struct stat *found) {
    char link[64];
    if (trace_fd < 0)
        return NULL;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t bytes = readlink(link, buffer, PATH_BYTES - 1);
    if (bytes < 0)
        return NULL;
    buffer[bytes] = 0;
    const char *path = below_root(buffer);
    if (!path || fstat(fd, found) < 0)
        return NULL;
    return S_ISREG(found->st_mode) || S_ISDIR(found->st_mode) ? path : NULL;
}

/* The absolute path of a name relative to a directory's descriptor, below the root. */
static const char *path_at(int directory, const char *name, char *buffer) {
    char base[PATH_BYTES], link[64];
    if (trace_fd < 0)
        return NULL;
    if (name[0] == '/') {
        snprintf(buffer, PATH_BYTES, "%s", name);
        return below_root(buffer);
    }
    if (directory == AT_FDCWD)
        snprintf(link, sizeof link, "/proc/self/cwd");
    else
        snprintf(link, sizeof link, "/proc/self/fd/%d", directory);
    ssize_t bytes = readlink(link, base, sizeof base - 1);
    if (bytes < 0 || (size_t)bytes + strlen(name) + 2 > PATH_BYTES)
        return NULL;
    base[bytes] = 0;
    memcpy(buffer, base, bytes);
    buffer[bytes] = '/';
    strcpy(buffer + bytes + 1, name);
    return below_root(buffer);
}

/* --- writing ---------------------------------------------------------------------------------- */

static void written(int fd, const char *path, const struct stat *file, off_t offset,
                    const void *data, size_t bytes) {
    int flags = fcntl(fd, F_GETFL);
    append(WRITTEN, flags & (O_DSYNC | O_SYNC) ? DURABLE : 0, file->st_ino, offset, path, data,
           bytes);
}

/* `offset` < 0: where the descriptor stands. */
static ssize_t write_parts(int fd, const struct iovec *parts, int count, off_t offset) {
    char buffer[PATH_BYTES];
    struct stat file;
    const char *path = path_of(fd, buffer, &file);
    if (!path)
        return offset < 0 ? syscall(SYS_writev, fd, parts, count)
                          : syscall(SYS_pwritev, fd, parts, count, offset, 0);
    pthread_mutex_lock(&lock);
    ssize_t done = offset < 0 ? syscall(SYS_writev, fd, parts, count)
                              : syscall(SYS_pwritev, fd, parts, count, offset, 0);
    int error = errno;
    if (done > 0) {
        char *data = malloc(done);
        size_t at = 0;
        if (!data)
            fail("no memory");
        for (int i = 0; i < count && at < (size_t)done; i++) {
            size_t left = done - at, bytes = parts[i].iov_len < left ? parts[i].iov_len : left;
            memcpy(data + at, parts[i].iov_base, bytes);
            at += bytes;
        }
        written(fd, path, &file, offset < 0 ? lseek(fd, 0, SEEK_CUR) - done : offset, data, done);
        free(data);
    }
    pthread_mutex_unlock(&lock);
    errno = error;
    return done;
}

ssize_t write(int fd, const void *data, size_t bytes) {
    char buffer[PATH_BYTES];
    struct stat file;
    if (!path_of(fd, buffer, &file))
        return syscall(SYS_write, fd, data, bytes);
    struct iovec one = {(void *)data, bytes};
    return write_parts(fd, &one, 1, -1);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    return write_parts(fd, parts, count, -1);
}

ssize_t pwrite64(int fd, const void *data, size_t bytes, off_t offset) {
    struct iovec one = {(void *)data, bytes};
    return write_parts(fd, &one, 1, offset);
}

ssize_t pwrite(int fd, const void *data, size_t bytes, off_t offset) {
    return pwrite64(fd, data, bytes, offset);
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off_t offset) {
    return write_parts(fd, parts, count, offset);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
    return write_parts(fd, parts, count, offset);
}

int ftruncate64(int fd, off_t length) {
    char buffer[PATH_BYTES];
    struct stat file;
    const char *path = path_of(fd, buffer, &file);
    pthread_mutex_lock(&lock);
    int done = syscall(SYS_ftruncate, fd, length), error = errno;
    if (path && done == 0)
        append(TRUNCATED, 0, file.st_ino, length, path, NULL, 0);
    pthread_mutex_unlock(&lock);
    errno = error;
    return done;
}

int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

/* --- syncing ---------------------------------------------------------------------------------- */

static int sync_file(int fd, long call) {
    char buffer[PATH_BYTES];
    struct stat file;
    const char *path = path_of(fd, buffer, &file);
    if (path) {
        pthread_mutex_lock(&lock);
        append(SYNC_BEGUN, 0, file.st_ino, 0, path, NULL, 0);
        pthread_mutex_unlock(&lock);
    }
    int done = syscall(call, fd), error = errno;
    if (path && done == 0) {
        pthread_mutex_lock(&lock);
        append(SYNC_ENDED, 0, file.st_ino, 0, path, NULL, 0);
        pthread_mutex_unlock(&lock);
    }
    errno = error;
    return done;
}

int fsync(int fd) { return sync_file(fd, SYS_fsync); }

int fdatasync(int fd) { return sync_file(fd, SYS_fdatasync); }

static void note_mapping(const char *path, uint64_t inode, const char *at, size_t bytes,
                         off_t offset) {
    for (int i = 0; i < MAPPINGS_MAX && bytes <= MAPPED_BYTES_MAX && offset == 0; i++) {
        struct mapping *one = &mappings[i];
        if (!one->at) {
            memcpy(one->seen, at, bytes);
            snprintf(one->path, sizeof one->path, "%s", path);
            one->inode = inode;
            one->bytes = bytes;
            one->at = at;
            return;
        }
    }
    append(MAPPED, 0, inode, offset, path, NULL, 0);
}

void *mmap64(void *wish, size_t bytes, int protection, int flags, int fd, off_t offset) {
    char buffer[PATH_BYTES];
    struct stat file;
    void *at = (void *)syscall(SYS_mmap, wish, bytes, protection, flags, fd, offset);
    if (at != MAP_FAILED && fd >= 0 && (protection & PROT_WRITE) && (flags & MAP_SHARED)) {
        const char *path = path_of(fd, buffer, &file);
        if (path) {
            pthread_mutex_lock(&lock);
            note_mapping(path, file.st_ino, at, bytes, offset);
            pthread_mutex_unlock(&lock);
        }
    }
    return at;
}

void *mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset) {
    return mmap64(at, bytes, protection, flags, fd, offset);
}

int munmap(void *at, size_t bytes) {
    if (trace_fd >= 0) {
        pthread_mutex_lock(&lock);
        for (int i = 0; i < MAPPINGS_MAX; i++) {
            if (mappings[i].at == at) {
                look_at_mappings();
                mappings[i].at = NULL;
            }
        }
        pthread_mutex_unlock(&lock);
    }
    return syscall(SYS_munmap, at, bytes);
}

/* --- names ------------------------------------------------------------------------------------ */

static void keep_inode(const char *path, uint64_t inode) {
    const char *vault = getenv("COORD_CRASH_VAULT");
    char name[PATH_BYTES];
    if (!vault)
        return;
    snprintf(name, sizeof name, "%s/%llu", vault, (unsigned long long)inode);
    if (syscall(SYS_linkat, AT_FDCWD, path, AT_FDCWD, name, 0) < 0 && errno != EEXIST)
        fail("no second name for a file");
}

static int open_at(int directory, const char *name, int flags, mode_t mode) {
    char buffer[PATH_BYTES];
    const char *path = flags & (O_CREAT | O_TRUNC) ? path_at(directory, name, buffer) : NULL;
    if (!path)
        return syscall(SYS_openat, directory, name, flags, mode);
    pthread_mutex_lock(&lock);
    struct stat file;
    int is_new = stat(buffer, &file) < 0;
    int fd = syscall(SYS_openat, directory, name, flags, mode), error = errno;
    if (fd >= 0 && fstat(fd, &file) == 0 && S_ISREG(file.st_mode)) {
        if (is_new) {
            append(CREATED, 0, file.st_ino, 0, path, NULL, 0);
            keep_inode(buffer, file.st_ino);
        } else if (flags & O_TRUNC) {
            append(TRUNCATED, 0, file.st_ino, 0, path, NULL, 0);
        }
    }
    pthread_mutex_unlock(&lock);
    errno = error;
    return fd;
}

static mode_t mode_of(int flags, va_list arguments) {
    return flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, mode_t) : 0;
}

#define OPEN(name)                                                                                 \
    int name(const char *path, int flags, ...) {                                                   \
        va_list arguments;                                                                         \
        va_start(arguments, flags);                                                                \
        mode_t mode = mode_of(flags, arguments);                                                   \
        va_end(arguments);                                                                         \
        return open_at(AT_FDCWD, path, flags, mode);                                               \
    }

#define OPENAT(name)                                                                               \
    int name(int directory, const char *path, int flags, ...) {                                    \
        va_list arguments;                                                                         \
        va_start(arguments, flags);                                                                \
        mode_t mode = mode_of(flags, arguments);                                                   \
        va_end(arguments);                                                                         \
        return open_at(directory, path, flags, mode);                                              \
    }

OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

int __open_2(const char *path, int flags) { return open_at(AT_FDCWD, path, flags, 0); }

int __open64_2(const char *path, int flags) { return open_at(AT_FDCWD, path, flags, 0); }

int mkdirat(int directory, const char *name, mode_t mode) {
    char buffer[PATH_BYTES];
    const char *path = path_at(directory, name, buffer);
    pthread_mutex_lock(&lock);
    int done = syscall(SYS_mkdirat, directory, name, mode), error = errno;
    struct stat made;
    if (path && done == 0 && stat(buffer, &made) == 0)
        append(DIRECTORY_MADE, 0, made.st_ino, 0, path, NULL, 0);
    pthread_mutex_unlock(&lock);
    errno = error;
    return done;
}

int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }

int unlinkat(int directory, const char *name, int flags) {
    char buffer[PATH_BYTES];
    const char *path = path_at(directory, name, buffer);
    pthread_mutex_lock(&lock);
    int done = syscall(SYS_unlinkat, directory, name, flags), error = errno;
    if (path && done == 0)
        append(flags & AT_REMOVEDIR ? DIRECTORY_REMOVED : UNLINKED, 0, 0, 0, path, NULL, 0);
    pthread_mutex_unlock(&lock);
    errno = error;
    return done;
}

int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }

int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }

int renameat(int old_directory, const char *old, int new_directory, const char *new) {
    char old_buffer[PATH_BYTES], new_buffer[PATH_BYTES];
    const char *from = path_at(old_directory, old, old_buffer);
    const char *to = path_at(new_directory, new, new_buffer);
    pthread_mutex_lock(&lock);
    int done = syscall(SYS_renameat, old_directory, old, new_directory, new), error = errno;
    if (from && to && done == 0)
        append(RENAMED, 0, 0, 0, from, to, strlen(to));
    pthread_mutex_unlock(&lock);
    errno = error;
    return done;
}

int rename(const char *old, const char *new) { return renameat(AT_FDCWD, old, AT_FDCWD, new); }
