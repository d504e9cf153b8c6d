/* From the outgoing queue of a wire to the kernel, or to its transport. */

#ifndef SHARDWS_PUMP_OUTBOX_H
#define SHARDWS_PUMP_OUTBOX_H

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include "chunks-inl.h"

#define MOST_VECTORS 16

static void lose(Wire *wire, int error);
static int schedule(Pump *pump);
static void write_records(Wire *inner);

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
        return send(fd, vectors[0].iov_base, vectors[0].iov_len, MSG_NOSIGNAL | MSG_DONTWAIT);
    }
    struct msghdr message = {.msg_iov = vectors, .msg_iovlen = count};
    return sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
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

/* Note in shared memory that the stream stands, as far as is known, inside a frame: whoever closes it
 * when this process has died must not write a frame there. */
static void
note_inside(Wire *wire, int is_inside)
{
    Py_buffer *sockets = &wire->pump->sockets;
    if (wire->cell > 0 && wire->cell < sockets->len / 4) {
        uint32_t *cell = (uint32_t *)sockets->buf + wire->cell;
        *cell = is_inside ? *cell | INSIDE : *cell & ~INSIDE;
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
    note_inside(wire, 1); /* before: this process may be killed while the kernel copies */
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
        note_inside(wire, 0);
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
        size_t left = chunk->len - chunk->pos; /* `pos`: OpenSSL took a part, then no more */
        wire->out.size -= left;
        PyObject *data = chunk->owner != NULL && !chunk->pos
                             ? Py_NewRef(chunk->owner)
                             : PyBytes_FromStringAndSize((const char *)chunk->data + chunk->pos, (Py_ssize_t)left);
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
        if (wire->tls != NULL) {
            write_records(wire);
        }
        write_transport(wire); /* what OpenSSL would not take, too */
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
    return ends_soon(pump) || pump->is_scheduled ? 0 : schedule(pump);
}

#endif
