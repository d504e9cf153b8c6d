/* The C body of the codec, for bytes from the network; frames.py documents the contract.
 *
 * Owns no state beyond one Filler's; knows no session. What keeps it safe:
 *   - lengths from the wire are compared with what is there by subtraction, never added first;
 *   - nothing is read or written beyond [0, end) of the input, or the size of an output that was
 *     allocated for exactly what the same pass counted;
 *   - a bytes object leaves this file only when every byte of it was written;
 *   - no Python code can run between the two passes of join(): only exact ints, tuples and bytes.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include "_frames_bytes.h"
#include "_frames_filler.h"

#define FIN_TEXT 0x81
#define FIN_BINARY 0x82
#define MASKED 0x80

static PyObject *
unmask(PyObject *Py_UNUSED(module), PyObject *args)
{
    const char *data, *key;
    Py_ssize_t size, start, stop, key_size;
    if (!PyArg_ParseTuple(args, "y#nny#:unmask", &data, &size, &start, &stop, &key, &key_size)) {
        return NULL;
    }
    if (key_size != 4 || start < 0 || stop < start || stop > size) {
        PyErr_SetString(PyExc_ValueError, "range or key");
        return NULL;
    }
    PyObject *plain = PyBytes_FromStringAndSize(NULL, stop - start);
    if (plain != NULL) {
        unmask_into((uint8_t *)PyBytes_AS_STRING(plain), (const uint8_t *)data + start,
                    stop - start, (const uint8_t *)key, 0);
    }
    return plain;
}

/* -- parse ---------------------------------------------------------------------------------------- */

typedef struct {
    const uint8_t *body; /* payload, behind its key */
    Py_ssize_t size;
    int kind;
} Found;

/* Read the header of an ordinary frame that is complete in [at, end); 1 found, 0 anything else. */
static int
find_frame(const uint8_t *at, const uint8_t *end, Py_ssize_t max_size, Found *found)
{
    if (end - at < 6 || (at[0] != FIN_TEXT && at[0] != FIN_BINARY) || !(at[1] & MASKED)) {
        return 0;
    }
    uint64_t size = at[1] & 0x7F;
    const uint8_t *body = at + 6;
    if (size == 126) {
        if (end - at < 8) {
            return 0;
        }
        size = (uint64_t)at[2] << 8 | at[3];
        if (size < 126) {
            return 0;
        }
        body = at + 8;
    }
    else if (size == 127) {
        if (end - at < 14) {
            return 0;
        }
        size = 0;
        for (int i = 2; i < 10; i++) {
            size = size << 8 | at[i];
        }
        if (size < 65536) {
            return 0;
        }
        body = at + 14;
    }
    if (size > (uint64_t)(end - body) || max_size < 0 || size > (uint64_t)max_size) {
        return 0;
    }
    found->body = body;
    found->size = (Py_ssize_t)size;
    found->kind = at[0] & 0x0F;
    return 1;
}

/* 1: appended; 0: not valid as text; -1: an exception is set. */
static int
append_item(PyObject *items, const Found *found)
{
    PyObject *payload = PyBytes_FromStringAndSize(NULL, found->size);
    if (payload == NULL) {
        return -1;
    }
    uint8_t *out = (uint8_t *)PyBytes_AS_STRING(payload);
    uint64_t seen = unmask_into(out, found->body, found->size, found->body - 4, 0);
    if (found->kind == 1 && seen & HIGH_BITS) {
        Utf8 state = {0, 0, 0};
        if (utf8_feed(&state, out, found->size) < 0 || state.need) {
            Py_DECREF(payload);
            return 0;
        }
    }
    PyObject *kind = PyLong_FromLong(found->kind);
    PyObject *item = kind != NULL ? PyTuple_New(3) : NULL;
    if (item == NULL) {
        Py_XDECREF(kind);
        Py_DECREF(payload);
        return -1;
    }
    PyTuple_SET_ITEM(item, 0, kind);
    PyTuple_SET_ITEM(item, 1, payload);
    Py_INCREF(Py_True);
    PyTuple_SET_ITEM(item, 2, Py_True);
    int failed = PyList_Append(items, item);
    Py_DECREF(item);
    return failed < 0 ? -1 : 1;
}

static PyObject *
parse(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    if (count < 2 || count > 3 || !PyBytes_Check(args[0])) {
        PyErr_SetString(PyExc_TypeError, "parse(data: bytes, max_size: int, start: int = 0)");
        return NULL;
    }
    const uint8_t *data = (const uint8_t *)PyBytes_AS_STRING(args[0]);
    const uint8_t *end = data + PyBytes_GET_SIZE(args[0]);
    Py_ssize_t max_size = PyLong_AsSsize_t(args[1]);
    Py_ssize_t start = count == 3 ? PyLong_AsSsize_t(args[2]) : 0;
    if (PyErr_Occurred()) {
        return NULL;
    }
    if (start < 0 || start > end - data) {
        PyErr_SetString(PyExc_ValueError, "start is outside the data");
        return NULL;
    }
    PyObject *items = PyList_New(0);
    if (items == NULL) {
        return NULL;
    }
    const uint8_t *at = data + start;
    Found found;
    while (find_frame(at, end, max_size, &found)) {
        int appended = append_item(items, &found);
        if (appended < 0) {
            Py_DECREF(items);
            return NULL;
        }
        if (!appended) {
            break;
        }
        at = found.body + found.size;
    }
    return Py_BuildValue("Nn", items, (Py_ssize_t)(at - data));
}

/* -- join ----------------------------------------------------------------------------------------- */

static Py_ssize_t
header_size(Py_ssize_t size)
{
    return size < 126 ? 2 : size < 65536 ? 4 : 10;
}

/* Bytes of one frame on the wire, or -1 with an exception; runs no Python code. */
static Py_ssize_t
frame_size(PyObject *frame)
{
    if (!PyTuple_CheckExact(frame) || PyTuple_GET_SIZE(frame) != 2 ||
        !PyLong_CheckExact(PyTuple_GET_ITEM(frame, 0)) ||
        !PyBytes_CheckExact(PyTuple_GET_ITEM(frame, 1))) {
        PyErr_SetString(PyExc_TypeError, "a frame is (first byte: int, payload: bytes)");
        return -1;
    }
    long first = PyLong_AsLong(PyTuple_GET_ITEM(frame, 0));
    if (first < 0 || first > 255) {
        if (!PyErr_Occurred()) {
            PyErr_SetString(PyExc_ValueError, "the first byte is not in range(256)");
        }
        return -1;
    }
    Py_ssize_t size = PyBytes_GET_SIZE(PyTuple_GET_ITEM(frame, 1));
    return size + header_size(size); /* no overflow: bytes objects end far below SSIZE_MAX */
}

static uint8_t *
put_frame(uint8_t *out, PyObject *frame)
{
    PyObject *payload = PyTuple_GET_ITEM(frame, 1);
    Py_ssize_t size = PyBytes_GET_SIZE(payload);
    *out++ = (uint8_t)PyLong_AsLong(PyTuple_GET_ITEM(frame, 0));
    if (size < 126) {
        *out++ = (uint8_t)size;
    }
    else if (size < 65536) {
        *out++ = 126;
        *out++ = (uint8_t)(size >> 8);
        *out++ = (uint8_t)size;
    }
    else {
        *out++ = 127;
        for (int shift = 56; shift >= 0; shift -= 8) {
            *out++ = (uint8_t)((uint64_t)size >> shift);
        }
    }
    memcpy(out, PyBytes_AS_STRING(payload), (size_t)size);
    return out + size;
}

static PyObject *
join(PyObject *Py_UNUSED(module), PyObject *frames)
{
    if (!PyList_CheckExact(frames)) {
        PyErr_SetString(PyExc_TypeError, "join(frames: list)");
        return NULL;
    }
    Py_ssize_t count = PyList_GET_SIZE(frames), total = 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        Py_ssize_t size = frame_size(PyList_GET_ITEM(frames, i));
        if (size < 0) {
            return NULL;
        }
        if (size > PY_SSIZE_T_MAX - total) {
            return PyErr_NoMemory();
        }
        total += size;
    }
    PyObject *joined = PyBytes_FromStringAndSize(NULL, total);
    if (joined != NULL) {
        uint8_t *out = (uint8_t *)PyBytes_AS_STRING(joined);
        for (Py_ssize_t i = 0; i < count; i++) {
            out = put_frame(out, PyList_GET_ITEM(frames, i));
        }
    }
    return joined;
}

/* -- module --------------------------------------------------------------------------------------- */

static int
fill_module(PyObject *module)
{
    if (PyModule_AddStringConstant(module, "BODY", "c") < 0) {
        return -1;
    }
    PyObject *type = PyType_FromModuleAndSpec(module, &filler_spec, NULL);
    int failed = type == NULL ? -1 : PyModule_AddObjectRef(module, "Filler", type);
    Py_XDECREF(type);
    return failed;
}

static PyMethodDef module_methods[] = {
    {"parse", (PyCFunction)(void (*)(void))parse, METH_FASTCALL, NULL},
    {"join", join, METH_O, NULL},
    {"unmask", unmask, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, fill_module},
    {0, NULL},
};

static struct PyModuleDef module_def = {
    PyModuleDef_HEAD_INIT,
    .m_name = "shardws.protocol._frames",
    .m_doc = "The C body of the codec; see frames.py.",
    .m_methods = module_methods,
    .m_slots = module_slots,
};

PyMODINIT_FUNC
PyInit__frames(void)
{
    return PyModuleDef_Init(&module_def);
}
