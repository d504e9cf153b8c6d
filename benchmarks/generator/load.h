/* load.h: shared by the parts of the load generator. See main.c for what it does.
 *
 * One thread, one epoll, edge-triggered. Every error is fatal: a run either ends with figures in
 * which all messages arrived once, in order and byte by byte as sent, or with an error. */
#ifndef LOAD_H
#define LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10 };
enum { STAMP = 16 };          /* bytes that name a message: stream and sequence number in hex */
enum { MAX_PIDS = 64 };

struct options {
    const char *mode;
    int port, port2;          /* port2: of the receiving half of a pair; 0: the same */
    int connections;          /* pair: pairs */
    size_t size;              /* payload bytes of a message */
    int depth;                /* messages in flight per connection; broadcast: altogether */
    double warmup_s, seconds, drain_s;
    bool text, tls;
    bool greeted;             /* the server sends first, also in modes that do not need it */
    bool matched;             /* pair: partners are chosen when all are open */
    bool together;            /* pair: from the same shard instead of two */
    int pids[MAX_PIDS], pid_count;   /* of the server, for its CPU time */
};

/* A message, but for its sequence number: prefix, stamp, pattern, suffix. */
struct content {
    char prefix[48];
    unsigned prefix_length;
    uint32_t stream;
    size_t payload;           /* stamp and pattern */
    const char *suffix;
    unsigned suffix_length;
};

struct buffer {
    uint8_t *data;
    size_t start, end, capacity;
};

/* The frame and the message that are being read. */
struct incoming {
    uint8_t head[10], have, need;
    uint8_t opcode, message_opcode;  /* message_opcode: 0 between messages */
    bool fin;
    uint64_t left;            /* of the frame's payload */
    uint64_t position;        /* in the message */
    uint8_t control[125], control_length;
};

enum state { CONNECTING, SHAKING, UPGRADING, GREETING, OPEN, CLOSING, GONE };

struct conn {
    int fd, index;
    enum state state;
    unsigned generation;      /* of the socket: a handler may have replaced it */
    bool dirty;               /* there is output not written yet */
    void *ssl;
    struct buffer out, text;  /* text: the HTTP response, then the greeting */
    struct incoming in;
    struct content sends, expects;
    uint32_t sent, received;
    uint64_t *sent_at;        /* ring of depth */
    uint64_t born;            /* when connecting began */
    struct conn *partner;     /* pair */
    long long id;             /* pair: as greeted */
    int shard, attempts;
    bool sends_first;         /* pair: the half that sends */
};

/* What a kind of load does when something happens. */
struct mode {
    const char *name;
    bool greeted;             /* the server sends first */
    void (*prepare)(struct conn *);
    void (*opened)(struct conn *);
    void (*start)(void);      /* all are open */
    void (*message)(struct conn *, uint64_t now);
    void (*closed)(struct conn *, uint64_t now);  /* NULL: a close frame is a fault */
};

struct counts { uint64_t messages, bytes; };

extern struct options options;
extern const struct mode *mode;
extern struct conn *conns;
extern int conn_count, open_count;
extern long long in_flight;
extern bool stopping;
extern struct counts counts;
extern uint64_t pings;        /* of the server, each answered by a pong */

/* main.c */
_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* conn.c */
void conn_setup(void);
void conn_connect(struct conn *);
void conn_disconnect(struct conn *);
void conn_event(struct conn *, uint32_t events);
void conn_flush_dirty(void);
void conn_opened(struct conn *);
int epoll_fd(void);

/* frames.c */
void frames_setup(size_t largest);
uint8_t *reserve(struct buffer *, size_t size);
void put_message(struct conn *, const struct content *, uint32_t sequence);
void put_control(struct conn *, int opcode, const void *payload, size_t length);
void mark_dirty(struct conn *);
void feed(struct conn *, const uint8_t *data, size_t length, uint64_t now);
size_t content_length(const struct content *);

/* modes.c */
const struct mode *find_mode(const char *name);

/* figures.c */
uint64_t now_ns(void);
uint64_t own_cpu_ns(void);
uint64_t server_cpu_ns(void);
void record(uint64_t latency_ns);
void forget_latencies(void);
double percentile_us(double share);

/* tls.c */
void tls_setup(void);
void tls_attach(struct conn *);
void tls_detach(struct conn *);
bool tls_connect(struct conn *);
long tls_read(struct conn *, void *data, size_t length);
long tls_write(struct conn *, const void *data, size_t length);

#endif
