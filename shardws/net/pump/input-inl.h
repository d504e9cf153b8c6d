/* Reading: frames of one wire to its handler, a slice at a time. */

#ifndef SHARDWS_PUMP_INPUT_H
#define SHARDWS_PUMP_INPUT_H

#include "../../protocol/_frames_find-inl.h"
#include "wire-inl.h"

/* What one slice may still do. */
typedef struct {
    int items;
    Py_ssize_t bytes;
    double until; /* when handlers have taken long enough */
} Budget;

/* Serve a wire's input in a later turn, behind the others; 0, or -1 with an exception. */
static int
later(Wire *wire)
{
    Pump *pump = wire->pump;
    if (!(wire->flags & HAS_MORE)) {
        if (list_add(&pump->more, wire) < 0) {
            PyErr_NoMemory();
            return -1;
        }
        wire->flags |= HAS_MORE;
    }
    return ends_soon(pump) || pump->is_scheduled ? 0 : schedule(pump);
}

/* Have the socket or the transport read again, unless it is paused. */
static void
read_on(Wire *wire)
{
    if (wire->flags & (PAUSED | GONE)) {
        return;
    }
    if (wire->via == VIA_TRANSPORT) {
        call_transport(wire, "resume_reading");
    }
    else if (wire->flags & (DISARMED | UNWATCHED)) {
        int how = wire->flags & UNWATCHED ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
        wire->flags &= ~(DISARMED | UNWATCHED);
        watch(wire, how);
    }
}

/* Keep what was read for a later turn; nothing more is read meanwhile. What is kept already stands
 * behind it when it came in a turn inside this one, else before it. Without memory TCP ends. */
static void
keep_input(Wire *wire, const uint8_t *bytes, size_t size, int is_older)
{
    if (wire->via == VIA_TRANSPORT) {
        call_transport(wire, "pause_reading");
    }
    uint8_t *all = PyMem_RawMalloc(wire->input_len + size);
    if (all == NULL) {
        wire_abort(wire, NULL);
        return;
    }
    memcpy(is_older ? all : all + wire->input_len, bytes, size);
    if (wire->input_len) {
        memcpy(is_older ? all + size : all, wire->input, wire->input_len);
    }
    PyMem_RawFree(wire->input);
    wire->input = all;
    wire->input_len += size;
}

/* Give bytes to the Python half of the connection, which knows all frames. */
static void
give_bytes(Wire *wire, const uint8_t *bytes, size_t size)
{
    PyObject *data = PyBytes_FromStringAndSize((const char *)bytes, (Py_ssize_t)size);
    PyObject *result =
        data == NULL ? NULL : PyObject_CallMethodOneArg((PyObject *)wire, name_bytes_received, data);
    if (result == NULL) {
        report(wire->pump, wire);
    }
    Py_XDECREF(result);
    Py_XDECREF(data);
}

/* The payload of a whole frame, unmasked; NULL with an exception, or without one when it is text
 * that is not UTF-8. */
static PyObject *
payload_of(const Found *found, int is_text)
{
    PyObject *payload = PyBytes_FromStringAndSize(NULL, found->size);
    if (payload == NULL) {
        return NULL;
    }
    uint8_t *out = (uint8_t *)PyBytes_AS_STRING(payload);
    uint64_t seen = unmask_into(out, found->body, found->size, found->body - 4, 0);
    if (is_text && seen & HIGH_BITS) {
        Utf8 state = {0, 0, 0};
        if (utf8_feed(&state, out, found->size) < 0 || state.need) {
            Py_CLEAR(payload);
        }
    }
    return payload;
}

/* The event DataIn(id, kind, payload, True); takes over `payload`. It is not tracked by the collector:
 * numbers and bytes form no circle, and a quarter of its cost was to zero and to track it. */
static PyObject *
make_event(Wire *wire, int kind, PyObject *payload)
{
    if (wire->id == NULL || !PyLong_CheckExact(wire->id)) {
        PyErr_SetString(PyExc_AttributeError, "id");
        Py_DECREF(payload);
        return NULL;
    }
    PyTupleObject *event = PyObject_GC_NewVar(PyTupleObject, wire->pump->event_type, 4);
    if (event == NULL) {
        Py_DECREF(payload);
        return NULL;
    }
#if PY_VERSION_HEX >= 0x030E0000
    event->ob_hash = -1; /* not known yet */
#endif
    event->ob_item[0] = Py_NewRef(wire->id);
    event->ob_item[1] = Py_NewRef(wire->pump->kinds[kind]);
    event->ob_item[2] = payload;
    event->ob_item[3] = Py_NewRef(Py_True);
    return (PyObject *)event;
}

/* Tell the dispatcher that a handler has raised. What is none of its `faults` (KeyboardInterrupt)
 * ends the connection, as it would in a transport of the loop. */
static PyObject *
tell_failed(Wire *wire, PyObject *value)
{
    PyObject *dispatch = wire->pump->dispatch;
    PyObject *told = NULL, *faults = PyObject_GetAttr(dispatch, name_faults);
    if (faults != NULL && PyErr_GivenExceptionMatches(value, faults)) {
        told = PyObject_CallMethodObjArgs(dispatch, name_failed, (PyObject *)wire,
                                          name_on_data_in, value, NULL);
    }
    else if (faults != NULL) {
        PyErr_SetObject((PyObject *)Py_TYPE(value), value);
    }
    Py_XDECREF(faults);
    return told;
}

/* Tell the dispatcher how a handler ended, unless it just returned. */
static void
follow_handler(Wire *wire, PyObject *result)
{
    Pump *pump = wire->pump;
    if (result == Py_None || result == pump->queued) {
        return;
    }
    PyObject *told;
    if (result != NULL) {
        told = PyObject_CallMethodObjArgs(pump->dispatch, name_start, (PyObject *)wire, name_on_data_in,
                                          result, NULL);
    }
    else {
        PyObject *value = take_exception();
        told = tell_failed(wire, value);
        Py_XDECREF(value);
    }
    if (told == NULL) {
        report(pump, wire);
    }
    Py_XDECREF(told);
}

static int
is_fast(const Wire *wire)
{
    return wire->state == OPEN && wire->is_at_rest && !wire->stops && !(wire->flags & (GONE | PAUSED));
}

/* Serve whole text and binary frames in [at, end) while the budget lasts; return where it stopped.
 * Stops before every other frame and before one that is not whole or not sound: Python's to judge. */
static const uint8_t *
serve_frames(Wire *wire, PyObject *handler, const uint8_t *at, const uint8_t *end, Budget *budget)
{
    Pump *pump = wire->pump;
    Found found;
    uint64_t messages = 0;
    while (is_fast(wire) && budget->items > 0 && at < end && (at[0] == FIN_TEXT || at[0] == FIN_BINARY) &&
           find_frame(at, end, wire->max_size, &found)) {
        int kind = at[0] & 0x0F;
        PyObject *payload = payload_of(&found, kind == 1);
        PyObject *event = payload != NULL ? make_event(wire, kind, payload) : NULL;
        if (event == NULL) {
            PyErr_Clear(); /* no memory: Python's half fails on it where that can be told */
            break;
        }
        at = found.body + found.size;
        messages++;
        budget->bytes -= found.size;
        budget->items--;
        if (handler != Py_None) {
            PyObject *result = PyObject_CallOneArg(handler, event);
            follow_handler(wire, result);
            Py_XDECREF(result);
        }
        Py_DECREF(event);
        if (budget->bytes <= 0 || (at < end && read_clock() >= budget->until)) {
            budget->items = 0;
        }
    }
    *pump->messages_in += messages;
    return at;
}

/* What on_data_in is now, with a reference; NULL with an exception. */
static PyObject *
find_handler(Pump *pump)
{
    PyObject *found = NULL;
    if (pump->handler_at) {
        found = *(PyObject **)((char *)pump->handlers + pump->handler_at);
    }
    return found != NULL ? Py_NewRef(found) : PyObject_GetAttr(pump->handlers, name_on_data_in);
}

/* Whole frames to their handler; return where it stopped. */
static const uint8_t *
serve_direct(Wire *wire, const uint8_t *at, const uint8_t *end, Budget *budget)
{
    Pump *pump = wire->pump;
    if (!pump->is_direct || !is_fast(wire)) {
        return at;
    }
    PyObject *handler = find_handler(pump);
    if (handler == NULL) {
        report(pump, wire);
        return at;
    }
    const uint8_t *stopped = serve_frames(wire, handler, at, end, budget);
    *pump->bytes_in += (uint64_t)(stopped - at);
    Py_DECREF(handler);
    return stopped;
}

/* Whether the rest is for a later turn. What cannot be read here goes to Python, which keeps its own
 * bounds. */
static int
must_wait(const Wire *wire, const Budget *budget)
{
    return wire->state == OPEN && wire->is_at_rest && !wire->stops &&
           (wire->flags & PAUSED || budget->items <= 0);
}

/* One slice of input that belongs to this turn; what is left is kept for the next. The caller keeps
 * the wire, and [at, end). */
static void
serve(Wire *wire, const uint8_t *at, const uint8_t *end)
{
    Budget budget = {SLICE_ITEMS, READ_BYTES, wire->pump->begin + SLICE_SECONDS};
    /* A wire that is being opened is given the bytes behind its request from inside a call. */
    uint16_t busy = wire->state >= OPEN ? BUSY : 0;
    wire->flags |= busy;
    at = serve_direct(wire, at, end, &budget);
    if (at < end && !(wire->flags & GONE) && wire->state != LOST) {
        if (must_wait(wire, &budget)) {
            keep_input(wire, at, (size_t)(end - at), 1);
        }
        else {
            give_bytes(wire, at, (size_t)(end - at));
        }
    }
    wire->flags &= ~busy;
    if (!wire->input_len) {
        if (wire->flags & (DISARMED | UNWATCHED)) { /* something came meanwhile */
            read_on(wire);
        }
    }
    else if (!(wire->flags & (PAUSED | GONE)) && later(wire) < 0) {
        report(wire->pump, wire);
    }
}

/* Serve what was left of an earlier turn. */
static void
serve_kept(Wire *wire)
{
    uint8_t *input = wire->input;
    size_t size = wire->input_len;
    wire->input = NULL;
    wire->input_len = 0;
    serve(wire, input, input + size);
    PyMem_RawFree(input);
    if (wire->flags & GONE) {
        return;
    }
    if (!wire->input_len) {
        read_on(wire);
    }
    flush(wire);
}

#endif
