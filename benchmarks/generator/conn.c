/* conn.c: sockets: connect, upgrade, read, write. */
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* One address has 28,000 ports and keeps each for a minute after use. */
enum { ADDRESSES = 40, SCRATCH = 256 * 1024, HTTP_LIMIT = 8192 };

static int epoll = -1;
static uint8_t scratch[SCRATCH];
static struct conn **dirty;
static int dirty_count;

static const char REQUEST[] =
    "GET / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
static const char ACCEPT[] = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";  /* RFC 6455, 1.3: of that key */

int epoll_fd(void) { return epoll; }

void conn_setup(void) {
    epoll = epoll_create1(0);
    dirty = calloc((size_t)conn_count, sizeof *dirty);
    if (epoll < 0 || !dirty) fail("no epoll or no memory");
}

static int port_of(const struct conn *c) {
    return c->index % 2 && c->partner && options.port2 ? options.port2 : options.port;
}

static void bind_source(const struct conn *c) {
    static unsigned turn;
    int on = 1;
    struct sockaddr_in from = {.sin_family = AF_INET};
    from.sin_addr.s_addr = htonl(0x7f000002u + turn++ % ADDRESSES);
    setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    if (bind(c->fd, (struct sockaddr *)&from, sizeof from) < 0) fail("bind: %s", strerror(errno));
}

void conn_connect(struct conn *c) {
    int on = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) fail("socket: %s", strerror(errno));
    c->state = CONNECTING;
    c->generation++;
    c->in = (struct incoming){.need = 2};
    c->out.start = c->out.end = c->text.start = c->text.end = 0;
    c->born = now_ns();
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    bind_source(c);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port_of(c))};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS)
        fail("connect: %s", strerror(errno));
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event) < 0) fail("epoll: %s", strerror(errno));
}

void conn_disconnect(struct conn *c) {
    if (c->ssl) tls_detach(c);
    close(c->fd);
    c->fd = -1;
    c->state = GONE;
    c->generation++;
    c->out.start = c->out.end = 0;
}

/* ---- output ---- */

void mark_dirty(struct conn *c) {
    if (c->dirty) return;
    c->dirty = true;
    dirty[dirty_count++] = c;
}

static void flush(struct conn *c) {
    while (c->out.start < c->out.end) {
        const uint8_t *from = c->out.data + c->out.start;
        size_t length = c->out.end - c->out.start;
        long sent = c->ssl ? tls_write(c, from, length) : send(c->fd, from, length, MSG_NOSIGNAL);
        if (sent < 0 && (errno == EAGAIN || errno == EINTR)) return;
        if (sent < 0) fail("connection %d: write: %s", c->index, strerror(errno));
        c->out.start += (size_t)sent;
    }
}

/* One write for each connection that something was put into since the last time. */
void conn_flush_dirty(void) {
    for (int i = 0; i < dirty_count; i++) {
        dirty[i]->dirty = false;
        if (dirty[i]->fd >= 0 && dirty[i]->state != CONNECTING) flush(dirty[i]);
    }
    dirty_count = 0;
}

/* ---- input ---- */

static void begin_upgrade(struct conn *c) {
    c->state = UPGRADING;
    uint8_t *at = reserve(&c->out, sizeof REQUEST + 16);
    c->out.end += (size_t)snprintf((char *)at, sizeof REQUEST + 16, REQUEST, port_of(c));
}

void conn_opened(struct conn *c) {
    c->state = OPEN;
    open_count++;
    mode->opened(c);
}

/* The HTTP response; what lies behind it is frames. */
static void take_answer(struct conn *c, const uint8_t *data, size_t length, uint64_t now) {
    size_t before = c->text.end;
    if (before + length > HTTP_LIMIT + SCRATCH) fail("connection %d: endless answer", c->index);
    memcpy(reserve(&c->text, length + 1), data, length);
    c->text.end += length;
    c->text.data[c->text.end] = 0;
    char *text = (char *)c->text.data, *end = strstr(text, "\r\n\r\n");
    if (!end) return;
    *end = 0;
    if (strncmp(text, "HTTP/1.1 101", 12) != 0 || !strstr(text, ACCEPT))
        fail("connection %d: refused: %.60s", c->index, text);
    size_t used = (size_t)(end + 4 - text) - before;
    c->text.end = 0;
    if (mode->greeted || options.greeted)
        c->state = GREETING;
    else
        conn_opened(c);
    if (c->fd >= 0 && used < length) feed(c, data + used, length - used, now);
}

static void read_all(struct conn *c, bool to_the_end) {
    unsigned generation = c->generation;
    for (;;) {
        long got = c->ssl ? tls_read(c, scratch, SCRATCH) : recv(c->fd, scratch, SCRATCH, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && errno == EAGAIN) return;
        if (got < 0) fail("connection %d: read: %s", c->index, strerror(errno));
        if (got == 0) fail("connection %d: the server ended TCP", c->index);
        if (c->state == UPGRADING)
            take_answer(c, scratch, (size_t)got, now_ns());
        else
            feed(c, scratch, (size_t)got, now_ns());
        if (c->generation != generation) return;
        /* Edge-triggered: what comes after a short read is a new edge, but an end seen is not. */
        if (!c->ssl && got < SCRATCH && !to_the_end) return;
    }
}

static void finish_connecting(struct conn *c) {
    int error = 0;
    socklen_t length = sizeof error;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &length);
    if (error) fail("connection %d: connect: %s", c->index, strerror(error));
    if (options.tls) {
        tls_attach(c);
        c->state = SHAKING;
    } else {
        begin_upgrade(c);
    }
}

void conn_event(struct conn *c, uint32_t events) {
    if (c->fd < 0) return;
    if (c->state == CONNECTING && !(events & (EPOLLOUT | EPOLLERR | EPOLLHUP))) return;
    if (c->state == CONNECTING) finish_connecting(c);
    if (c->state == SHAKING) {
        if (!tls_connect(c)) return;
        begin_upgrade(c);
    }
    flush(c);
    read_all(c, events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR));
    conn_flush_dirty();
}
