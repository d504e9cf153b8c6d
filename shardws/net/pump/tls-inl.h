/* TLS in the data path: records of a socket to frames of its connection, and back.
 *
 * Two wires stand behind a TLS client: a carrier, which owns the socket and carries records, and
 * the connection, which knows plaintext alone. While the stream is open and ordinary, both share a
 * TLS: a read goes through OpenSSL straight to the frames, and what the connection has queued
 * leaves in one write. OpenSSL is pyOpenSSL's: it is called by address (shardws.tls.ffi).
 *   - No call in here leads into Python: a context whose callbacks could is never handed down.
 *   - What is not data (an alert, a new key, a renegotiation) ends the sharing: the carrier tells
 *     Python what OpenSSL returned, which goes on from there and may share again later.
 *   - OpenSSL is asked once for each whole record, so that it rarely has to say that it has none. */

#ifndef SHARDWS_PUMP_TLS_H
#define SHARDWS_PUMP_TLS_H

#include "input-inl.h"

#define RECORD 16384               /* plaintext of one record at most (RFC 8446 5.1) */
#define LONGEST_RECORD (RECORD + 2048) /* ciphertext, without the header (RFC 5246 6.2.3) */
#define RECORD_HEADER 5
#define RECORD_MORE 512            /* header, tag and padding of a record take less */
#define FED_BYTES (32 * 1024)      /* given to OpenSSL at once: a memory BIO never shrinks */

struct TLS {
    Wire *carrier;    /* which has the reference to this */
    Wire *inner;      /* the connection; with a reference */
    PyObject *keeper; /* pyOpenSSL's Connection, which owns what follows */
    void *ssl, *into, *from;
    int (*read)(void *ssl, void *data, int size);
    int (*write)(void *ssl, const void *data, int size);
    int (*take)(void *bio, void *data, int size);
    int (*give)(void *bio, const void *data, int size);
    uint32_t missing; /* bytes of the current record still to come */
    uint8_t head[RECORD_HEADER]; /* of a record whose header is not whole */
    uint8_t head_len;
};

static PyTypeObject *wire_type; /* share-inl.h */

static int
is_carrier_of(const TLS *tls, const Wire *wire)
{
    return tls != NULL && tls->carrier == wire;
}

/* End the sharing; either wire may be given. */
static void
stop_tls(Wire *wire)
{
    TLS *tls = wire->tls;
    if (tls != NULL) {
        tls->carrier->tls = tls->inner->tls = NULL; /* before: who is dropped may call us */
        Py_DECREF(tls->keeper);
        Py_DECREF(tls->inner);
        PyMem_RawFree(tls);
    }
}

/* Tell Python, by a method of the carrier, where OpenSSL stopped; takes over `data`. Sharing has
 * ended then, and the count of records goes along. */
static void
tell_stopped(Wire *carrier, PyObject *name, PyObject *data, int result, int left, const uint8_t *rest,
             size_t rest_size)
{
    TLS *tls = carrier->tls;
    PyObject *args = data == NULL
                         ? NULL
                         : Py_BuildValue("Niiy#y#I", data, result, left, rest, (Py_ssize_t)rest_size,
                                         tls->head, (Py_ssize_t)tls->head_len, (unsigned int)tls->missing);
    stop_tls(carrier);
    PyObject *method = args != NULL ? PyObject_GetAttr((PyObject *)carrier, name) : NULL;
    PyObject *told = method != NULL ? PyObject_CallObject(method, args) : NULL;
    if (told == NULL) { /* without memory the state of the stream is lost: `report` ends it */
        report(carrier->pump, carrier);
    }
    Py_XDECREF(told);
    Py_XDECREF(method);
    Py_XDECREF(args);
}

/* -- reading -------------------------------------------------------------------------------------- */

/* How many records end in these bytes; see shardws.tls.records. */
static int
count_records(TLS *tls, const uint8_t *at, size_t size)
{
    const uint8_t *end = at + size;
    int complete = 0;
    while (at < end) {
        if (tls->missing) {
            size_t step = (size_t)(end - at) < tls->missing ? (size_t)(end - at) : tls->missing;
            at += step;
            tls->missing -= (uint32_t)step;
            complete += !tls->missing;
            continue;
        }
        tls->head[tls->head_len++] = *at++;
        if (tls->head_len == RECORD_HEADER) {
            tls->head_len = 0;
            tls->missing = (uint32_t)tls->head[3] << 8 | tls->head[4];
            complete += !tls->missing || tls->missing > LONGEST_RECORD;
        }
    }
    return complete;
}

/* Give the connection plaintext, which is in a buffer of this turn. */
static void
give_plaintext(Wire *inner, const uint8_t *at, const uint8_t *end)
{
    if (at == end) {
        return;
    }
    Py_INCREF(inner);
    inner->seen = inner->pump->now;
    if (inner->input_len || inner->flags & BUSY) {
        keep_input(inner, at, (size_t)(end - at), 0);
    }
    else {
        serve(inner, at, end);
    }
    flush(inner);
    Py_DECREF(inner);
}

/* What one read brought: RECORDS_BYTES at most, in a buffer of READ_BYTES, whose rest gets the
 * plaintext. OpenSSL may have the beginning of one more record from before. */
static void
read_records(Wire *carrier, uint8_t *buffer, size_t size)
{
    TLS *tls = carrier->tls;
    uint8_t *plain = buffer + RECORDS_BYTES, *end = plain;
    for (size_t at = 0; at < size;) {
        size_t step = size - at < FED_BYTES ? size - at : FED_BYTES;
        int records = count_records(tls, buffer + at, step);
        if (tls->give(tls->into, buffer + at, (int)step) != (int)step) {
            lose(carrier, ENOMEM);
            return;
        }
        at += step;
        for (; records; records--) {
            int got = tls->read(tls->ssl, end, RECORD);
            if (got <= 0) {
                PyObject *before = PyBytes_FromStringAndSize((const char *)plain, end - plain);
                tell_stopped(carrier, name_read_stopped, before, got, records, buffer + at, size - at);
                return;
            }
            end += got;
        }
    }
    give_plaintext(tls->inner, plain, end);
}

/* -- writing -------------------------------------------------------------------------------------- */

/* The next bytes that fit into one record: of the first chunk, or of several in `scratch`. */
static const uint8_t *
next_piece(const Outbox *out, uint8_t *scratch, size_t *size)
{
    const Chunk *chunk = out->first;
    size_t left = chunk->len - chunk->pos;
    if (left >= RECORD || chunk->next == NULL) {
        *size = left < RECORD ? left : RECORD;
        return chunk->data + chunk->pos;
    }
    *size = 0;
    for (; chunk != NULL && *size < RECORD; chunk = chunk->next) {
        size_t some = chunk->len - chunk->pos, room = RECORD - *size;
        some = some < room ? some : room;
        memcpy(scratch + *size, chunk->data + chunk->pos, some);
        *size += some;
    }
    return scratch;
}

/* Queue what OpenSSL has written for `size` bytes of plaintext; 0, or -1 without memory. */
static int
take_records(const TLS *tls, size_t size)
{
    Wire *carrier = tls->carrier;
    size_t most = size + RECORD_MORE;
    int taken;
    do {
        uint8_t *room = reserve(carrier->pump, &carrier->out, most);
        if (room == NULL) {
            return -1;
        }
        taken = tls->take(tls->from, room, (int)most);
        commit(&carrier->out, taken > 0 ? (size_t)taken : 0);
    } while (taken == (int)most);
    return 0;
}

/* Put what the connection has queued into records; 0 when OpenSSL or the memory fails. */
static int
seal(Wire *inner)
{
    TLS *tls = inner->tls;
    uint8_t scratch[RECORD];
    while (inner->out.size) {
        size_t size;
        const uint8_t *data = next_piece(&inner->out, scratch, &size);
        int sealed = tls->write(tls->ssl, data, (int)size); /* the client may have asked for less */
        if (sealed <= 0) {
            PyObject *piece = PyBytes_FromStringAndSize((const char *)data, (Py_ssize_t)size);
            drop_written(inner->pump, &inner->out, size);
            tell_stopped(tls->carrier, name_write_stopped, piece, sealed, 0, scratch, 0);
            return 0;
        }
        drop_written(inner->pump, &inner->out, (size_t)sealed);
        if (take_records(tls, (size_t)sealed) < 0) {
            lose(tls->carrier, ENOMEM);
            return 0;
        }
    }
    return 1;
}

/* Write what the connection has queued: as few records as it needs, and one write. */
static void
write_records(Wire *inner)
{
    Wire *carrier = inner->tls->carrier;
    if (carrier->flags & (GONE | CLOSE_OUT | FIN_OUT)) {
        clear_outbox(inner->pump, &inner->out);
        return;
    }
    Py_INCREF(carrier);
    if (seal(inner)) {
        if (carrier->flags & WANT_OUT) {
            check_marks(carrier);
        }
        else {
            flush(carrier);
        }
    }
    Py_DECREF(carrier);
}

/* -- what Python sees of it ----------------------------------------------------------------------- */

static int
may_share(Wire *carrier, Wire *inner)
{
    if (inner->pump == NULL || inner->pump != carrier->pump || inner->via != VIA_TRANSPORT ||
        !carrier->is_carrier || carrier->via != VIA_SOCKET) {
        PyErr_SetString(PyExc_ValueError, "a carrier with a socket, and a connection of the same pump");
        return 0;
    }
    if (carrier->tls != NULL || inner->tls != NULL || carrier->flags & GONE) {
        PyErr_SetString(PyExc_ValueError, "records are carried already, or no longer");
        return 0;
    }
    return 1;
}

/* start_tls(inner, keeper, pointers, head, missing): carry the records of `inner` from now on.
 * `pointers`: SSL_read, SSL_write, BIO_read, BIO_write, the SSL, and its BIOs in and out. */
static PyObject *
wire_start_tls(Wire *carrier, PyObject *args)
{
    PyObject *inner, *keeper;
    unsigned long long found[7];
    const char *head;
    Py_ssize_t head_len;
    unsigned int missing;
    if (!PyArg_ParseTuple(args, "O!O(KKKKKKK)y#I:start_tls", wire_type, &inner, &keeper,
                          &found[0], &found[1], &found[2], &found[3], &found[4], &found[5], &found[6],
                          &head, &head_len, &missing)) {
        return NULL;
    }
    if (!may_share(carrier, (Wire *)inner)) {
        return NULL;
    }
    if (head_len >= RECORD_HEADER) {
        return PyErr_Format(PyExc_ValueError, "a whole header");
    }
    TLS *tls = PyMem_RawMalloc(sizeof *tls);
    if (tls == NULL) {
        return PyErr_NoMemory();
    }
    *tls = (TLS){.carrier = carrier, .inner = (Wire *)Py_NewRef(inner), .keeper = Py_NewRef(keeper),
                 .read = (int (*)(void *, void *, int))(uintptr_t)found[0],
                 .write = (int (*)(void *, const void *, int))(uintptr_t)found[1],
                 .take = (int (*)(void *, void *, int))(uintptr_t)found[2],
                 .give = (int (*)(void *, const void *, int))(uintptr_t)found[3],
                 .ssl = (void *)(uintptr_t)found[4], .into = (void *)(uintptr_t)found[5],
                 .from = (void *)(uintptr_t)found[6], .missing = missing, .head_len = (uint8_t)head_len};
    memcpy(tls->head, head, (size_t)head_len);
    carrier->tls = ((Wire *)inner)->tls = tls;
    Py_RETURN_NONE;
}

static PyObject * /* stop_tls(): Python reads and writes the records from now on */
wire_stop_tls(Wire *carrier, PyObject *Py_UNUSED(nothing))
{
    stop_tls(carrier);
    Py_RETURN_NONE;
}

#endif
