/* Non-blocking connections in one epoll set. */
#ifndef COORD_LOAD_NET_H
#define COORD_LOAD_NET_H

#include <sys/epoll.h>
#include <sys/socket.h>

#include "buffer.h"

enum { HOSTS_MAX = 16 };

typedef struct {
    struct sockaddr_storage address;
    socklen_t bytes;
} host;

/* in[0 … consumed) has been read; out[done …) waits to be sent. Without a socket fd is −1. */
typedef struct {
    int fd, epoll_fd;
    bool wants_write;
    buffer in, out;
    size_t consumed, done;
    void *owner; /* what epoll hands back */
} stream;

/* Resolve "host:port,host:port"; the number found. Ends the process on a bad one. */
unsigned resolve(char *list, host *hosts);

/* As many descriptors as the system lets this process have. */
void raise_descriptor_limit(void);

/* False: refused at once; the stream is closed. */
bool stream_dial(stream *s, const host *to);
void stream_close(stream *s);
void stream_free(stream *s);

/* Send what can be sent. False: broken. */
bool stream_flush(stream *s);

/* Take what has arrived. False: closed or broken. */
bool stream_receive(stream *s);

/* The body of the next whole frame, if one has arrived. */
bool stream_next(stream *s, reader *body);

#endif
