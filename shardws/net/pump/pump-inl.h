/* Pump and Wire of _pump.c, and what its parts share.
 *
 * A Wire is the hot half of a connection (net.connection derives from it); a Pump is what the wires
 * of one shard share. Facts to have before reading:
 *   - a wire that owns a socket is its own transport (VIA_SOCKET); otherwise its bytes leave by the
 *     `write` of the transport it was given (VIA_TRANSPORT: TLS, or uvloop);
 *   - the epoll instance refers to a wire by address. The pump therefore keeps each wire of
 *     VIA_SOCKET (Pump.wires) from adopt() until the outermost turn after its loss has ended;
 *   - Python code can run in any callback and may close, lose or send on any wire, and may turn the
 *     event loop, so turn() again: nothing below keeps a pointer into a buffer across a callback
 *     unless that buffer belongs to its own turn (Input). */

#ifndef SHARDWS_PUMP_H
#define SHARDWS_PUMP_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>
#include <stdint.h>
#include <time.h>

#define READ_BYTES (256 * 1024)  /* of one read */
#define RECORDS_BYTES (64 * 1024) /* of one read of TLS: with records of a byte each that takes 1 ms */
#define TURN_BYTES (256 * 1024)  /* queued for one wire in a turn before it is written at once */
#define LARGE_BYTES (64 * 1024)  /* from here on a payload is referred to, not copied */
#define SLICE_ITEMS 64           /* of one wire, then the others have their turn */
#define SLICE_SECONDS 0.001
#define TURN_SECONDS 0.002       /* of turn(), then the loop looks at its other sources */
#define INSIDE (1u << 31)        /* as shardws.census */
#define BATCH 128                /* events of one epoll_wait */
#define CROWD 256                /* wires to write: the loop turns a few times more before that */
#define CROWD_PER_TURN 32
#define CROWD_SECONDS 0.002

enum { OPENING, DECIDING, OPEN, CLOSING, ENDING, LOST }; /* as net.connection.states */
enum { BLOCKED_WIRE = 1 };
enum { VIA_NONE, VIA_SOCKET, VIA_TRANSPORT };
enum {
    WANT_OUT = 1,   /* EPOLLOUT is asked for: the kernel's buffer is full */
    PAUSED = 2,     /* nothing is to be read */
    DISARMED = 4,   /* EPOLLIN is not asked for, since data came while paused */
    CLOSE_OUT = 8,  /* close when everything is written */
    FIN_OUT = 16,   /* send FIN when everything is written */
    SAW_EOF = 32,
    DIRTY = 64,     /* in Pump.dirty */
    GONE = 128,     /* the socket is closed; connection_lost is due or done */
    HAS_MORE = 256, /* in Pump.more: input is left for the next turn */
    BUSY = 512,     /* a call into Python serves its input: what comes meanwhile waits behind it */
    DETACHED = 2048, /* not served, and perhaps not for long: see export-inl.h */
    UNWATCHED = 1024, /* over while paused: not in the epoll instance, which would report it for ever */
};

typedef struct Chunk {
    struct Chunk *next;
    PyObject *owner;     /* bytes that `data` points into; NULL: `data` is ours */
    const uint8_t *data; /* [pos, len) is still to be written */
    size_t pos, len, room;
} Chunk;

typedef struct {
    Chunk *first, *last;
    size_t size; /* bytes in all chunks */
} Outbox;

typedef struct Wire Wire;
typedef struct TLS TLS; /* tls-inl.h */

typedef struct { /* wires with a reference each */
    Wire **items;
    size_t count, room;
} WireList;

typedef struct { /* the same, linked through the wires: a wire stands in one chain, without memory too */
    Wire *first, *last;
} WireChain;

typedef struct {
    PyObject_HEAD
    int epoll;
    int waker; /* readable for ever; epoll reports it once after call_soon has failed */
    int depth; /* of nested turns */
    int is_scheduled;
    int crowd_turns;
    double now;   /* when the events of this turn were asked for */
    double begin; /* of the slice that is served: the last read of the clock */
    double crowd_until;
    Chunk *spare; /* for the outbox of the wire that is served */
    uint8_t *input;
    int input_is_used;
    int batch; /* events to ask for: as many as fitted into the last turn that ran out of time */
    WireChain wires; /* of VIA_SOCKET that are not lost */
    WireChain lost;  /* whose end is to be told */
    WireChain buried; /* whose end was told in a turn that goes on */
    WireList dirty, more;
    Py_buffer row;
    uint64_t *messages_in, *bytes_in, *messages_out, *bytes_out;
    PyObject *handlers;   /* on_data_in is looked up once for each slice */
    Py_ssize_t handler_at; /* where in `handlers` that is, if it is a slot there; else 0 */
    PyObject *kinds[3];   /* numbers, by themselves */
    PyObject *dispatch;   /* handler_failed(wire, name, error), start(wire, name, result) */
    char is_direct;       /* handlers are called from here; else everything goes to Python */
    char is_nestable;     /* a handler may run the loop inside a turn, so that its end may be far */
    PyTypeObject *event_type;
    PyObject *queued;     /* what send returns */
    PyObject *call_soon, *flush_later;
    PyObject *on_error;   /* called with (wire, exception) */
    Py_buffer sockets;    /* of the census page: whether a stream stands inside a frame */
} Pump;

struct Wire {
    PyObject_HEAD
    Pump *pump;
    Wire *before, *behind; /* in its chain */
    PyObject *transport; /* of VIA_TRANSPORT */
    TLS *tls;            /* shared by a carrier and its connection; NULL: Python makes the records */
    PyObject *id;
    double seen;   /* when a byte last came in */
    double active; /* when a byte last was written */
    double deadline, ping_at, rtt; /* Python's; as objects they would be a tenth of an idle connection */
    Outbox out;
    Py_ssize_t size;         /* payload bytes of the last message taken */
    Py_ssize_t max_size;     /* of a frame's payload; a longer one is Python's to judge */
    Py_ssize_t high, low;    /* marks of `out`, in bytes */
    uint32_t messages_queued; /* complete messages among `out` that are not counted yet */
    size_t bytes_queued;      /* and bytes */
    uint8_t *input;          /* frames that wait for the next turn */
    size_t input_len;
    int fd;
    int cell;                /* in Pump.sockets, -1: none */
    int lost_error;          /* errno of its loss, 0 for none */
    uint16_t flags;
    uint16_t remote_port; /* likewise */
    uint16_t stops;     /* why Python keeps what is read for later (net.connection.states), 0: nothing */
    uint8_t via, state, blocked, holds;
    uint8_t is_at_rest; /* the session holds nothing: whole frames are read here */
    uint8_t is_plain;   /* a message leaves as one frame, as it is */
    uint8_t is_carrier; /* its bytes are records of TLS; the connection behind it counts plaintext */
};

/* Whether the end of the running turn sees to what is left to do, so that nothing has to be scheduled. */
static inline int
ends_soon(const Pump *pump)
{
    return pump->depth && !pump->is_nestable;
}

static inline double
read_clock(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/* 0, or -1 without memory (no exception is set). Takes a reference. */
static int
list_add(WireList *list, Wire *wire)
{
    if (list->count == list->room) {
        size_t room = list->room * 2 + 64;
        Wire **items = PyMem_RawRealloc(list->items, room * sizeof *items);
        if (items == NULL) {
            return -1;
        }
        list->items = items;
        list->room = room;
    }
    list->items[list->count++] = (Wire *)Py_NewRef(wire);
    return 0;
}

/* Take the whole list away; the caller drops each reference and gives `items` back. */
static WireList
list_take(WireList *list)
{
    WireList taken = *list;
    *list = (WireList){NULL, 0, 0};
    return taken;
}

static void
list_drop(WireList *list)
{
    WireList taken = list_take(list);
    for (size_t at = 0; at < taken.count; at++) {
        Py_DECREF(taken.items[at]);
    }
    PyMem_RawFree(taken.items);
}

/* Append a wire; the chain takes over the caller's reference. */
static void
chain_add(WireChain *chain, Wire *wire)
{
    wire->before = chain->last;
    wire->behind = NULL;
    if (chain->last != NULL) {
        chain->last->behind = wire;
    }
    else {
        chain->first = wire;
    }
    chain->last = wire;
}

/* Take a wire out; the caller takes over the reference. */
static void
chain_remove(WireChain *chain, Wire *wire)
{
    if (wire->before != NULL) {
        wire->before->behind = wire->behind;
    }
    else {
        chain->first = wire->behind;
    }
    if (wire->behind != NULL) {
        wire->behind->before = wire->before;
    }
    else {
        chain->last = wire->before;
    }
    wire->before = wire->behind = NULL;
}

static void
chain_drop(WireChain *chain)
{
    while (chain->first != NULL) {
        Wire *wire = chain->first;
        chain_remove(chain, wire);
        Py_DECREF(wire);
    }
}

/* Take the exception that is set, with its traceback; never NULL when one was set. */
static PyObject *
take_exception(void)
{
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    PyErr_NormalizeException(&type, &value, &trace);
    if (trace != NULL && value != NULL) {
        PyException_SetTraceback(value, trace);
    }
    Py_XDECREF(type);
    Py_XDECREF(trace);
    return value;
}

static void end_wire(Wire *wire);

/* Hand the exception that is set to the owner of the pump; it never leaves a turn. An owner that
 * fails on it, for want of memory as a rule, has not ended the connection. */
static void
report(Pump *pump, Wire *wire)
{
    PyObject *value = take_exception();
    if (value == NULL) {
        return;
    }
    PyObject *who = wire != NULL ? (PyObject *)wire : Py_None;
    PyObject *told = PyObject_CallFunctionObjArgs(pump->on_error, who, value, NULL);
    if (told == NULL) {
        PyErr_WriteUnraisable(who);
        if (wire != NULL) {
            end_wire(wire);
        }
    }
    Py_XDECREF(told);
    Py_DECREF(value);
}

/* Call a method of a wire without arguments; an exception is reported. Returns whether it was true. */
static int
call_wire(Wire *wire, PyObject *name)
{
    PyObject *result = PyObject_CallMethodNoArgs((PyObject *)wire, name);
    int is_true = result != NULL ? PyObject_IsTrue(result) : -1;
    if (is_true < 0) {
        report(wire->pump, wire);
    }
    Py_XDECREF(result);
    return is_true > 0;
}

static PyObject *name_bytes_received, *name_eof_received, *name_connection_lost, *name_connection_made,
    *name_pause_writing, *name_resume_writing, *name_send_slowly, *name_failed, *name_faults, *name_start,
    *name_write,
    *name_on_data_in, *name_read_stopped, *name_write_stopped;

#endif
