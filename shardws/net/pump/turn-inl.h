/* The turns of a pump: what epoll reports, what earlier turns left, what is to be written or told. */

#ifndef SHARDWS_PUMP_TURN_H
#define SHARDWS_PUMP_TURN_H

#include "tls-inl.h"

static void
close_socket(Wire *wire)
{
    wire->flags |= GONE;
    epoll_ctl(wire->pump->epoll, EPOLL_CTL_DEL, wire->fd, NULL); /* a copy of it elsewhere keeps it alive */
    shutdown(wire->fd, SHUT_RDWR); /* a copy in a forked child must not keep the connection */
    close(wire->fd);
    wire->fd = -1;
    clear_outbox(wire->pump, &wire->out); /* what it sent before (`input`) is still told: tell_lost */
}

/* Have `after_turn` called soon, where an exception that is set now has a caller to go to. */
static void
schedule_safely(Pump *pump)
{
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    if (schedule(pump) < 0) {
        report(pump, NULL);
    }
    PyErr_Restore(type, value, trace);
}

/* End TCP at once, whatever it leaves by; the exception that is set, if any, stays set. */
static void
end_wire(Wire *wire)
{
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    if (wire->via == VIA_SOCKET) {
        lose(wire, ENOMEM);
    }
    else if (wire->transport != NULL) {
        PyObject *transport = Py_NewRef(wire->transport);
        PyObject *result = PyObject_CallMethod(transport, "abort", NULL);
        if (result == NULL) {
            PyErr_WriteUnraisable(transport); /* not by `report`, which would come here again */
        }
        Py_XDECREF(result);
        Py_DECREF(transport);
    }
    PyErr_Restore(type, value, trace);
}

/* TCP is over: close the socket now, tell Python when the turn ends, never inside a call. */
static void
lose(Wire *wire, int error)
{
    Pump *pump = wire->pump;
    if (wire->flags & GONE || wire->via != VIA_SOCKET) {
        return;
    }
    wire->lost_error = error;
    close_socket(wire);
    chain_remove(&pump->wires, wire);
    chain_add(&pump->lost, wire);
    if (!ends_soon(pump)) {
        schedule_safely(pump);
    }
}

/* Have `after_turn` called soon; 0, or -1 with an exception: then a turn comes all the same. */
static int
schedule(Pump *pump)
{
    if (pump->is_scheduled) {
        return 0;
    }
    PyObject *result = PyObject_CallOneArg(pump->call_soon, pump->flush_later);
    if (result == NULL) {
        struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT, .data.ptr = NULL};
        epoll_ctl(pump->epoll, EPOLL_CTL_MOD, pump->waker, &event);
        return -1;
    }
    pump->is_scheduled = 1;
    Py_DECREF(result);
    return 0;
}

/* Hand over what came before the loss and waits for its turn. */
static void
give_kept(Wire *wire)
{
    uint8_t *input = wire->input;
    size_t size = wire->input_len;
    wire->input = NULL;
    wire->input_len = 0;
    if (size) {
        give_bytes(wire, input, size);
    }
    PyMem_RawFree(input);
}

/* Tell a wire that it is over. */
static void
tell_end(Pump *pump, Wire *wire)
{
    PyObject *error = Py_None;
    if (wire->lost_error) {
        error = PyObject_CallFunction(PyExc_OSError, "is", wire->lost_error, strerror(wire->lost_error));
        if (error == NULL) {
            PyErr_Clear(); /* no memory for the reason: the end is told without */
            error = Py_None;
        }
    }
    PyObject *result = PyObject_CallMethodOneArg((PyObject *)wire, name_connection_lost, error);
    if (result == NULL) {
        report(pump, wire);
    }
    Py_XDECREF(result);
    if (error != Py_None) {
        Py_DECREF(error);
    }
}

static void
tell_lost(Pump *pump)
{
    while (pump->lost.first != NULL) {
        Wire *wire = pump->lost.first;
        chain_remove(&pump->lost, wire);
        Py_INCREF(wire);
        /* The chain's reference goes with the outermost turn: an outer one may still have an event
         * of this wire. */
        chain_add(&pump->buried, wire);
        give_kept(wire);
        tell_end(pump, wire);
        Py_DECREF(wire);
    }
    if (!pump->depth) {
        chain_drop(&pump->buried);
    }
}

/* A crowd waits some turns for what is on its way: see net.pump.twin. */
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
        /* One that is paused or busy comes back when that ends. */
        if (wire->input_len && !(wire->flags & (GONE | PAUSED | BUSY))) {
            serve_kept(wire);
        }
        Py_DECREF(wire);
        pump->begin = read_clock();
        if (pump->begin >= until) {
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
    ssize_t size = recv(wire->fd, buffer, wire->is_carrier ? RECORDS_BYTES : READ_BYTES, MSG_DONTWAIT);
    if (size > 0) {
        int was_used = pump->input_is_used;
        pump->input_is_used = 1;
        wire->seen = pump->now;
        if (wire->tls != NULL) {
            read_records(wire, buffer, (size_t)size);
        }
        else {
            serve(wire, buffer, buffer + size);
        }
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
    if (wire == NULL || wire->flags & GONE) { /* NULL: the waker, for what follows the events */
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
    else if (wire->flags & (PAUSED | BUSY) || wire->input_len) {
        if (is_over) { /* what came before the end is served first; reading then finds the end */
            wire->flags |= UNWATCHED;
            epoll_ctl(pump->epoll, EPOLL_CTL_DEL, wire->fd, NULL);
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

/* See to it that what is left has a turn. */
static void
leave_turn(Pump *pump)
{
    if (!ends_soon(pump) && (pump->dirty.count || pump->lost.first != NULL || pump->more.count)) {
        schedule_safely(pump);
    }
}

static void
end_turn(Pump *pump)
{
    flush_dirty(pump);
    tell_lost(pump);
    leave_turn(pump);
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
    wire->seen = pump->now = pump->begin = read_clock();
    pump->depth++;
    if (wire->input_len || wire->flags & BUSY) { /* the transport had more than we asked for */
        keep_input(wire, at, (size_t)(end - at), 0);
    }
    else {
        serve(wire, at, end);
    }
    flush(wire);
    flush_dirty(pump);
    pump->depth--;
    leave_turn(pump); /* this may be a call of Python's: who is lost is told later */
    Py_RETURN_NONE;
}

/* Handle what the sockets report, until there is nothing left or the time is over. */
static void
handle_events(Pump *pump, double until)
{
    struct epoll_event events[BATCH];
    int count, most = pump->batch;
    do {
        count = epoll_wait(pump->epoll, events, most, 0);
        pump->now = pump->begin = read_clock();
        for (int at = 0; at < count; at++) {
            handle_event(pump, events[at].data.ptr, events[at].events);
            pump->begin = read_clock();
            if (pump->begin >= until) {
                /* The instance is level-triggered and puts all that it reports behind the rest, also
                 * what is not handled here: who comes first would come first again and again. So it
                 * is to report no more than there is time for. */
                pump->batch = at + 1;
                return;
            }
        }
    } while (count == most);
    pump->batch = most * 2 < BATCH ? most * 2 : BATCH;
}

/* turn(): called by the loop when the epoll instance is readable, and by a handler's loop in it. */
static PyObject *
pump_turn(Pump *pump, PyObject *Py_UNUSED(nothing))
{
    double until = read_clock() + TURN_SECONDS;
    pump->depth++;
    handle_events(pump, until);
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
    pump->now = pump->begin = read_clock();
    pump->depth++;
    serve_more(pump, pump->now + TURN_SECONDS);
    pump->depth--;
    end_turn(pump);
    Py_RETURN_NONE;
}

#endif
