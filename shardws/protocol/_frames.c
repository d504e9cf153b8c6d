/* The C implementation of the codec, for bytes from the network; frames.py documents the contract.
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
#include "_frames_bytes-inl.h"
#include "_frames_filler-inl.h"
#include "_frames_parse-inl.h"
#include "_head-inl.h"

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

/* close_payload(data): the payload of a close frame that is all of `data`, None for anything else. */
static PyObject *
close_payload(PyObject *Py_UNUSED(module), PyObject *data)
{
    if (!PyBytes_Check(data)) {
        PyErr_SetString(PyExc_TypeError, "close_payload(data: bytes)");
        return NULL;
    }
    const uint8_t *at = (const uint8_t *)PyBytes_AS_STRING(data), *end = at + PyBytes_GET_SIZE(data);
    Found found;
    if (at == end || *at != FIN_CLOSE || !find_frame(at, end, MAX_CONTROL, &found) ||
        found.body + found.size != end) {
        Py_RETURN_NONE;
    }
    PyObject *payload = PyBytes_FromStringAndSize(NULL, found.size);
    if (payload != NULL) {
        unmask_into((uint8_t *)PyBytes_AS_STRING(payload), found.body, found.size, found.body - 4, 0);
    }
    return payload;
}

/* -- module --------------------------------------------------------------------------------------- */

static int
fill_module(PyObject *module)
{
    if (PyModule_AddStringConstant(module, "IMPLEMENTATION", "c") < 0 ||
        PyModule_AddIntConstant(module, "CONTRACT", 4) < 0) {
        return -1;
    }
    PyObject *type = PyType_FromModuleAndSpec(module, &filler_spec, NULL);
    int failed = type == NULL ? -1 : PyModule_AddObjectRef(module, "Filler", type);
    Py_XDECREF(type);
    return failed;
}

static PyMethodDef module_methods[] = {
    {"parse", (PyCFunction)(void (*)(void))parse, METH_FASTCALL, NULL},
    {"continuations", (PyCFunction)(void (*)(void))continuations, METH_FASTCALL, NULL},
    {"join", join, METH_O, NULL},
    {"unmask", unmask, METH_VARARGS, NULL},
    {"close_payload", close_payload, METH_O, NULL},
    {"head", (PyCFunction)(void (*)(void))head, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, fill_module},
    {0, NULL},
};

static struct PyModuleDef module_def = {
    PyModuleDef_HEAD_INIT,
    .m_name = "shardws.protocol._frames",
    .m_doc = "The C implementation of the codec; see frames.py.",
    .m_methods = module_methods,
    .m_slots = module_slots,
};

PyMODINIT_FUNC
PyInit__frames(void)
{
    return PyModuleDef_Init(&module_def);
}
