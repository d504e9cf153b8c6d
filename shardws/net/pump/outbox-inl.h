/* The outgoing queue of one wire: everything that leaves a connection stands here in its order. */

#ifndef SHARDWS_PUMP_OUTBOX_H
#define SHARDWS_PUMP_OUTBOX_H

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include "pump-inl.h"

#define SPARE_BYTES (64 * 1024)
#define FIRST_BYTES 512
#define MOST_VECTORS 16

static void lose(Wire *wire, int error);
static int schedule(Pump *pump);

/* -- chunks ------------------------------------------------------------------------------------- */

static Chunk *
new_chunk(size_t room)
{
    Chunk *chunk = PyMem_RawMalloc(sizeof *chunk + room);
    if (chunk != NULL) {
        *chunk = (Chunk){.data = (uint8_t *)(chunk + 1), .room = room};
    }
    return chunk;
}

static void
free_chunk(Pump *pump, Chunk *chunk)
{
    Py_XDECREF(chunk->owner);
    if (chunk->room == SPARE_BYTES && pump != NULL && pump->spare == NULL) {
        *chunk = (Chunk){.data = (uint8_t *)(chunk + 1), .room = SPARE_BYTES};
        pump->spare = chunk;
    }
    else {
        PyMem_RawFree(chunk);
    }
}

static void
clear_outbox(Pump *pump, Outbox *out)
{
    Chunk *chunk = out->first;
    *out = (Outbox){NULL, NULL, 0};
    while (chunk != NULL) {
        Chunk *next = chunk->next;
        free_chunk(pump, chunk);
        chunk = next;
    }
}

static void
link_chunk(Outbox *out, Chunk *chunk)
{
    if (out->last != NULL) {
        out->last->next = chunk;
    }
    else {
        out->first = chunk;
    }
    out->last = chunk;
}

/* Room for `size` bytes at the end of the queue, not yet counted; NULL without memory. */
static uint8_t *
reserve(Pump *pump, Outbox *out, size_t size)
{
    Chunk *last = out->last;
    if (last != NULL && last->owner == NULL && last->room - last->len >= size) {
        return (uint8_t *)last->data + last->len;
    }
    /* The wire that is served gets a block that serves the next one as well; others, of which there
     * may be thousands at a time, begin small. */
    Chunk *chunk = NULL;
    if (pump->spare != NULL && out->first == NULL && size <= SPARE_BYTES) {
        chunk = pump->spare;
        pump->spare = NULL;
    }
    else {
        size_t room = last != NULL && last->owner == NULL ? last->room * 2 : FIRST_BYTES;
        room = room > SPARE_BYTES ? SPARE_BYTES : room < FIRST_BYTES ? FIRST_BYTES : room;
        chunk = new_chunk(room < size ? size : room);
    }
    if (chunk == NULL) {
        return NULL;
    }
    link_chunk(out, chunk);
    return (uint8_t *)chunk->data;
}

static void
commit(Outbox *out, size_t size)
{
    out->last->len += size;
    out->size += size;
}

static void
drop_input(Wire *wire)
{
    PyMem_RawFree(wire->input);
    wire->input = NULL;
    wire->input_len = 0;
}

/* Bytes behind what waits; 0, or -1 without memory. */
static int
put_bytes(Pump *pump, Outbox *out, const uint8_t *bytes, size_t size)
{
    uint8_t *room = size ? reserve(pump, out, size) : NULL;
    if (size && room == NULL) {
        return -1;
    }
    if (size) {
        memcpy(room, bytes, size);
        commit(out, size);
    }
    return 0;
}

/* `head_size` bytes and a reference to a bytes object; 0, or -1 without memory: then neither. */
static int
put_reference(Pump *pump, Outbox *out, const uint8_t *head, size_t head_size, PyObject *bytes)
{
    Chunk *chunk = new_chunk(0);
    if (chunk == NULL) {
        return -1;
    }
    if (put_bytes(pump, out, head, head_size) < 0) {
        PyMem_RawFree(chunk);
        return -1;
    }
    chunk->owner = Py_NewRef(bytes);
    chunk->data = (const uint8_t *)PyBytes_AS_STRING(bytes);
    chunk->len = (size_t)PyBytes_GET_SIZE(bytes);
    link_chunk(out, chunk);
    out->size += chunk->len;
    return 0;
}

static size_t
put_header(uint8_t *out, uint8_t first, size_t size)
{
    out[0] = first;
    if (size < 126) {
        out[1] = (uint8_t)size;
        return 2;
    }
    if (size < 65536) {
        out[1] = 126;
        out[2] = (uint8_t)(size >> 8);
        out[3] = (uint8_t)size;
        return 4;
    }
    out[1] = 127;
    for (int at = 0; at < 8; at++) {
        out[2 + at] = (uint8_t)((uint64_t)size >> (56 - 8 * at));
    }
    return 10;
}

/* One unmasked frame (RFC 6455 5.2) of bytes in memory; 0, or -1 without memory. */
static int
put_copy(Pump *pump, Outbox *out, uint8_t first, const void *payload, size_t size)
{
    uint8_t head[10];
    size_t head_size = put_header(head, first, size);
    uint8_t *room = reserve(pump, out, head_size + size);
    if (room == NULL) {
        return -1;
    }
    memcpy(room, head, head_size);
    memcpy(room + head_size, payload, size);
    commit(out, head_size + size);
    return 0;
}

/* The same of a bytes object, or of anything with the buffer protocol; 0, or -1 with an exception. */
static int
put_frame(Pump *pump, Outbox *out, uint8_t first, PyObject *payload)
{
    if (PyBytes_CheckExact(payload)) {
        size_t size = (size_t)PyBytes_GET_SIZE(payload);
        if (size < LARGE_BYTES) {
            if (put_copy(pump, out, first, PyBytes_AS_STRING(payload), size) == 0) {
                return 0;
            }
        }
        else {
            uint8_t head[10];
            size_t head_size = put_header(head, first, size);
            if (put_reference(pump, out, head, head_size, payload) == 0) {
                return 0;
            }
        }
        PyErr_NoMemory();
        return -1;
    }
    Py_buffer view;
    if (PyObject_GetBuffer(payload, &view, PyBUF_SIMPLE) < 0) {
        return -1;
    }
    int failed = put_copy(pump, out, first, view.buf, (size_t)view.len);
    PyBuffer_Release(&view);
    if (failed < 0) {
        PyErr_NoMemory();
    }
    return failed;
}

/* -- to the kernel -------------------------------------------------------------------------------- */

static void
watch(Wire *wire, int how)
{
    struct epoll_event event = {.data.ptr = wire};
    if (wire->flags & UNWATCHED) {
        return;
    }
    if (!(wire->flags & (DISARMED | SAW_EOF))) {
        event.events |= EPOLLIN;
    }
    if (wire->flags & WANT_OUT) {
        event.events |= EPOLLOUT;
    }
    if (epoll_ctl(wire->pump->epoll, how, wire->fd, &event) < 0) {
        lose(wire, errno);
    }
}

static ssize_t
write_vectors(int fd, const Outbox *out)
{
    struct iovec vectors[MOST_VECTORS];
    size_t count = 0;
    for (Chunk *chunk = out->first; chunk != NULL && count < MOST_VECTORS; chunk = chunk->next) {
        vectors[count].iov_base = (void *)(chunk->data + chunk->pos);
        vectors[count++].iov_len = chunk->len - chunk->pos;
    }
    if (count == 1) {
        return send(fd, vectors[0].iov_base, vectors[0].iov_len, MSG_NOSIGNAL);
    }
    struct msghdr message = {.msg_iov = vectors, .msg_iovlen = count};
    return sendmsg(fd, &message, MSG_NOSIGNAL);
}

static void
drop_written(Pump *pump, Outbox *out, size_t written)
{
    out->size -= written;
    while (out->first != NULL) {
        Chunk *chunk = out->first;
        size_t left = chunk->len - chunk->pos;
        if (written < left) {
            chunk->pos += written;
            return;
        }
        written -= left;
        out->first = chunk->next;
        if (out->first == NULL) {
            out->last = NULL;
        }
        free_chunk(pump, chunk);
    }
}

/* A block that others could use is not left to a client that reads slowly. */
static void
release_spare(Wire *wire)
{
    Chunk *last = wire->out.last;
    if (wire->out.first != last || last == NULL || last->room != SPARE_BYTES || last->owner != NULL) {
        return;
    }
    size_t left = last->len - last->pos;
    Chunk *small = left <= SPARE_BYTES / 2 ? new_chunk(left) : NULL;
    if (small != NULL) {
        memcpy((uint8_t *)small->data, last->data + last->pos, left);
        small->len = left;
        wire->out.first = wire->out.last = small;
        free_chunk(wire->pump, last);
    }
}

static void
want_out(Wire *wire, int wanted)
{
    if (!(wire->flags & WANT_OUT) != !wanted) {
        wire->flags ^= WANT_OUT;
        watch(wire, EPOLL_CTL_MOD);
    }
}

/* Tell of the marks; the callback may do anything to the wire. */
static void
check_marks(Wire *wire)
{
    if (!(wire->blocked & BLOCKED_WIRE)) {
        if (wire->out.size > (size_t)wire->high) {
            call_wire(wire, name_pause_writing);
        }
    }
    else if (wire->out.size <= (size_t)wire->low) {
        call_wire(wire, name_resume_writing);
    }
}

/* Write to the kernel what it takes; the rest waits for EPOLLOUT. */
static void
write_socket(Wire *wire)
{
    Pump *pump = wire->pump;
    while (wire->out.size) {
        size_t wanted = wire->out.size;
        ssize_t written = write_vectors(wire->fd, &wire->out);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written < 0 && errno != EAGAIN) {
            lose(wire, errno);
            return;
        }
        if (written <= 0) {
            break;
        }
        drop_written(pump, &wire->out, (size_t)written);
        if ((size_t)written < wanted && wire->out.first != NULL && wire->out.first->pos) {
            break; /* it took a part of what it saw: its buffer is full */
        }
    }
    if (wire->out.size) {
        release_spare(wire);
        want_out(wire, 1);
    }
    else {
        want_out(wire, 0);
        if (wire->flags & CLOSE_OUT) {
            lose(wire, 0);
        }
        else if (wire->flags & FIN_OUT) {
            shutdown(wire->fd, SHUT_WR);
        }
    }
}

/* Hand everything to the transport: small chunks joined, large ones as they are. A write may tell of
 * a mark, which may lead to a flush in here: what is left stays queued, so that it keeps its order. */
static void
write_transport(Wire *wire)
{
    Chunk *chunk;
    while ((chunk = wire->out.first) != NULL) {
        wire->out.first = chunk->next;
        wire->out.last = chunk->next != NULL ? wire->out.last : NULL;
        wire->out.size -= chunk->len;
        PyObject *data = chunk->owner != NULL
                             ? Py_NewRef(chunk->owner)
                             : PyBytes_FromStringAndSize((const char *)chunk->data, (Py_ssize_t)chunk->len);
        free_chunk(wire->pump, chunk);
        PyObject *transport = Py_XNewRef(wire->transport); /* the call may detach it */
        PyObject *result =
            data == NULL || transport == NULL ? NULL : PyObject_CallMethodOneArg(transport, name_write, data);
        if (result == NULL && PyErr_Occurred()) {
            report(wire->pump, wire);
        }
        Py_XDECREF(result);
        Py_XDECREF(transport);
        Py_XDECREF(data);
    }
}

/* Count what is handed over now. */
static void
count_out(Wire *wire)
{
    Pump *pump = wire->pump;
    wire->active = pump->now;
    *pump->messages_out += wire->messages_queued;
    *pump->bytes_out += wire->bytes_queued;
    wire->messages_queued = 0;
    wire->bytes_queued = 0;
}

/* Write what is queued now. `wire` is kept by the caller. */
static void
flush(Wire *wire)
{
    if (!wire->out.size || wire->flags & GONE) {
        return;
    }
    if (wire->via == VIA_TRANSPORT) {
        count_out(wire);
        write_transport(wire);
    }
    else if (wire->via == VIA_SOCKET && !(wire->flags & WANT_OUT)) {
        count_out(wire);
        write_socket(wire);
        if (!(wire->flags & GONE)) {
            check_marks(wire);
        }
    }
}

/* Have a wire written at the end of this turn; 0, or -1 with an exception. */
static int
mark_dirty(Wire *wire)
{
    Pump *pump = wire->pump;
    if (wire->flags & WANT_OUT) {
        return 0;
    }
    if (!(wire->flags & DIRTY)) {
        if (list_add(&pump->dirty, wire) < 0) {
            PyErr_NoMemory();
            return -1;
        }
        wire->flags |= DIRTY;
    }
    return pump->depth || pump->is_scheduled ? 0 : schedule(pump);
}

#endif
