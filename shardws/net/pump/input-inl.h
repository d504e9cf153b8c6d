/* Reading: frames of one wire to its handler, a slice at a time. */

#ifndef SHARDWS_PUMP_INPUT_H
#define SHARDWS_PUMP_INPUT_H

#include "../../protocol/_frames_find-inl.h"
#include "wire-inl.h"

#define FIN_PING 0x89
#define FIN_PONG 0x8A

/* What one slice may still do. */
typedef struct {
    int items;
    Py_ssize_t bytes;
    double until; /* when handlers have taken long enough */
} Budget;

/* Serve a wire's input in a later turn, behind the others; 0, or -1 without memory. */
static int
later(Wire *wire)
{
    if (wire->flags & HAS_MORE) {
        return 0;
    }
    if (list_add(&wire->pump->more, wire) < 0) {
        return -1;
    }
    wire->flags |= HAS_MORE;
    return wire->pump->depth ? 0 : schedule(wire->pump);
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
    else if (wire->flags & DISARMED) {
        wire->flags &= ~DISARMED;
        watch(wire, EPOLL_CTL_MOD);
    }
}

/* Keep the frames in [at, end) for the next turn; nothing is read meanwhile. */
static int
keep_input(Wire *wire, const uint8_t *at, const uint8_t *end)
{
    size_t size = (size_t)(end - at);
    if (wire->via == VIA_TRANSPORT) {
        call_transport(wire, "pause_reading");
    }
    uint8_t *kept = PyMem_RawMalloc(size);
    if (kept == NULL) {
        return -1;
    }
    memcpy(kept, at, size);
    wire->input = kept;
    wire->input_at = 0;
    wire->input_len = size;
    return 0;
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

/* The event DataIn(id, kind, payload, True); takes over `payload`. */
static PyObject *
make_event(Wire *wire, int kind, PyObject *payload)
{
    PyTypeObject *type = wire->pump->event_type;
    PyObject *event = type->tp_alloc(type, 4);
    PyObject *number = event != NULL ? PyLong_FromLong(kind) : NULL;
    if (number == NULL) {
        Py_XDECREF(event);
        Py_DECREF(payload);
        return NULL;
    }
#if PY_VERSION_HEX >= 0x030E0000
    ((PyTupleObject *)event)->ob_hash = -1; /* not known yet */
#endif
    PyTuple_SET_ITEM(event, 0, Py_NewRef(wire->id));
    PyTuple_SET_ITEM(event, 1, number);
    PyTuple_SET_ITEM(event, 2, payload);
    PyTuple_SET_ITEM(event, 3, Py_NewRef(Py_True));
    return event;
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
        PyObject *type, *value, *trace;
        PyErr_Fetch(&type, &value, &trace);
        PyErr_NormalizeException(&type, &value, &trace);
        if (trace != NULL) {
            PyException_SetTraceback(value, trace);
        }
        told = PyObject_CallMethodObjArgs(pump->dispatch, name_failed, wire->id, name_on_data_in, value, NULL);
        Py_XDECREF(type);
        Py_XDECREF(value);
        Py_XDECREF(trace);
    }
    if (told == NULL) {
        report(pump, wire);
    }
    Py_XDECREF(told);
}

static int
is_fast(const Wire *wire)
{
    return wire->state == OPEN && wire->is_at_rest && !wire->holds && !(wire->flags & (GONE | CLOSE_OUT));
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

/* One slice of input that belongs to this turn; what is left is kept for the next. */
static void
serve(Wire *wire, const uint8_t *at, const uint8_t *end)
{
    Pump *pump = wire->pump;
    Budget budget = {SLICE_ITEMS, READ_BYTES, read_clock() + SLICE_SECONDS};
    if (is_fast(wire) && pump->is_direct) {
        PyObject *handler = PyObject_GetAttr(pump->handlers, name_on_data_in);
        if (handler == NULL) {
            report(pump, wire);
        }
        else {
            const uint8_t *begin = at;
            at = serve_frames(wire, handler, at, end, &budget);
            *pump->bytes_in += (uint64_t)(at - begin);
            Py_DECREF(handler);
        }
    }
    if (at == end || wire->flags & GONE || wire->state == LOST) {
        return;
    }
    /* A wire that is not at rest has its bytes in the session, which keeps its own bounds. */
    if (wire->is_at_rest && wire->state == OPEN && (wire->holds || wire->flags & PAUSED || budget.items <= 0)) {
        if (keep_input(wire, at, end) < 0) {
            lose(wire, ENOMEM);
        }
        else if (!wire->holds && !(wire->flags & PAUSED) && later(wire) < 0) {
            lose(wire, ENOMEM);
        }
        return;
    }
    give_bytes(wire, at, (size_t)(end - at));
}

/* Serve what was left of an earlier turn. */
static void
serve_kept(Wire *wire)
{
    uint8_t *input = wire->input;
    const uint8_t *at = input + wire->input_at, *end = input + wire->input_len;
    wire->input = NULL;
    wire->input_at = wire->input_len = 0;
    serve(wire, at, end);
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
