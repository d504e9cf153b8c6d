/* The turns of a pump: what epoll reports, what earlier turns left, what is to be written or told. */

#ifndef SHARDWS_PUMP_TURN_H
#define SHARDWS_PUMP_TURN_H

#include "input-inl.h"

/* TCP is over: close the socket now, tell Python when the turn ends, never inside a call. */
static void
lose(Wire *wire, int error)
{
    Pump *pump = wire->pump;
    if (wire->flags & GONE || wire->via != VIA_SOCKET) {
        return;
    }
    wire->flags |= GONE;
    wire->lost_error = error;
    epoll_ctl(pump->epoll, EPOLL_CTL_DEL, wire->fd, NULL); /* a copy of it elsewhere keeps it alive */
    shutdown(wire->fd, SHUT_RDWR); /* a copy in a forked child must not keep the connection */
    close(wire->fd);
    wire->fd = -1;
    clear_outbox(pump, &wire->out);
    if (list_add(&pump->lost, wire) < 0 || (!pump->depth && schedule(pump) < 0)) {
        PyErr_Clear(); /* without memory for eight bytes there is nobody to tell */
    }
}

/* Have `after_turn` called soon; 0, or -1 with an exception reported. */
static int
schedule(Pump *pump)
{
    if (pump->is_scheduled) {
        return 0;
    }
    PyObject *result = PyObject_CallOneArg(pump->call_soon, pump->flush_later);
    if (result == NULL) {
        report(pump, NULL);
        return -1;
    }
    pump->is_scheduled = 1;
    Py_DECREF(result);
    return 0;
}

static void
tell_lost(Pump *pump)
{
    while (pump->lost.count) {
        WireList lost = list_take(&pump->lost);
        for (size_t at = 0; at < lost.count; at++) {
            Wire *wire = lost.items[at];
            PyObject *error = wire->lost_error ? PyObject_CallFunction(PyExc_OSError, "is", wire->lost_error,
                                                                       strerror(wire->lost_error))
                                               : Py_NewRef(Py_None);
            PyObject *result = error == NULL ? NULL
                                             : PyObject_CallMethodOneArg((PyObject *)wire, name_connection_lost,
                                                                         error);
            if (result == NULL) {
                report(pump, wire);
            }
            Py_XDECREF(result);
            Py_XDECREF(error);
            /* The reference of the epoll instance goes with the outermost turn: an outer one may
             * still have an event of this wire. */
            if (list_add(&pump->buried, wire) == 0) {
                Py_DECREF(wire);
            }
            Py_DECREF(wire);
        }
        PyMem_RawFree(lost.items);
    }
    if (!pump->depth) {
        list_drop(&pump->buried);
    }
}

/* A crowd waits some turns for what is on its way: see shard.flushing. */
static int
crowd_waits(Pump *pump)
{
    if (pump->dirty.count < CROWD) {
        return 0;
    }
    double now = read_clock();
    if (!pump->crowd_turns) {
        pump->crowd_until = now + CROWD_SECONDS;
    }
    return ++pump->crowd_turns <= (int)(pump->dirty.count / CROWD_PER_TURN) && now < pump->crowd_until;
}

static void
flush_dirty(Pump *pump)
{
    if (!pump->dirty.count || crowd_waits(pump)) {
        return;
    }
    pump->crowd_turns = 0;
    WireList dirty = list_take(&pump->dirty);
    for (size_t at = 0; at < dirty.count; at++) {
        Wire *wire = dirty.items[at];
        wire->flags &= ~DIRTY;
        flush(wire);
        Py_DECREF(wire);
    }
    PyMem_RawFree(dirty.items);
}

static void
serve_more(Pump *pump, double until)
{
    for (size_t left = pump->more.count; left && pump->more.count; left--) {
        Wire *wire = pump->more.items[0];
        pump->more.count--;
        memmove(pump->more.items, pump->more.items + 1, pump->more.count * sizeof *pump->more.items);
        wire->flags &= ~HAS_MORE;
        if (!(wire->flags & GONE) && wire->input_len) {
            if (!(wire->flags & PAUSED) && !wire->holds) {
                serve_kept(wire);
            }
        }
        Py_DECREF(wire);
        if (read_clock() >= until) {
            break;
        }
    }
}

static void
read_eof(Wire *wire)
{
    wire->flags |= SAW_EOF;
    watch(wire, EPOLL_CTL_MOD); /* level-triggered: it would be reported again and again */
    int stays = call_wire(wire, name_eof_received);
    if (!stays && !(wire->flags & GONE)) {
        wire_close(wire, NULL);
    }
}

static void
read_socket(Pump *pump, Wire *wire)
{
    /* A turn inside a turn has a buffer of its own: the outer one still reads in the shared one. */
    uint8_t *buffer = pump->input_is_used ? PyMem_RawMalloc(READ_BYTES) : pump->input;
    if (buffer == NULL) {
        lose(wire, ENOMEM);
        return;
    }
    ssize_t size = recv(wire->fd, buffer, READ_BYTES, 0);
    if (size > 0) {
        int was_used = pump->input_is_used;
        pump->input_is_used = 1;
        wire->seen = pump->now;
        serve(wire, buffer, buffer + size);
        if (!(wire->flags & GONE)) {
            flush(wire);
        }
        pump->input_is_used = was_used;
    }
    else if (size == 0) {
        read_eof(wire);
    }
    else if (errno != EAGAIN && errno != EINTR) {
        lose(wire, errno);
    }
    if (buffer != pump->input) {
        PyMem_RawFree(buffer);
    }
}

static void
lose_with_error(Wire *wire)
{
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(wire->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    lose(wire, error);
}

static void
handle_event(Pump *pump, Wire *wire, uint32_t events)
{
    if (wire->flags & GONE) {
        return;
    }
    if (events & EPOLLOUT) {
        wire->flags &= ~WANT_OUT;
        count_out(wire);
        write_socket(wire);
        if (!(wire->flags & (GONE | WANT_OUT))) {
            watch(wire, EPOLL_CTL_MOD);
        }
        if (!(wire->flags & GONE)) {
            check_marks(wire);
        }
    }
    if (wire->flags & GONE || !(events & (EPOLLIN | EPOLLHUP | EPOLLERR))) {
        return;
    }
    int is_over = events & (EPOLLHUP | EPOLLERR); /* cannot be masked: it would spin */
    if (wire->flags & SAW_EOF) {
        if (is_over) {
            lose_with_error(wire);
        }
    }
    else if (wire->flags & PAUSED || wire->input_len) {
        if (is_over) {
            lose_with_error(wire);
        }
        else if (!(wire->flags & DISARMED)) {
            wire->flags |= DISARMED;
            watch(wire, EPOLL_CTL_MOD);
        }
    }
    else {
        read_socket(pump, wire);
    }
}

/* Keep bytes behind those that wait already. */
static void
serve_behind(Wire *wire, const uint8_t *at, const uint8_t *end)
{
    size_t waiting = wire->input_len - wire->input_at, size = (size_t)(end - at);
    uint8_t *all = PyMem_RawMalloc(waiting + size);
    if (all == NULL) {
        wire_abort(wire, NULL);
        return;
    }
    memcpy(all, wire->input + wire->input_at, waiting);
    memcpy(all + waiting, at, size);
    PyMem_RawFree(wire->input);
    wire->input = all;
    wire->input_at = 0;
    wire->input_len = waiting + size;
}

static void
end_turn(Pump *pump)
{
    flush_dirty(pump);
    tell_lost(pump);
    if (!pump->depth && (pump->dirty.count || pump->lost.count || pump->more.count)) {
        schedule(pump);
    }
}

/* data_received(data): what the transport of a wire has read. */
static PyObject *
wire_data_received(Wire *wire, PyObject *data)
{
    Pump *pump = wire->pump;
    if (pump == NULL || !PyBytes_Check(data)) {
        PyErr_SetString(PyExc_TypeError, "data_received(data: bytes) of a wire with a pump");
        return NULL;
    }
    const uint8_t *at = (const uint8_t *)PyBytes_AS_STRING(data), *end = at + PyBytes_GET_SIZE(data);
    wire->seen = pump->now = read_clock();
    pump->depth++;
    if (wire->input_len) { /* the transport had more than we asked for */
        serve_behind(wire, at, end);
    }
    else {
        serve(wire, at, end);
    }
    flush(wire);
    pump->depth--;
    end_turn(pump);
    Py_RETURN_NONE;
}

/* turn(): called by the loop when the epoll instance is readable, and by a handler's loop in it. */
static PyObject *
pump_turn(Pump *pump, PyObject *Py_UNUSED(nothing))
{
    struct epoll_event events[BATCH];
    double until = read_clock() + TURN_SECONDS;
    int count;
    pump->depth++;
    do {
        count = epoll_wait(pump->epoll, events, BATCH, 0);
        pump->now = read_clock();
        for (int at = 0; at < count; at++) {
            handle_event(pump, events[at].data.ptr, events[at].events);
            if (read_clock() >= until) {
                break; /* those left are reported again: the epoll instance is level-triggered */
            }
        }
    } while (count == BATCH && read_clock() < until);
    serve_more(pump, until);
    pump->depth--;
    end_turn(pump);
    Py_RETURN_NONE;
}

/* What `schedule` has called: a turn without a look at the sockets. */
static PyObject *
pump_after_turn(Pump *pump, PyObject *Py_UNUSED(nothing))
{
    pump->is_scheduled = 0;
    pump->now = read_clock();
    pump->depth++;
    serve_more(pump, pump->now + TURN_SECONDS);
    pump->depth--;
    end_turn(pump);
    Py_RETURN_NONE;
}

#endif
