/* main.c: WebSocket load generator for the benchmarks: options, phases, figures.
 *
 *   generator MODE --port N [--port2 N] [--connections N] [--size BYTES] [--depth N] [--text]
 *             [--tls] [--greeted] [--matched] [--together] [--warmup S] [--seconds S]
 *             [--drain S] [--pids P,P,P]
 *
 *   echo       each connection keeps DEPTH messages in flight
 *   broadcast  connection 0 sends "*..."; all, itself too, must receive it unchanged
 *   pair       JSON in the demo's protocol from one shard to another; starts after the greeting
 *   storm      CONNECTIONS at a time: connect, opening and closing handshake, again
 *   hold       idle connections: prints a line when all are open, another
 *              for each byte on stdin, and when it ends
 *
 * --greeted: the server sends one message of any content first on each connection. --matched: the
 * halves of pairs are chosen at random when all are open, from two shards where there are two; without
 * it a half that came to its partner's shard connects again, which does not help with a server that
 * gives each connection to the shard with the fewest. --together: matched within each shard, to
 * compare with.
 *
 * Prints one line of JSON: {"ok": true, "messages": N, "seconds": S, "server_cpu_s": ...,
 * "client_cpu_s": ..., "p50_us": ..., "p99_us": ...}, or {"ok": false, "error": "..."} and exit
 * status 1. Messages not back DRAIN seconds after the measured time are lost. CPU seconds are of the
 * measured time only; messages in flight when it began or ended are included in part, at most a
 * share of depth * connections / messages. */
#include "load.h"

#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { CONNECT_LIMIT_S = 30, HOLD_LIMIT_S = 300, CONNECTING_AT_ONCE = 64 };

struct options options = {.connections = 1, .size = 32, .depth = 1, .warmup_s = 0.5, .seconds = 2,
                          .drain_s = 10};
const struct mode *mode;
struct conn *conns;
int conn_count, open_count;
long long in_flight;
bool stopping;
struct counts counts;
uint64_t pings;

_Noreturn void fail(const char *format, ...) {
    char text[400];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    for (char *at = text; *at; at++)
        if (*at == '"' || *at == '\\' || (unsigned char)*at < 32) *at = '\'';
    printf("{\"ok\": false, \"error\": \"%s\"}\n", text);
    fflush(stdout);
    _exit(1);
}

static uint64_t seconds_ns(double seconds) { return (uint64_t)(seconds * 1e9); }

static void turn(int timeout_ms) {
    struct epoll_event events[128];
    int count = epoll_wait(epoll_fd(), events, 128, timeout_ms);
    for (int i = 0; i < count; i++) conn_event(events[i].data.ptr, events[i].events);
}

static bool is_idle(void) { return in_flight == 0; }
static bool never(void) { return false; }

/* Run the loop until the time is over or `done`; return whether it was done. */
static bool turn_until(uint64_t deadline, bool (*done)(void)) {
    for (uint64_t now; !done(); turn(now + 20000000u < deadline ? 20 : 1))
        if ((now = now_ns()) >= deadline) return false;
    return true;
}

static void connect_all(void) {
    uint64_t deadline = now_ns() + seconds_ns(CONNECT_LIMIT_S);
    for (int begun = 0; open_count < conn_count && mode->closed == NULL; turn(20)) {
        while (begun < conn_count && begun - open_count < CONNECTING_AT_ONCE)
            conn_connect(&conns[begun++]);
        if (now_ns() > deadline) fail("%d of %d connections opened", open_count, conn_count);
    }
    for (int i = 0; mode->closed && i < conn_count; i++) conn_connect(&conns[i]);
}

static void measure(void) {
    mode->start();
    conn_flush_dirty();
    turn_until(now_ns() + seconds_ns(options.warmup_s), never);
    forget_latencies();
    counts = (struct counts){0};
    uint64_t began = now_ns(), own = own_cpu_ns(), server = server_cpu_ns();
    turn_until(began + seconds_ns(options.seconds), never);
    server = server_cpu_ns() - server;
    own = own_cpu_ns() - own;
    double seconds = (double)(now_ns() - began) / 1e9;
    struct counts measured = counts;
    double p50 = percentile_us(0.50), p99 = percentile_us(0.99);
    stopping = true;
    if (!turn_until(now_ns() + seconds_ns(options.drain_s), is_idle))
        fail("%lld messages were lost", in_flight);
    if (!measured.messages) fail("nothing was measured");
    printf("{\"ok\": true, \"messages\": %llu, \"bytes\": %llu, \"seconds\": %.4f, "
           "\"server_cpu_s\": %.6f, \"client_cpu_s\": %.6f, \"p50_us\": %.1f, \"p99_us\": %.1f}\n",
           (unsigned long long)measured.messages, (unsigned long long)measured.bytes, seconds,
           (double)server / 1e9, (double)own / 1e9, p50, p99);
}

static bool stdin_speaks(void) {
    struct pollfd input = {.fd = 0, .events = POLLIN};
    return poll(&input, 1, 0) != 0;
}

static void print_held(double connect_s) {
    printf("{\"ok\": true, \"open\": %d, \"seconds\": %.4f, \"pings\": %llu}\n", open_count,
           connect_s, (unsigned long long)pings);
    fflush(stdout);
}

static void hold(double connect_s) {
    uint64_t deadline = now_ns() + seconds_ns(HOLD_LIMIT_S);
    print_held(connect_s);
    for (char byte; turn_until(deadline, stdin_speaks);) {
        bool ended = read(0, &byte, 1) <= 0;
        turn(0);
        print_held(connect_s);
        if (ended) return;
    }
    fail("held too long");
}

static void parse_pids(char *list) {
    for (char *word = strtok(list, ","); word; word = strtok(NULL, ",")) {
        if (options.pid_count == MAX_PIDS) fail("more than %d processes", MAX_PIDS);
        options.pids[options.pid_count++] = atoi(word);
    }
}

static void parse(int argc, char **argv) {
    static const struct option NAMES[] = {
        {"port", 1, 0, 'p'},   {"port2", 1, 0, 'q'}, {"connections", 1, 0, 'c'},
        {"size", 1, 0, 's'},   {"depth", 1, 0, 'd'}, {"text", 0, 0, 't'},
        {"tls", 0, 0, 'S'},    {"warmup", 1, 0, 'w'}, {"seconds", 1, 0, 'D'},
        {"pids", 1, 0, 'P'},   {"drain", 1, 0, 'R'}, {"greeted", 0, 0, 'g'},
        {"matched", 0, 0, 'a'}, {"together", 0, 0, 'o'}, {0, 0, 0, 0},
    };
    for (int name; (name = getopt_long(argc, argv, "", NAMES, NULL)) != -1;) switch (name) {
        case 'p': options.port = atoi(optarg); break;
        case 'q': options.port2 = atoi(optarg); break;
        case 'c': options.connections = atoi(optarg); break;
        case 's': options.size = (size_t)atoll(optarg); break;
        case 'd': options.depth = atoi(optarg); break;
        case 't': options.text = true; break;
        case 'S': options.tls = true; break;
        case 'g': options.greeted = true; break;
        case 'a': options.matched = true; break;
        case 'o': options.matched = options.together = true; break;
        case 'w': options.warmup_s = atof(optarg); break;
        case 'D': options.seconds = atof(optarg); break;
        case 'R': options.drain_s = atof(optarg); break;
        case 'P': parse_pids(optarg); break;
        default: fail("unknown option");
    }
    if (optind != argc - 1) fail("which mode?");
    options.mode = argv[optind];
    if (options.port < 1 || options.connections < 1 || options.depth < 1) fail("a number is missing");
    if (options.size < STAMP + 1) fail("a message has at least %d bytes", STAMP + 1);
}

int main(int argc, char **argv) {
    parse(argc, argv);
    signal(SIGPIPE, SIG_IGN);
    mode = find_mode(options.mode);
    conn_count = options.connections * (strcmp(options.mode, "pair") == 0 ? 2 : 1);
    conns = calloc((size_t)conn_count, sizeof *conns);
    if (!conns) fail("no memory for %d connections", conn_count);
    frames_setup(options.size);
    conn_setup();
    if (options.tls) tls_setup();
    for (int i = 0; i < conn_count; i++) {
        conns[i].index = i;
        conns[i].fd = -1;
        mode->prepare(&conns[i]);
    }
    uint64_t began = now_ns();
    connect_all();
    if (strcmp(options.mode, "hold") == 0)
        hold((double)(now_ns() - began) / 1e9);
    else
        measure();
    return 0;
}
