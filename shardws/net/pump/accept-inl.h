/* Sockets that come from elsewhere than accept(2): from another process, or from another wire. */

#ifndef SHARDWS_PUMP_ACCEPT_H
#define SHARDWS_PUMP_ACCEPT_H

#include <fcntl.h>
#include "share-inl.h"

/* hand_over(wire, next): have another wire serve a socket of ours; calls connection_made(next).
 *
 * What was read stays with who read it, and nothing may be queued. An outer turn may have an event of
 * the first wire in hand, so that is kept until the turn ends, and counts as gone. */
static PyObject *
pump_hand_over(Pump *pump, PyObject *args)
{
    Wire *wire, *next;
    if (!PyArg_ParseTuple(args, "O!O!:hand_over", wire_type, &wire, wire_type, &next)) {
        return NULL;
    }
    if (wire->pump != pump || wire->via != VIA_SOCKET || wire->flags & ~(DIRTY | HAS_MORE) ||
        wire->out.size || wire->input_len || next->pump != pump || next->via != VIA_NONE || next->flags) {
        PyErr_SetString(PyExc_ValueError, "a socket at rest is handed over, to a new wire of its pump");
        return NULL;
    }
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = next};
    if (epoll_ctl(pump->epoll, EPOLL_CTL_MOD, wire->fd, &event) < 0) {
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    chain_remove(&pump->wires, wire);
    chain_add(&pump->buried, wire); /* with the reference of Pump.wires */
    next->fd = wire->fd;
    next->via = VIA_SOCKET;
    chain_add(&pump->wires, (Wire *)Py_NewRef(next));
    wire->fd = -1;
    wire->flags |= GONE;
    PyObject *result = PyObject_CallMethodOneArg((PyObject *)next, name_connection_made, (PyObject *)next);
    if (result == NULL) {
        report(pump, next);
    }
    Py_XDECREF(result);
    Py_RETURN_NONE;
}

#define OVER (-1) /* in place of an errno: the other end has let go */

/* The descriptor that came with a message, without blocking; -1 when there was none. */
static int
descriptor_in(struct msghdr *message)
{
    struct cmsghdr *part = CMSG_FIRSTHDR(message);
    if (part == NULL || part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS ||
        part->cmsg_len < CMSG_LEN(sizeof(int))) {
        return -1;
    }
    int fd;
    memcpy(&fd, CMSG_DATA(part), sizeof fd);
    int flags = fcntl(fd, F_GETFL);
    if (flags >= 0 && !(flags & O_NONBLOCK)) {
        fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    }
    return fd;
}

/* Receive one message of one byte; 0, OVER or an errno. `fd` is the socket with it, -1 for none. */
static int
take_message(int way, int *fd)
{
    char byte;
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec data = {&byte, 1};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = &control,
                             .msg_controllen = sizeof control};
    ssize_t size;
    do {
        size = recvmsg(way, &message, MSG_CMSG_CLOEXEC);
    } while (size < 0 && errno == EINTR);
    if (size < 0) {
        return errno;
    }
    *fd = descriptor_in(&message);
    return size == 0 ? OVER : 0;
}

/* take(fd, most): take sockets that another process hands over, one a message; return them, how many
 * messages came without theirs, and what ended it: 0, -1 at the end of the stream, or an errno. */
static PyObject *
pump_take(Pump *Py_UNUSED(pump), PyObject *args)
{
    int way, most, error = 0, missing = 0;
    if (!PyArg_ParseTuple(args, "ii:take", &way, &most)) {
        return NULL;
    }
    PyObject *taken = PyList_New(0);
    for (; taken != NULL && most > 0; most--) {
        int fd = -1;
        error = take_message(way, &fd);
        if (fd >= 0) {
            PyObject *number = PyLong_FromLong(fd);
            int failed = number == NULL || PyList_Append(taken, number) < 0;
            Py_XDECREF(number);
            if (failed) {
                close(fd);
                close_all(taken);
                Py_CLEAR(taken);
            }
        }
        if (error) {
            break;
        }
        missing += fd < 0;
    }
    return taken == NULL ? NULL : Py_BuildValue("Nii", taken, missing, error == EAGAIN ? 0 : error);
}

#endif
