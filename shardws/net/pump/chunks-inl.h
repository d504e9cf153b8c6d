/* The outgoing queue of one wire: everything that leaves a connection stands here in its order. */

#ifndef SHARDWS_PUMP_CHUNKS_H
#define SHARDWS_PUMP_CHUNKS_H

#include "pump-inl.h"

#define SPARE_BYTES (64 * 1024)
#define FIRST_BYTES (512 - sizeof(Chunk)) /* the largest block that the allocator of objects serves */

static Chunk *
new_chunk(size_t room)
{
    Chunk *chunk = PyMem_Malloc(sizeof *chunk + room); /* a quarter of malloc's cost for small ones */
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
        PyMem_Free(chunk);
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
        PyMem_Free(chunk);
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

#endif
