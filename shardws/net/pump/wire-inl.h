/* What Python sees of a Wire: the sending methods, and those of a transport. */

#ifndef SHARDWS_PUMP_WIRE_H
#define SHARDWS_PUMP_WIRE_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include "outbox-inl.h"

static int later(Wire *wire);
static void read_on(Wire *wire);

/* -- the outbox ----------------------------------------------------------------------------------- */

/* Count what was queued, and look whether it became much. */
static void
was_queued(Wire *wire, size_t bytes, int is_message)
{
    wire->bytes_queued += bytes;
    wire->messages_queued += (uint32_t)is_message;
    if (wire->flags & WANT_OUT) {
        check_marks(wire);
    }
    else if (wire->out.size > TURN_BYTES) {
        flush(wire);
    }
}

/* Queue a frame; 0, or -1 with an exception. `is_message`: it ends a data message. */
static int
queue_frame(Wire *wire, uint8_t first, PyObject *payload, int is_message)
{
    if (mark_dirty(wire) < 0) { /* before: what is queued will be written */
        return -1;
    }
    size_t before = wire->out.size;
    if (put_frame(wire->pump, &wire->out, first, payload) < 0) {
        return -1;
    }
    was_queued(wire, wire->out.size - before, is_message);
    return 0;
}

/* Whether the wire itself frames a message now; else it is Python's to send. */
static int
sends_plain(const Wire *wire)
{
    return wire->state == OPEN && !wire->blocked && wire->is_plain && wire->via != VIA_NONE &&
           !(wire->flags & (GONE | CLOSE_OUT | FIN_OUT));
}

static int
is_usable(Wire *wire)
{
    if (wire->pump == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "the wire has no pump");
        return 0;
    }
    return !(wire->flags & (GONE | CLOSE_OUT | FIN_OUT)) && wire->via != VIA_NONE;
}

static PyObject *
wire_send(Wire *wire, PyObject *const *args, Py_ssize_t count)
{
    if (count != 2) {
        PyErr_SetString(PyExc_TypeError, "send(kind, payload)");
        return NULL;
    }
    long kind = PyLong_CheckExact(args[0]) ? PyLong_AsLong(args[0]) : 0;
    if (!sends_plain(wire) || (kind != 1 && kind != 2) || !PyBytes_CheckExact(args[1])) {
        PyErr_Clear();
        PyObject *stack[3] = {(PyObject *)wire, args[0], args[1]};
        return PyObject_VectorcallMethod(name_send_slowly, stack, 3 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    }
    wire->size = PyBytes_GET_SIZE(args[1]);
    if (queue_frame(wire, (uint8_t)(0x80 | kind), args[1], 1) < 0) {
        return NULL;
    }
    return Py_NewRef(wire->pump->queued);
}

/* What is appended belongs to something: a message of several frames, a compressed stream, the
 * closing handshake. Without it the peer would read nonsense, so this ends TCP when there was no
 * memory for it; the exception stays. */
static void
end_without_memory(Wire *wire)
{
    if (PyErr_Occurred() && PyErr_ExceptionMatches(PyExc_MemoryError) && wire->pump != NULL) {
        end_wire(wire);
    }
}

/* append(first, payload, is_message): one frame behind what waits, whatever blocks. */
static PyObject *
wire_append(Wire *wire, PyObject *args)
{
    int first, is_message;
    PyObject *payload;
    if (!PyArg_ParseTuple(args, "iOp:append", &first, &payload, &is_message)) {
        return NULL;
    }
    if (first < 0 || first > 255) {
        PyErr_SetString(PyExc_ValueError, "the first byte is not in range(256)");
        return NULL;
    }
    int usable = is_usable(wire);
    if (usable) {
        usable = queue_frame(wire, (uint8_t)first, payload, is_message) < 0 ? 0 : 1;
        end_without_memory(wire);
    }
    return PyErr_Occurred() ? NULL : PyBool_FromLong(usable);
}

/* write(data): bytes that are framed already, or no frames; they leave with the rest. */
static PyObject *
wire_write(Wire *wire, PyObject *data)
{
    Py_buffer view;
    if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0) {
        return NULL;
    }
    if (is_usable(wire) && mark_dirty(wire) == 0) {
        if (put_bytes(wire->pump, &wire->out, view.buf, (size_t)view.len) < 0) {
            PyErr_NoMemory();
        }
        else {
            was_queued(wire, wire->is_carrier ? 0 : (size_t)view.len, 0);
        }
    }
    PyBuffer_Release(&view);
    end_without_memory(wire);
    if (PyErr_Occurred()) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* forget_input(): drop what was read and is not served yet. */
static PyObject *
wire_forget_input(Wire *wire, PyObject *Py_UNUSED(nothing))
{
    drop_input(wire);
    Py_RETURN_NONE;
}

static PyObject *
wire_flush(Wire *wire, PyObject *Py_UNUSED(nothing))
{
    if (wire->pump != NULL) {
        flush(wire);
    }
    Py_RETURN_NONE;
}

/* -- TCP ------------------------------------------------------------------------------------------ */

/* Call a method of the transport without arguments; an exception is reported. */
static void
call_transport(Wire *wire, const char *name)
{
    if (wire->transport == NULL) {
        return;
    }
    PyObject *transport = Py_NewRef(wire->transport); /* the call may detach it */
    PyObject *result = PyObject_CallMethod(transport, name, NULL);
    if (result == NULL) {
        report(wire->pump, wire);
    }
    Py_XDECREF(result);
    Py_DECREF(transport);
}

/* close_wire(): end TCP when everything is written. */
static PyObject *
wire_close(Wire *wire, PyObject *Py_UNUSED(nothing))
{
    if (wire->via == VIA_TRANSPORT) {
        flush(wire);
        call_transport(wire, "close");
    }
    if (wire->via != VIA_SOCKET || wire->flags & GONE) {
        Py_RETURN_NONE;
    }
    wire->flags |= CLOSE_OUT | PAUSED;
    if (!wire->out.size) {
        lose(wire, 0);
    }
    else if (!(wire->flags & WANT_OUT)) {
        count_out(wire);
        write_socket(wire); /* which closes when all is written */
    }
    Py_RETURN_NONE;
}

/* abort_wire(): end TCP at once. */
static PyObject *
wire_abort(Wire *wire, PyObject *Py_UNUSED(nothing))
{
    if (wire->via == VIA_TRANSPORT) {
        call_transport(wire, "abort");
    }
    else if (wire->via == VIA_SOCKET) {
        lose(wire, 0);
    }
    Py_RETURN_NONE;
}

/* end_output(): send FIN when everything is written; go on reading. */
static PyObject *
wire_end_output(Wire *wire, PyObject *Py_UNUSED(nothing))
{
    if (wire->via == VIA_TRANSPORT) {
        flush(wire);
        call_transport(wire, "write_eof");
    }
    if (wire->via != VIA_SOCKET || wire->flags & (GONE | FIN_OUT)) {
        Py_RETURN_NONE;
    }
    wire->flags |= FIN_OUT;
    if (!wire->out.size) {
        shutdown(wire->fd, SHUT_WR);
    }
    else if (!(wire->flags & WANT_OUT)) {
        count_out(wire);
        write_socket(wire); /* which sends the FIN when all is written */
    }
    Py_RETURN_NONE;
}

static PyObject *
wire_pause_reading(Wire *wire, PyObject *Py_UNUSED(nothing))
{
    if (wire->via == VIA_TRANSPORT) {
        call_transport(wire, "pause_reading");
    }
    wire->flags |= PAUSED; /* EPOLLIN goes when data comes: most pauses are shorter than that */
    Py_RETURN_NONE;
}

static PyObject *
wire_resume_reading(Wire *wire, PyObject *Py_UNUSED(nothing))
{
    if (wire->via == VIA_NONE || wire->flags & (GONE | CLOSE_OUT)) {
        Py_RETURN_NONE;
    }
    wire->flags &= ~PAUSED;
    if (!wire->input_len) {
        read_on(wire);
    }
    else if (later(wire) < 0) { /* reading goes on when that is served */
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
wire_queued(Wire *wire, void *Py_UNUSED(closure))
{
    size_t below = 0;
    if (wire->via == VIA_TRANSPORT && wire->transport != NULL) {
        PyObject *size = PyObject_CallMethod(wire->transport, "get_write_buffer_size", NULL);
        if (size == NULL) {
            return NULL;
        }
        below = PyLong_AsSize_t(size);
        Py_DECREF(size);
    }
    return PyErr_Occurred() ? NULL : PyLong_FromSize_t(wire->out.size + below);
}

static PyObject *
wire_is_attached(Wire *wire, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(wire->via != VIA_NONE && !(wire->flags & GONE));
}

/* Write an address as inet_ntop does, which takes six times the instructions; return its size. */
static Py_ssize_t
put_ipv4(char *text, const struct in_addr *address)
{
    const uint8_t *bytes = (const uint8_t *)&address->s_addr;
    char *at = text;
    for (int part = 0; part < 4; part++) {
        uint8_t number = bytes[part];
        if (number >= 100) {
            *at++ = (char)('0' + number / 100);
        }
        if (number >= 10) {
            *at++ = (char)('0' + number / 10 % 10);
        }
        *at++ = (char)('0' + number % 10);
        *at++ = '.';
    }
    return at - 1 - text;
}

static PyObject *
address_of(int fd, int (*ask)(int, struct sockaddr *, socklen_t *))
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address;
    socklen_t size = sizeof address;
    char text[INET6_ADDRSTRLEN];
    if (fd < 0 || ask(fd, &address.any, &size) < 0) {
        Py_RETURN_NONE;
    }
    if (address.any.sa_family == AF_INET) {
        PyObject *host = PyUnicode_DecodeASCII(text, put_ipv4(text, &address.v4.sin_addr), NULL);
        PyObject *port = host != NULL ? PyLong_FromLong(ntohs(address.v4.sin_port)) : NULL;
        PyObject *both = port != NULL ? PyTuple_Pack(2, host, port) : NULL;
        Py_XDECREF(host);
        Py_XDECREF(port);
        return both;
    }
    if (address.any.sa_family == AF_INET6) {
        inet_ntop(AF_INET6, &address.v6.sin6_addr, text, sizeof text);
        return Py_BuildValue("(siIk)", text, (int)ntohs(address.v6.sin6_port),
                             (unsigned int)ntohl(address.v6.sin6_flowinfo),
                             (unsigned long)address.v6.sin6_scope_id);
    }
    Py_RETURN_NONE;
}

/* get_extra_info(name): peername, sockname, and socket, which is the wire itself. */
static PyObject *
wire_get_extra_info(Wire *wire, PyObject *asked)
{
    const char *name = PyUnicode_AsUTF8(asked);
    if (name == NULL) {
        return NULL;
    }
    if (wire->transport != NULL) {
        return PyObject_CallMethod(wire->transport, "get_extra_info", "s", name);
    }
    if (strcmp(name, "peername") == 0) {
        return address_of(wire->fd, getpeername);
    }
    if (strcmp(name, "sockname") == 0) {
        return address_of(wire->fd, getsockname);
    }
    return Py_NewRef(strcmp(name, "socket") == 0 ? (PyObject *)wire : Py_None);
}

static PyObject *
wire_setsockopt(Wire *wire, PyObject *args)
{
    int level, name, value;
    if (!PyArg_ParseTuple(args, "iii:setsockopt", &level, &name, &value)) {
        return NULL;
    }
    if (setsockopt(wire->fd, level, name, &value, sizeof value) < 0) {
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    Py_RETURN_NONE;
}

#define LONGEST_OPTION 1024

/* getsockopt(level, name[, size]): a number, or bytes when `size` says how many. */
static PyObject *
wire_getsockopt(Wire *wire, PyObject *args)
{
    int level, name, value = 0, most = 0;
    socklen_t size = sizeof value;
    if (!PyArg_ParseTuple(args, "ii|i:getsockopt", &level, &name, &most)) {
        return NULL;
    }
    if (most) {
        char option[LONGEST_OPTION];
        if (most < 0 || most > LONGEST_OPTION) {
            PyErr_SetString(PyExc_ValueError, "the size of an option is 1 to 1024");
            return NULL;
        }
        size = (socklen_t)most;
        if (getsockopt(wire->fd, level, name, option, &size) < 0) {
            return PyErr_SetFromErrno(PyExc_OSError);
        }
        return PyBytes_FromStringAndSize(option, (Py_ssize_t)size);
    }
    if (getsockopt(wire->fd, level, name, &value, &size) < 0) {
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    return PyLong_FromLong(value);
}

static PyObject *
wire_fileno(Wire *wire, PyObject *Py_UNUSED(nothing))
{
    return PyLong_FromLong(wire->fd);
}

#endif
