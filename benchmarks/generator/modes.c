/* modes.c: what each kind of load does when a connection opens, a message arrives, a Close frame arrives. */
#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_ATTEMPTS = 64 };

static const uint8_t NORMAL[2] = {1000 >> 8, 1000 & 255};

static void nothing(struct conn *c) { (void)c; }
static void nothing_to_start(void) {}

static uint64_t *new_ring(void) {
    uint64_t *ring = calloc((size_t)options.depth, sizeof *ring);
    if (!ring) fail("no memory");
    return ring;
}

/* ---- echo: every connection keeps `depth` messages in flight ---- */

static void echo_prepare(struct conn *c) {
    c->sends = (struct content){.stream = (uint32_t)c->index, .payload = options.size};
    c->expects = c->sends;
    c->sent_at = new_ring();
}

/* Send the next message of `from`; its arrival is timed by the connection that gets it. */
static void send_next(struct conn *from, uint64_t now) {
    from->sent_at[from->sent % (unsigned)options.depth] = now;
    put_message(from, &from->sends, from->sent++);
    in_flight++;
}

static void echo_start(void) {
    for (int i = 0; i < conn_count; i++)
        for (int k = 0; k < options.depth; k++) send_next(&conns[i], now_ns());
}

static void echo_message(struct conn *c, uint64_t now) {
    record(now - c->sent_at[c->received % (unsigned)options.depth]);
    in_flight--;
    if (!stopping) send_next(c, now);
}

/* ---- broadcast: connection 0 publishes, everyone gets it, `depth` are in flight ---- */

static int *arrived;          /* by message in flight: how many have it */

static void broadcast_prepare(struct conn *c) {
    c->sends = (struct content){.prefix = "*", .prefix_length = 1, .payload = options.size - 1};
    c->expects = c->sends;
    if (c->index == 0) {
        c->sent_at = new_ring();
        arrived = calloc((size_t)options.depth, sizeof *arrived);
    }
}

static void broadcast_start(void) {
    for (int k = 0; k < options.depth; k++) send_next(&conns[0], now_ns());
}

/* The next one leaves when all have the oldest: fast ones wait for slow ones. */
static void broadcast_message(struct conn *c, uint64_t now) {
    unsigned slot = c->received % (unsigned)options.depth;
    record(now - conns[0].sent_at[slot]);
    if (++arrived[slot] < conn_count) return;
    arrived[slot] = 0;
    in_flight--;
    if (!stopping) send_next(&conns[0], now);
}

/* ---- pair: the even connection sends JSON that the odd one, on another shard, must get ---- */

static long long number_behind(const char *text, const char *name) {
    const char *at = strstr(text, name);
    if (!at) fail("no %s in the greeting %.80s", name, text);
    return strtoll(at + strlen(name), NULL, 10);
}

static void pair_prepare(struct conn *c) {
    c->partner = &conns[c->index ^ 1];
    c->sends_first = c->index % 2 == 0;
    c->sent_at = new_ring();
    c->id = -1;
}

static void set_text(struct content *content, const char *field, long long id, int stream) {
    *content = (struct content){.stream = (uint32_t)stream, .payload = options.size};
    content->prefix_length = (unsigned)snprintf(content->prefix, sizeof content->prefix,
                                                "{\"%s\": %lld, \"text\": \"", field, id);
    content->suffix = "\"}";
    content->suffix_length = 2;
}

static void set_texts(struct conn *sender) {
    struct conn *receiver = sender->partner;
    set_text(&sender->sends, "to", receiver->id, sender->index);
    set_text(&receiver->expects, "from", sender->id, sender->index);
}

static void pair_opened(struct conn *c) {
    const char *greeting = (const char *)c->text.data;
    c->id = number_behind(greeting, "\"connection_id\":");
    c->shard = (int)number_behind(greeting, "\"shard\":");
    if (options.matched) return;
    struct conn *sender = c->sends_first ? c : c->partner, *receiver = sender->partner;
    if (sender->id < 0 || receiver->id < 0) return;
    if (sender->shard == receiver->shard) {
        if (++receiver->attempts > MAX_ATTEMPTS) fail("all connections are on one shard");
        receiver->id = -1;
        open_count--;
        conn_disconnect(receiver);
        conn_connect(receiver);
        return;
    }
    set_texts(sender);
}

static bool is_on_one_shard(void) {
    for (int i = 1; i < conn_count; i++)
        if (conns[i].shard != conns[0].shard) return false;
    return true;
}

static void swap(struct conn **a, struct conn **b) {
    struct conn *kept = *a;
    *a = *b;
    *b = kept;
}

/* Pair i is lot[2i] and lot[2i + 1]; a pair on a single shard swaps its second with another. */
static void part(struct conn **lot, int i) {
    for (int k = 0; k < conn_count; k += 2) {
        bool is_better = lot[i]->shard != lot[k + 1]->shard && lot[k]->shard != lot[i + 1]->shard;
        if (is_better) {
            swap(&lot[i + 1], &lot[k + 1]);
            return;
        }
    }
    fail("more than half of the connections are on shard %d", lot[i]->shard);
}

/* Put both halves of pair i on one shard by swapping its second with a later one. */
static void bring_together(struct conn **lot, int i) {
    for (int k = i + 2; k < conn_count && lot[i]->shard != lot[i + 1]->shard; k++)
        if (lot[k]->shard == lot[i]->shard) swap(&lot[i + 1], &lot[k]);
    if (lot[i]->shard != lot[i + 1]->shard)
        fail("an odd number of connections is on shard %d", lot[i]->shard);
}

/* The same lot every time, so that runs compare. */
static void match(void) {
    struct conn **lot = calloc((size_t)conn_count, sizeof *lot);
    if (!lot) fail("no memory");
    uint32_t x = 1;
    for (int i = 0; i < conn_count; i++) {
        lot[i] = &conns[i];
        x = x * 1664525u + 1013904223u;
        swap(&lot[i], &lot[(x >> 8) % (unsigned)(i + 1)]);
    }
    bool parted = !is_on_one_shard();
    for (int i = 0; i < conn_count; i += 2) {
        if (options.together)
            bring_together(lot, i);
        else if (parted && lot[i]->shard == lot[i + 1]->shard)
            part(lot, i);
    }
    for (int i = 0; i < conn_count; i++) {
        lot[i]->partner = lot[i ^ 1];
        lot[i]->sends_first = i % 2 == 0;
    }
    for (int i = 0; i < conn_count; i += 2) set_texts(lot[i]);
    free(lot);
}

static void pair_start(void) {
    if (options.matched) match();
    for (int i = 0; i < conn_count; i++)
        for (int k = 0; k < options.depth && conns[i].sends_first; k++)
            send_next(&conns[i], now_ns());
}

static void pair_message(struct conn *c, uint64_t now) {
    if (c->sends_first) fail("connection %d: a message to a sender", c->index);
    record(now - c->partner->sent_at[c->received % (unsigned)options.depth]);
    in_flight--;
    if (!stopping) send_next(c->partner, now);
}

/* ---- storm: connect, both handshakes, and again ---- */

static void storm_opened(struct conn *c) {
    c->state = CLOSING;
    put_control(c, CLOSE, NORMAL, sizeof NORMAL);
}

static void storm_message(struct conn *c, uint64_t now) {
    (void)now;
    fail("connection %d: a message that nobody asked for", c->index);
}

static void storm_closed(struct conn *c, uint64_t now) {
    record(now - c->born);
    counts.messages++;
    conn_disconnect(c);
    if (stopping)
        in_flight--;
    else
        conn_connect(c);
}

static void storm_start(void) { in_flight = conn_count; }

/* ---- hold: idle connections ---- */

static const struct mode MODES[] = {
    {"echo", false, echo_prepare, nothing, echo_start, echo_message, NULL},
    {"broadcast", false, broadcast_prepare, nothing, broadcast_start, broadcast_message, NULL},
    {"pair", true, pair_prepare, pair_opened, pair_start, pair_message, NULL},
    {"storm", false, nothing, storm_opened, storm_start, storm_message, storm_closed},
    {"hold", false, nothing, nothing, nothing_to_start, storm_message, NULL},
};

const struct mode *find_mode(const char *name) {
    for (size_t i = 0; i < sizeof MODES / sizeof *MODES; i++)
        if (strcmp(MODES[i].name, name) == 0) return &MODES[i];
    fail("no mode %s", name);
}
