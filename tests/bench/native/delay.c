/* A TCP proxy on the loopback that hands on every byte some milliseconds later: delay PORT MILLISECONDS
   Prints its own port. Bytes wait in a queue for each direction, so bandwidth and other connections do not suffer. Ends with its parent. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { READ = 128 << 10, WAITING_AT_MOST = 8 << 20 };

typedef struct end end_t;
typedef struct chunk {
    struct chunk *next_due, *next; /* in the queue of all, in the queue of its way */
    end_t *to;
    uint64_t due;
    size_t size, sent;
    char data[];
} chunk_t;
struct end { /* one socket; what its peer said comes here */
    int fd, saw_end, wants_write, is_paused;
    end_t *peer;
    chunk_t *first, *last; /* due, and not yet written */
    size_t waiting;
    int gone;
};

static int epoll_fd;
static chunk_t *first_due, *last_due;
static uint64_t hold_ns;

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void watch(end_t *e) {
    struct epoll_event event = {.events = (e->saw_end || e->is_paused ? 0 : EPOLLIN) | (e->wants_write ? EPOLLOUT : 0), .data.ptr = e};
    epoll_ctl(epoll_fd, EPOLL_CTL_MOD, e->fd, &event);
}

static void shut(end_t *e) { /* ends stay allocated: some hundred a run, and events may still name them */
    if (e->gone) return;
    e->gone = 1;
    close(e->fd);
    for (chunk_t *c; (c = e->first); ) e->first = c->next, free(c);
}

static void flush(end_t *e) {
    while (e->first && !e->gone) {
        chunk_t *c = e->first;
        if (c->size == 0) { /* the other side has ended */
            shutdown(e->fd, SHUT_WR);
        } else {
            ssize_t n = send(e->fd, c->data + c->sent, c->size - c->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
            if (n < 0 && errno == EAGAIN) {
                if (!e->wants_write) e->wants_write = 1, watch(e);
                return;
            }
            if (n < 0) {
                shut(e), shut(e->peer);
                return;
            }
            c->sent += n, e->waiting -= n;
            if (c->sent < c->size) continue;
        }
        e->first = c->next;
        free(c);
    }
    if (e->gone) return;
    if (e->wants_write) e->wants_write = 0, watch(e);
    if (e->peer->is_paused && e->waiting < WAITING_AT_MOST / 2 && !e->peer->gone) e->peer->is_paused = 0, watch(e->peer);
}

static void take(end_t *e) { /* read from a socket, for its peer to have later */
    static char buffer[READ];
    ssize_t n = recv(e->fd, buffer, sizeof buffer, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) return;
    if (n < 0) {
        shut(e), shut(e->peer);
        return;
    }
    end_t *to = e->peer;
    if (n == 0) e->saw_end = 1, watch(e);
    if (to->gone) {
        if (n == 0) shut(e);
        return;
    }
    chunk_t *c = malloc(sizeof *c + n);
    memcpy(c->data, buffer, n);
    c->next = c->next_due = NULL, c->to = to, c->size = n, c->sent = 0, c->due = now() + hold_ns;
    to->waiting += n;
    if (last_due) last_due->next_due = c; else first_due = c;
    last_due = c;
    if (to->waiting > WAITING_AT_MOST && !e->is_paused) e->is_paused = 1, watch(e);
}

static void hand_on(uint64_t moment) {
    while (first_due && first_due->due <= moment) {
        chunk_t *c = first_due;
        end_t *e = c->to;
        first_due = c->next_due;
        if (!first_due) last_due = NULL;
        if (e->gone) {
            free(c);
            continue;
        }
        int was_empty = !e->first;
        if (was_empty) e->first = c; else e->last->next = c;
        e->last = c;
        int ends = c->size == 0;
        if (was_empty) flush(e);
        if (ends && e->saw_end && !e->first) shut(e), shut(e->peer);
    }
}

static int new_socket(void) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    return fd;
}

static void prepare(int fd, end_t *e, end_t *peer) {
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    e->fd = fd, e->peer = peer;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = e};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

int main(int count, char **words) {
    if (count != 3) return 2;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_IGN);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files), files.rlim_cur = files.rlim_max, setrlimit(RLIMIT_NOFILE, &files);
    hold_ns = (uint64_t)(atof(words[2]) * 1e6);
    struct sockaddr_in there = {.sin_family = AF_INET, .sin_port = htons(atoi(words[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof here;
    int listener = new_socket();
    if (bind(listener, (void *)&here, sizeof here) || listen(listener, 1024)) return perror("listen"), 1;
    getsockname(listener, (void *)&here, &size);
    printf("%d\n", ntohs(here.sin_port)), fflush(stdout);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}, events[256];
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        struct timespec wait = {0}, *limit = NULL;
        if (first_due) {
            uint64_t moment = now(), left = first_due->due > moment ? first_due->due - moment : 0;
            wait.tv_sec = left / 1000000000, wait.tv_nsec = left % 1000000000, limit = &wait;
        }
        int ready = epoll_pwait2(epoll_fd, events, 256, limit, NULL);
        for (int i = 0; i < ready; i++) {
            end_t *e = events[i].data.ptr;
            if (!e) {
                int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), server = new_socket();
                if (fd < 0) continue;
                end_t *a = calloc(1, sizeof *a), *b = calloc(1, sizeof *b);
                if (connect(server, (void *)&there, sizeof there)) {
                    close(fd), close(server), free(a), free(b);
                    continue;
                }
                prepare(fd, a, b), prepare(server, b, a);
                continue;
            }
            if (e->gone) continue;
            if (events[i].events & EPOLLOUT) flush(e);
            if (e->gone || !(events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))) continue;
            if (e->saw_end) epoll_ctl(epoll_fd, EPOLL_CTL_DEL, e->fd, NULL);
            else if (!e->is_paused || (events[i].events & (EPOLLHUP | EPOLLERR))) take(e);
        }
        hand_on(now());
    }
}
