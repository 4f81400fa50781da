#include "net.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    READ_BYTES = 1 << 16,
    DESCRIPTORS = 20000,
};

unsigned resolve(char *list, host *hosts)
{
    unsigned found = 0;
    for (char *text = strtok(list, ","); text; text = strtok(NULL, ",")) {
        char *colon = strrchr(text, ':');
        struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *addresses;
        if (colon == NULL || found == HOSTS_MAX) {
            fprintf(stderr, "expected host:port, at most %d of them: %s\n", HOSTS_MAX, text);
            exit(64);
        }
        *colon = 0;
        int failed = getaddrinfo(text, colon + 1, &hints, &addresses);
        if (failed) {
            fprintf(stderr, "%s: %s\n", text, gai_strerror(failed));
            exit(68);
        }
        memcpy(&hosts[found].address, addresses->ai_addr, addresses->ai_addrlen);
        hosts[found++].bytes = addresses->ai_addrlen;
        freeaddrinfo(addresses);
    }
    return found;
}

void raise_descriptor_limit(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) < 0)
        die("getrlimit");
    rlim_t wanted = files.rlim_max < DESCRIPTORS ? files.rlim_max : DESCRIPTORS;
    if (files.rlim_cur >= wanted)
        return;
    files.rlim_cur = wanted;
    if (setrlimit(RLIMIT_NOFILE, &files) < 0)
        die("setrlimit");
}

static void watch(stream *s, int how, bool write)
{
    struct epoll_event e = {.events = EPOLLIN | (write ? EPOLLOUT : 0u), .data.ptr = s->owner};
    if (epoll_ctl(s->epoll_fd, how, s->fd, &e) < 0)
        die("epoll_ctl");
    s->wants_write = write;
}

bool stream_dial(stream *s, const host *to)
{
    const struct sockaddr *address = (const struct sockaddr *)&to->address;
    int one = 1;
    s->fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s->fd < 0)
        die("socket");
    setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    watch(s, EPOLL_CTL_ADD, true);
    if (connect(s->fd, address, to->bytes) < 0 && errno != EINPROGRESS) {
        stream_close(s);
        return false;
    }
    return true;
}

void stream_close(stream *s)
{
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
    s->in.len = s->out.len = s->consumed = s->done = 0;
}

void stream_free(stream *s)
{
    stream_close(s);
    free(s->in.bytes);
    free(s->out.bytes);
}

bool stream_flush(stream *s)
{
    while (s->done < s->out.len) {
        ssize_t n = send(s->fd, s->out.bytes + s->done, s->out.len - s->done, MSG_NOSIGNAL);
        if (n < 0) {
            if (errno != EAGAIN && errno != ENOTCONN)
                return false;
            if (!s->wants_write)
                watch(s, EPOLL_CTL_MOD, true);
            return true;
        }
        s->done += (size_t)n;
    }
    s->out.len = s->done = 0;
    if (s->wants_write)
        watch(s, EPOLL_CTL_MOD, false);
    return true;
}

bool stream_receive(stream *s)
{
    if (s->consumed < s->in.len)
        memmove(s->in.bytes, s->in.bytes + s->consumed, s->in.len - s->consumed);
    s->in.len -= s->consumed;
    s->consumed = 0;
    reserve(&s->in, READ_BYTES);
    ssize_t n = recv(s->fd, s->in.bytes + s->in.len, s->in.cap - s->in.len, 0);
    if (n <= 0)
        return n < 0 && errno == EAGAIN;
    s->in.len += (size_t)n;
    return true;
}

bool stream_next(stream *s, reader *body)
{
    reader r = {s->in.bytes + s->consumed, s->in.bytes + s->in.len, false};
    size_t n = (size_t)take_big_endian(&r, 4);
    if (r.bad || (size_t)(r.end - r.at) < n)
        return false;
    *body = (reader){r.at, r.at + n, false};
    s->consumed += 4 + n;
    return true;
}
