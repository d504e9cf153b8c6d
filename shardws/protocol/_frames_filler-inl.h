/* The type Filler of _frames.c: one frame that arrives in pieces, in its final bytes object.
 *
 * The object is allocated at the frame's header and shown to nobody before its last byte is here.
 * Untouched pages take no memory, so an announced length alone costs address space only.
 */

#ifndef SHARDWS_FRAMES_FILLER_H
#define SHARDWS_FRAMES_FILLER_H

#include "_frames_bytes-inl.h"

typedef struct {
    PyObject_HEAD
    PyObject *payload; /* allocated whole, not yet seen by anyone; NULL when given away or broken */
    Py_ssize_t size;
    Py_ssize_t at; /* bytes that are here */
    Utf8 utf8;
    uint8_t key[4];
    uint8_t is_text;
} Filler;

static PyObject *
filler_new(PyTypeObject *type, PyObject *args, PyObject *names)
{
    int kind;
    Py_ssize_t size, key_size;
    const char *key;
    if (names != NULL && PyDict_GET_SIZE(names)) {
        PyErr_SetString(PyExc_TypeError, "Filler takes no keyword arguments");
        return NULL;
    }
    if (!PyArg_ParseTuple(args, "iny#:Filler", &kind, &size, &key, &key_size)) {
        return NULL;
    }
    if (size < 0 || key_size != 4) {
        PyErr_SetString(PyExc_ValueError, "size or key");
        return NULL;
    }
    Filler *self = (Filler *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->size = size;
    self->is_text = kind == 1;
    memcpy(self->key, key, 4);
    self->payload = PyBytes_FromStringAndSize(NULL, size);
    if (self->payload == NULL) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static void
filler_dealloc(Filler *self)
{
    PyTypeObject *type = Py_TYPE(self);
    Py_XDECREF(self->payload);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *
filler_feed(Filler *self, PyObject *const *args, Py_ssize_t count)
{
    if (count != 2 || !PyBytes_Check(args[0])) {
        PyErr_SetString(PyExc_TypeError, "feed(data: bytes, start: int)");
        return NULL;
    }
    Py_ssize_t start = PyLong_AsSsize_t(args[1]);
    if (start == -1 && PyErr_Occurred()) {
        return NULL;
    }
    Py_ssize_t there = PyBytes_GET_SIZE(args[0]) - start;
    if (self->payload == NULL || start < 0 || there < 0) {
        PyErr_SetString(PyExc_ValueError, "start is outside the data, or the filler has ended");
        return NULL;
    }
    Py_ssize_t size = self->size - self->at < there ? self->size - self->at : there;
    uint8_t *out = (uint8_t *)PyBytes_AS_STRING(self->payload) + self->at;
    uint64_t seen = unmask_into(out, (const uint8_t *)PyBytes_AS_STRING(args[0]) + start, size,
                                self->key, self->at & 3);
    self->at += size;
    if (self->is_text && (seen & HIGH_BITS || self->utf8.need) &&
        utf8_feed(&self->utf8, out, size) < 0) {
        Py_CLEAR(self->payload);
        PyErr_SetString(PyExc_ValueError, "invalid UTF-8");
        return NULL;
    }
    return PyLong_FromSsize_t(start + size);
}

/* taken(): the payload bytes that are here, unmasked. */
static PyObject *
filler_taken(Filler *self, PyObject *Py_UNUSED(nothing))
{
    const char *payload = self->payload == NULL ? NULL : PyBytes_AS_STRING(self->payload);
    return PyBytes_FromStringAndSize(payload, payload == NULL ? 0 : self->at);
}

static PyObject *
filler_finish(Filler *self, PyObject *Py_UNUSED(nothing))
{
    if (self->payload == NULL || self->at != self->size || self->utf8.need) {
        PyErr_SetString(PyExc_ValueError, "bytes are missing, or invalid UTF-8");
        return NULL;
    }
    PyObject *payload = self->payload;
    self->payload = NULL;
    return payload;
}

static PyObject *
filler_missing(Filler *self, void *Py_UNUSED(closure))
{
    return PyLong_FromSsize_t(self->size - self->at);
}

static PyMethodDef filler_methods[] = {
    {"feed", (PyCFunction)(void (*)(void))filler_feed, METH_FASTCALL, NULL},
    {"finish", (PyCFunction)filler_finish, METH_NOARGS, NULL},
    {"taken", (PyCFunction)filler_taken, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef filler_getset[] = {
    {"missing", (getter)filler_missing, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot filler_slots[] = {
    {Py_tp_new, filler_new},
    {Py_tp_dealloc, filler_dealloc},
    {Py_tp_methods, filler_methods},
    {Py_tp_getset, filler_getset},
    {0, NULL},
};

static PyType_Spec filler_spec = {
    .name = "shardws.protocol._frames.Filler",
    .basicsize = sizeof(Filler),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = filler_slots,
};

#endif
