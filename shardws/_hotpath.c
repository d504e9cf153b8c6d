/* The C implementation of hotpath.py, which documents the contract.
 *
 * Owns the view of one row of shared memory while a Counters lives. What keeps it safe: the buffer
 * is held (an mmap cannot be closed meanwhile), every index was compared with its size once, and a
 * record is only made of a tuple type that adds no fields of its own.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>
#include "_thread_mark-inl.h"

typedef struct {
    PyObject_HEAD
    Py_buffer view;
    uint64_t *messages_in, *bytes_in, *messages_out, *bytes_out;
} Counters;

static PyObject *
counters_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    PyObject *words;
    Py_ssize_t index[4];
    if (keywords != NULL && PyDict_GET_SIZE(keywords) != 0) {
        PyErr_SetString(PyExc_TypeError, "Counters takes no keyword arguments");
        return NULL;
    }
    if (!PyArg_ParseTuple(args, "Onnnn:Counters", &words, &index[0], &index[1], &index[2], &index[3])) {
        return NULL;
    }
    Counters *self = (Counters *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    if (PyObject_GetBuffer(words, &self->view, PyBUF_CONTIG | PyBUF_FORMAT) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    if (self->view.itemsize != 8 || self->view.format == NULL || strcmp(self->view.format, "Q") != 0) {
        PyErr_SetString(PyExc_ValueError, "words of format Q");
        Py_DECREF(self);
        return NULL;
    }
    uint64_t **places[4] = {&self->messages_in, &self->bytes_in, &self->messages_out, &self->bytes_out};
    for (int at = 0; at < 4; at++) {
        if (index[at] < 0 || index[at] >= self->view.len / 8) {
            PyErr_SetString(PyExc_IndexError, "no such word");
            Py_DECREF(self);
            return NULL;
        }
        *places[at] = (uint64_t *)self->view.buf + index[at];
    }
    return (PyObject *)self;
}

static void
counters_dealloc(Counters *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyBuffer_Release(&self->view); /* does nothing when none was taken */
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *
add(uint64_t *messages, uint64_t *bytes, PyObject *const *args, Py_ssize_t count)
{
    if (count != 2) {
        PyErr_SetString(PyExc_TypeError, "messages and bytes");
        return NULL;
    }
    Py_ssize_t number = PyLong_AsSsize_t(args[0]), size = PyLong_AsSsize_t(args[1]);
    if ((number == -1 || size == -1) && PyErr_Occurred()) {
        return NULL;
    }
    if (number < 0 || size < 0) {
        PyErr_SetString(PyExc_ValueError, "counters only rise");
        return NULL;
    }
    *messages += (uint64_t)number;
    *bytes += (uint64_t)size;
    Py_RETURN_NONE;
}

static PyObject *
counters_received(Counters *self, PyObject *const *args, Py_ssize_t count)
{
    return add(self->messages_in, self->bytes_in, args, count);
}

static PyObject *
counters_sent(Counters *self, PyObject *const *args, Py_ssize_t count)
{
    return add(self->messages_out, self->bytes_out, args, count);
}

static PyMethodDef counters_methods[] = {
    {"received", (PyCFunction)(void (*)(void))counters_received, METH_FASTCALL, "See hotpath.Counters."},
    {"sent", (PyCFunction)(void (*)(void))counters_sent, METH_FASTCALL, "See hotpath.Counters."},
    {NULL},
};

static PyType_Slot counters_slots[] = {
    {Py_tp_new, counters_new},
    {Py_tp_dealloc, counters_dealloc},
    {Py_tp_methods, counters_methods},
    {0, NULL},
};

static PyType_Spec counters_spec = {
    .name = "shardws._hotpath.Counters",
    .basicsize = sizeof(Counters),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = counters_slots,
};

static PyObject *
thread_mark_choose(ThreadMark *self, PyObject *const *args, Py_ssize_t count)
{
    if (count != 2) {
        PyErr_SetString(PyExc_TypeError, "choose takes what is for that thread, and for others");
        return NULL;
    }
    return Py_NewRef(args[PyThread_get_thread_ident() == self->ident ? 0 : 1]);
}

static void
thread_mark_dealloc(ThreadMark *self)
{
    PyTypeObject *type = Py_TYPE(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef thread_mark_methods[] = {
    {"choose", (PyCFunction)(void (*)(void))thread_mark_choose, METH_FASTCALL, "See hotpath.ThreadMark."},
    {NULL},
};

static PyMemberDef thread_mark_members[] = {
    {"ident", T_ULONG, offsetof(ThreadMark, ident), 0, "See hotpath.ThreadMark."},
    {NULL},
};

static PyType_Slot thread_mark_slots[] = {
    {Py_tp_new, PyType_GenericNew},
    {Py_tp_dealloc, thread_mark_dealloc},
    {Py_tp_methods, thread_mark_methods},
    {Py_tp_members, thread_mark_members},
    {0, NULL},
};

static PyType_Spec thread_mark_spec = {
    .name = THREAD_MARK_NAME,
    .basicsize = sizeof(ThreadMark),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = thread_mark_slots,
};

/* The function that `maker` returns; `kind` is the class it was made for. */
static PyObject *
make(PyObject *kind, PyObject *const *args, Py_ssize_t count)
{
    PyTypeObject *type = (PyTypeObject *)kind;
    PyObject *made = type->tp_alloc(type, count);
    if (made != NULL) {
#if PY_VERSION_HEX >= 0x030E0000
        ((PyTupleObject *)made)->ob_hash = -1; /* not known yet */
#endif
        for (Py_ssize_t at = 0; at < count; at++) {
            PyTuple_SET_ITEM(made, at, Py_NewRef(args[at]));
        }
    }
    return made;
}

static PyMethodDef make_method = {
    "make", (PyCFunction)(void (*)(void))make, METH_FASTCALL, "See hotpath.maker.",
};

static PyObject *
maker(PyObject *Py_UNUSED(module), PyObject *kind)
{
    PyTypeObject *type = (PyTypeObject *)kind;
    if (!PyType_Check(kind) || type->tp_base != &PyTuple_Type ||
        !PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE) || type->tp_alloc != PyType_GenericAlloc ||
        type->tp_basicsize != PyTuple_Type.tp_basicsize || !PyObject_HasAttrString(kind, "_fields")) {
        PyErr_SetString(PyExc_TypeError, "not the class of a named tuple");
        return NULL;
    }
    return PyCFunction_New(&make_method, kind);
}

static int
module_exec(PyObject *module)
{
    PyType_Spec *specs[] = {&counters_spec, &thread_mark_spec};
    for (int at = 0; at < 2; at++) {
        PyObject *type = PyType_FromSpec(specs[at]);
        if (type == NULL || PyModule_AddType(module, (PyTypeObject *)type) < 0) {
            Py_XDECREF(type);
            return -1;
        }
        Py_DECREF(type);
    }
    return PyModule_AddStringConstant(module, "IMPLEMENTATION", "c");
}

static PyMethodDef module_methods[] = {
    {"maker", maker, METH_O, "See hotpath.maker."},
    {NULL},
};

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, module_exec},
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_hotpath",
    .m_doc = "The C implementation of hotpath.py.",
    .m_methods = module_methods,
    .m_slots = module_slots,
};

PyMODINIT_FUNC
PyInit__hotpath(void)
{
    return PyModuleDef_Init(&definition);
}
