/* The C implementation of links.py, which documents the contract.
 *
 * Owns the path of a message to a connection of another shard: from its id to the queue of a link, and
 * from the bytes of a read to the connection. What keeps it safe:
 *   - a frame is judged by find_run before anything of its read is delivered, and lengths are compared
 *     by subtraction;
 *   - a call into Python may do anything: no borrowed reference and no pointer is used after one;
 *   - what is unusual is given to the classes derived from these types, which are written in Python. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>
#include <stdint.h>
#include <string.h>
#include "_links_layout-inl.h"
#include "_links_run-inl.h"
#include "_links_numbers-inl.h"
#include "_links_queue-inl.h"
#include "_links_route-inl.h"

/* -- module --------------------------------------------------------------------------------------- */

static const struct {
    PyObject **where;
    const char *text;
} names[] = {
    {&name_has_room, "has_room"},
    {&name_refuse, "refuse"},
    {&name_wake, "wake"},
    {&name_watch_slowly, "watch_slowly"},
    {&name_send, "send"},
    {&name_send_slowly, "send_slowly"},
};

static PyTypeObject *
add_type(PyObject *module, PyType_Spec *spec)
{
    PyObject *type = PyType_FromModuleAndSpec(module, spec, NULL);
    if (type != NULL && PyModule_AddType(module, (PyTypeObject *)type) < 0) {
        Py_CLEAR(type);
    }
    return (PyTypeObject *)type; /* the reference is kept for the life of the process */
}

static PyMethodDef functions[] = {
    {"find_run", FAST(find_run), METH_FASTCALL, "See links.find_run."},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "shardws.routing._links",
    .m_doc = "Messages to connections of other shards, in C; see links.py.",
    .m_size = -1, /* one interpreter: the types and names above are static */
    .m_methods = functions,
};

PyMODINIT_FUNC
PyInit__links(void)
{
    for (size_t at = 0; at < sizeof names / sizeof *names; at++) {
        *names[at].where = PyUnicode_InternFromString(names[at].text);
        if (*names[at].where == NULL) {
            return NULL;
        }
    }
    PyObject *module = PyModule_Create(&definition);
    if (module == NULL) {
        return NULL;
    }
    run_type = add_type(module, &run_spec);
    numbers_type = run_type != NULL ? add_type(module, &numbers_spec) : NULL;
    queue_type = numbers_type != NULL ? add_type(module, &queue_spec) : NULL;
    if (queue_type == NULL || add_type(module, &route_spec) == NULL ||
        PyModule_AddStringConstant(module, "IMPLEMENTATION", "c") < 0 ||
        PyModule_AddIntConstant(module, "CONTRACT", 2) < 0) {
        Py_DECREF(module);
        return NULL;
    }
    return module;
}
