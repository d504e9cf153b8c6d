/* A socket that leaves for another process, and one that came from there: see net.connection.moving.
 *
 * A wire that is detached keeps its socket, what it has read and what it has to write, but does
 * neither read nor write. Then either `retake` serves it again as if nothing had been, or `release`
 * lets go of it: without shutdown(2), since the other process has the same connection. */

#ifndef SHARDWS_PUMP_EXPORT_H
#define SHARDWS_PUMP_EXPORT_H

#include "share-inl.h"

/* All that waits to be written, in one bytes object. */
static PyObject *
outbox_bytes(const Outbox *out)
{
    PyObject *all = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)out->size);
    char *at = all != NULL ? PyBytes_AS_STRING(all) : NULL;
    for (Chunk *chunk = out->first; chunk != NULL && at != NULL; chunk = chunk->next) {
        memcpy(at, chunk->data + chunk->pos, chunk->len - chunk->pos);
        at += chunk->len - chunk->pos;
    }
    return all;
}

/* Whether a transport below has bytes that it does not give back; -1 with an exception. */
static int
transport_keeps(Wire *wire)
{
    if (wire->via != VIA_TRANSPORT) {
        return 0;
    }
    PyObject *queued = wire_queued(wire, NULL);
    int keeps = queued != NULL ? PyObject_IsTrue(queued) : -1;
    Py_XDECREF(queued);
    return keeps;
}

/* Take the socket out of the epoll instance, and the wire out of the list of the pump. */
static void
leave_pump(Wire *wire)
{
    epoll_ctl(wire->pump->epoll, EPOLL_CTL_DEL, wire->fd, NULL); /* one that hung up is not in it */
    chain_remove(&wire->pump->wires, wire);
    Py_DECREF(wire); /* the caller has one, too */
}

/* detach(): stop serving; return (fd, what was read and not served, what is not written, whether that
 * may begin inside a frame), None while that cannot be done, as in a turn of the pump. The descriptor stays the wire's; it is
 * -1 where a transport has it, and then nothing may wait to be written. */
static PyObject *
wire_detach(Wire *wire, PyObject *Py_UNUSED(nothing))
{
    const int never = GONE | BUSY | CLOSE_OUT | FIN_OUT | SAW_EOF;
    /* A turn that runs may still have an event of this wire. */
    if (wire->pump == NULL || wire->pump->depth || wire->via == VIA_NONE || wire->flags & never) {
        Py_RETURN_NONE;
    }
    flush(wire); /* it may call Python, and lose the socket */
    int keeps = transport_keeps(wire);
    if (keeps || wire->via == VIA_NONE || wire->flags & never) {
        return keeps < 0 ? NULL : Py_NewRef(Py_None);
    }
    PyObject *unread = PyBytes_FromStringAndSize((const char *)wire->input, (Py_ssize_t)wire->input_len);
    PyObject *unsent = unread != NULL ? outbox_bytes(&wire->out) : NULL;
    if (unsent == NULL) {
        Py_XDECREF(unread);
        return NULL;
    }
    PyObject *is_inside = wire->flags & WANT_OUT && wire->out.size ? Py_True : Py_False;
    PyObject *taken = Py_BuildValue("(iNNO)", wire->fd, unread, unsent, is_inside);
    if (taken != NULL) {
        wire->flags |= GONE | DETACHED;
        if (wire->via == VIA_SOCKET) {
            leave_pump(wire);
        }
    }
    return taken;
}

static int
is_detached(const Wire *wire)
{
    if (wire->flags & DETACHED) {
        return 1;
    }
    PyErr_SetString(PyExc_ValueError, "the wire is not detached");
    return 0;
}

/* retake(): serve a detached wire again. */
static PyObject *
wire_retake(Wire *wire, PyObject *Py_UNUSED(nothing))
{
    if (!is_detached(wire)) {
        return NULL;
    }
    wire->flags &= ~(GONE | DETACHED);
    if (wire->via == VIA_SOCKET) {
        wire->flags &= ~(DISARMED | UNWATCHED);
        chain_add(&wire->pump->wires, (Wire *)Py_NewRef(wire));
        watch(wire, EPOLL_CTL_ADD);
    }
    if (wire->input_len && !(wire->flags & (PAUSED | GONE)) && later(wire) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* release(): let go of a detached wire, whose connection another process has. */
static PyObject *
wire_release(Wire *wire, PyObject *Py_UNUSED(nothing))
{
    if (!is_detached(wire)) {
        return NULL;
    }
    wire->flags &= ~DETACHED;
    if (wire->fd >= 0) {
        close(wire->fd);
        wire->fd = -1;
    }
    wire->via = VIA_NONE;
    Py_CLEAR(wire->transport);
    clear_outbox(wire->pump, &wire->out);
    drop_input(wire);
    Py_RETURN_NONE;
}

/* resume(wire, fd, unsent): serve a socket that another process has served, with its options as they
 * are. First `unsent` is written, which counts as written there. It is not read before
 * `resume_reading`. */
static PyObject *
pump_resume(Pump *pump, PyObject *args)
{
    PyObject *made;
    int fd;
    Py_buffer unsent;
    if (!PyArg_ParseTuple(args, "O!iy*:resume", wire_type, &made, &fd, &unsent)) {
        return NULL;
    }
    Wire *wire = (Wire *)made;
    struct epoll_event event = {.events = unsent.len ? EPOLLOUT : 0, .data.ptr = wire};
    if (wire->pump != pump || wire->via != VIA_NONE || wire->flags) {
        PyErr_SetString(PyExc_ValueError, "a wire is adopted once, by its own pump");
    }
    else if (put_bytes(pump, &wire->out, unsent.buf, (size_t)unsent.len) < 0) {
        PyErr_NoMemory();
    }
    else if (epoll_ctl(pump->epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
        clear_outbox(pump, &wire->out);
        PyErr_SetFromErrno(PyExc_OSError);
    }
    else {
        wire->fd = fd;
        wire->via = VIA_SOCKET;
        wire->flags = (uint16_t)(PAUSED | DISARMED | (unsent.len ? WANT_OUT : 0));
        chain_add(&pump->wires, (Wire *)Py_NewRef(wire));
    }
    PyBuffer_Release(&unsent);
    if (PyErr_Occurred()) {
        return NULL;
    }
    Py_RETURN_NONE;
}

#endif
