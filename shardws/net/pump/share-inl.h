/* One message to many wires, and new sockets for a pump. */

#ifndef SHARDWS_PUMP_SHARE_H
#define SHARDWS_PUMP_SHARE_H

#include <netinet/tcp.h>
#include "turn-inl.h"

static PyTypeObject *wire_type; /* set when the module is made; for checks alone */

static inline int
is_wire(PyObject *object)
{
    /* A connection derives from it without a class between: the first look is enough. */
    return Py_TYPE(object)->tp_base == wire_type || PyObject_TypeCheck(object, wire_type);
}

/* 0, or -1 with an exception; `others` gets who is not to be served here. */
static int
share_with(Pump *pump, Wire *wire, PyObject *frame, Py_ssize_t size, PyObject *others)
{
    if (!sends_plain(wire)) {
        return PyList_Append(others, (PyObject *)wire);
    }
    if (mark_dirty(wire) < 0) {
        return -1;
    }
    size_t length = (size_t)PyBytes_GET_SIZE(frame);
    int failed = length < LARGE_BYTES
                     ? put_bytes(pump, &wire->out, (const uint8_t *)PyBytes_AS_STRING(frame), length)
                     : put_reference(pump, &wire->out, NULL, 0, frame);
    if (failed < 0) {
        PyErr_NoMemory();
        return -1;
    }
    wire->size = size;
    was_queued(wire, length, 1);
    return 0;
}

/* share(wires, kind, payload): queue one message for each; return those that need Python's half. */
static PyObject *
pump_share(Pump *pump, PyObject *args)
{
    PyObject *wires, *payload;
    int kind;
    if (!PyArg_ParseTuple(args, "OiS:share", &wires, &kind, &payload)) {
        return NULL;
    }
    if (kind != 1 && kind != 2) {
        PyErr_SetString(PyExc_ValueError, "a message to many is of kind 1 or 2");
        return NULL;
    }
    uint8_t head[10];
    Py_ssize_t size = PyBytes_GET_SIZE(payload);
    size_t head_size = put_header(head, (uint8_t)(0x80 | kind), (size_t)size);
    PyObject *others = NULL, *frame = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)head_size + size);
    PyObject *all = frame != NULL ? PySequence_List(wires) : NULL; /* callbacks may change the original */
    if (all != NULL && (others = PyList_New(0)) != NULL) {
        memcpy(PyBytes_AS_STRING(frame), head, head_size);
        memcpy(PyBytes_AS_STRING(frame) + head_size, PyBytes_AS_STRING(payload), (size_t)size);
        for (Py_ssize_t at = 0; at < PyList_GET_SIZE(all); at++) {
            PyObject *wire = PyList_GET_ITEM(all, at);
            if (!is_wire(wire) || ((Wire *)wire)->pump != pump) {
                PyErr_SetString(PyExc_TypeError, "not a wire of this pump");
            }
            else if (share_with(pump, (Wire *)wire, frame, size, others) < 0 &&
                     PyErr_ExceptionMatches(PyExc_MemoryError)) {
                end_wire((Wire *)wire); /* alone: the others have their message, or get it */
                PyErr_Clear();
            }
            if (PyErr_Occurred()) {
                Py_CLEAR(others);
                break;
            }
        }
    }
    Py_XDECREF(all);
    Py_XDECREF(frame);
    return others;
}

/* adopt(wire, fd): own a connected, non-blocking socket; calls connection_made(wire). */
static PyObject *
pump_adopt(Pump *pump, PyObject *args)
{
    PyObject *made;
    int fd;
    if (!PyArg_ParseTuple(args, "O!i:adopt", wire_type, &made, &fd)) {
        return NULL;
    }
    Wire *wire = (Wire *)made;
    if (wire->pump != pump || wire->via != VIA_NONE || wire->flags) {
        PyErr_SetString(PyExc_ValueError, "a wire is adopted once, by its own pump");
        return NULL;
    }
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = wire};
    if (epoll_ctl(pump->epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); /* as uvloop does; an option may undo it */
    wire->fd = fd;
    wire->via = VIA_SOCKET;
    chain_add(&pump->wires, (Wire *)Py_NewRef(wire)); /* which keeps it for the epoll instance */
    PyObject *result = PyObject_CallMethodOneArg(made, name_connection_made, made);
    if (result == NULL) {
        report(pump, wire);
    }
    Py_XDECREF(result);
    Py_RETURN_NONE;
}

static void
close_all(PyObject *descriptors)
{
    for (Py_ssize_t at = 0; at < PyList_GET_SIZE(descriptors); at++) {
        close((int)PyLong_AsLong(PyList_GET_ITEM(descriptors, at)));
    }
}

/* accept(fd, most): accept sockets; return their descriptors and the errno that ended it, 0 for none. */
static PyObject *
pump_accept(Pump *Py_UNUSED(pump), PyObject *args)
{
    int fd, most, error = 0;
    if (!PyArg_ParseTuple(args, "ii:accept", &fd, &most)) {
        return NULL;
    }
    PyObject *accepted = PyList_New(0);
    while (accepted != NULL && PyList_GET_SIZE(accepted) < most) {
        int client = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (client < 0) {
            if (errno == ECONNABORTED || errno == EINTR) {
                continue; /* that client is gone again */
            }
            error = errno == EAGAIN ? 0 : errno;
            break;
        }
        PyObject *number = PyLong_FromLong(client);
        int failed = number == NULL || PyList_Append(accepted, number) < 0;
        Py_XDECREF(number);
        if (failed) {
            close(client);
            close_all(accepted);
            Py_CLEAR(accepted);
        }
    }
    PyObject *result = accepted != NULL ? Py_BuildValue("Oi", accepted, error) : NULL;
    if (accepted != NULL && result == NULL) {
        close_all(accepted);
    }
    Py_XDECREF(accepted);
    return result;
}

#endif
