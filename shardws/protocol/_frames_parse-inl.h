/* parse() and continuations() of _frames.c: runs of whole frames in. */

#ifndef SHARDWS_FRAMES_PARSE_H
#define SHARDWS_FRAMES_PARSE_H

#include "_frames_find-inl.h"

/* 1: appended; 0: not valid as text; -1: an exception is set. `kind`: its number, borrowed. */
Py_ALWAYS_INLINE static inline int
append_item(PyObject *items, const Found *found, int first, PyObject *kind)
{
    PyObject *payload = PyBytes_FromStringAndSize(NULL, found->size);
    if (payload == NULL) {
        return -1;
    }
    uint8_t *out = (uint8_t *)PyBytes_AS_STRING(payload);
    uint64_t seen = unmask_into(out, found->body, found->size, found->body - 4, 0);
    if (first == FIN_TEXT && seen & HIGH_BITS) {
        Utf8 state = {0, 0, 0};
        if (utf8_feed(&state, out, found->size) < 0 || state.need) {
            Py_DECREF(payload);
            return 0;
        }
    }
    PyObject *item = PyTuple_New(3);
    if (item == NULL) {
        Py_DECREF(payload);
        return -1;
    }
    PyTuple_SET_ITEM(item, 0, Py_NewRef(kind));
    PyTuple_SET_ITEM(item, 1, payload);
    Py_INCREF(Py_True);
    PyTuple_SET_ITEM(item, 2, Py_True);
    int failed = PyList_Append(items, item);
    Py_DECREF(item);
    return failed < 0 ? -1 : 1;
}

/* Bytes to read, the largest size and the most frames, of parse() and continuations(). */
typedef struct {
    const uint8_t *data;
    const uint8_t *at;
    const uint8_t *end;
    Py_ssize_t max_size;
    Py_ssize_t limit;
} Input;

/* 0, or -1 with an exception; `usage` is the words of a TypeError. */
static int
read_arguments(PyObject *const *args, Py_ssize_t count, const char *usage, Input *input)
{
    if (count < 2 || count > 4 || !PyBytes_Check(args[0])) {
        PyErr_SetString(PyExc_TypeError, usage);
        return -1;
    }
    Py_ssize_t size = PyBytes_GET_SIZE(args[0]);
    input->max_size = PyLong_AsSsize_t(args[1]);
    Py_ssize_t start = count >= 3 ? PyLong_AsSsize_t(args[2]) : 0;
    input->limit = count == 4 ? PyLong_AsSsize_t(args[3]) : PY_SSIZE_T_MAX;
    if (PyErr_Occurred()) {
        return -1;
    }
    if (start < 0 || start > size) {
        PyErr_SetString(PyExc_ValueError, "start is outside the data");
        return -1;
    }
    input->data = (const uint8_t *)PyBytes_AS_STRING(args[0]);
    input->at = input->data + start;
    input->end = input->data + size;
    return 0;
}

/* A tuple of three, by a fifth of the instructions of Py_BuildValue; takes both references. */
static PyObject *
made_of(PyObject *list, Py_ssize_t at, PyObject *last)
{
    PyObject *position = PyLong_FromSsize_t(at);
    PyObject *tuple = position != NULL && last != NULL ? PyTuple_New(3) : NULL;
    if (tuple == NULL) {
        Py_DECREF(list);
        Py_XDECREF(position);
        Py_XDECREF(last);
        return NULL;
    }
    PyTuple_SET_ITEM(tuple, 0, list);
    PyTuple_SET_ITEM(tuple, 1, position);
    PyTuple_SET_ITEM(tuple, 2, last);
    return tuple;
}

/* Append the ordinary messages that come next; 0, or -1 with an exception. */
static int
append_run(PyObject *items, Input *in)
{
    const uint8_t *at = in->at;
    PyObject *kind = NULL; /* borrowed: small numbers live as long as the interpreter */
    int appended = 1, last = 0;
    Found found;
    while (at < in->end && (at[0] == FIN_TEXT || at[0] == FIN_BINARY) &&
           PyList_GET_SIZE(items) < in->limit && find_frame(at, in->end, in->max_size, &found)) {
        if (at[0] != last) {
            last = at[0];
            kind = PyLong_FromLong(last & 0x0F);
            Py_DECREF(kind);
        }
        appended = append_item(items, &found, last, kind);
        if (appended <= 0) {
            break;
        }
        at = found.body + found.size;
    }
    in->at = at;
    return appended < 0 ? -1 : 0;
}

/* Append the ping or pong that comes next; 1, 0 when there is none, or -1 with an exception. */
Py_NO_INLINE static int
append_control(PyObject *items, Input *in)
{
    Found found;
    if (in->at == in->end || (in->at[0] != FIN_PING && in->at[0] != FIN_PONG) ||
        !find_frame(in->at, in->end, MAX_CONTROL, &found)) {
        return 0;
    }
    PyObject *kind = PyLong_FromLong(in->at[0] & 0x0F);
    int appended = append_item(items, &found, in->at[0], kind);
    Py_DECREF(kind);
    in->at = found.body + found.size;
    return appended;
}

static PyObject *
parse(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    Input in;
    if (read_arguments(args, count, "parse(data: bytes, max_size: int, start: int, limit: int)",
                       &in) < 0) {
        return NULL;
    }
    PyObject *items = PyList_New(0);
    if (items == NULL) {
        return NULL;
    }
    Py_ssize_t controls = 0;
    int taken;
    do {
        taken = append_run(items, &in);
        if (taken >= 0 && PyList_GET_SIZE(items) < in.limit) {
            taken = append_control(items, &in);
            controls += taken > 0;
        }
    } while (taken > 0);
    if (taken < 0) {
        Py_DECREF(items);
        return NULL;
    }
    return made_of(items, in.at - in.data, PyLong_FromSsize_t(controls));
}

/* -- continuations -------------------------------------------------------------------------------- */

/* 0, or -1 with an exception. */
static int
append_payload(PyObject *payloads, const Found *found)
{
    PyObject *payload = PyBytes_FromStringAndSize(NULL, found->size);
    if (payload == NULL) {
        return -1;
    }
    unmask_into((uint8_t *)PyBytes_AS_STRING(payload), found->body, found->size, found->body - 4, 0);
    int failed = PyList_Append(payloads, payload);
    Py_DECREF(payload);
    return failed;
}

static PyObject *
continuations(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    Input in;
    if (read_arguments(args, count,
                       "continuations(data: bytes, room: int, start: int, limit: int)", &in) < 0) {
        return NULL;
    }
    PyObject *payloads = PyList_New(0);
    if (payloads == NULL) {
        return NULL;
    }
    int is_last = 0;
    Found found;
    for (; !is_last && in.limit > 0 && in.at < in.end && !(in.at[0] & ~FIN) &&
           find_frame(in.at, in.end, in.max_size, &found); in.limit--) {
        if (append_payload(payloads, &found) < 0) {
            Py_DECREF(payloads);
            return NULL;
        }
        is_last = in.at[0] == FIN;
        in.max_size -= found.size;
        in.at = found.body + found.size;
    }
    return made_of(payloads, in.at - in.data, Py_NewRef(is_last ? Py_True : Py_False));
}

#endif
