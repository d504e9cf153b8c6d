/* Run: the DELIVERs that follow one another in what a link has read. */

#ifndef SHARDWS_LINKS_RUN_H
#define SHARDWS_LINKS_RUN_H

typedef struct {
    PyObject_HEAD
    PyObject *data; /* bytes; the run is [position, end) of it */
    Py_ssize_t last, position, end; /* the last message that was taken, and what is left */
    Py_ssize_t size; /* messages of the run */
    Py_ssize_t done; /* of them, those that were taken */
    PyObject *connection_id; /* of the last one that was returned, or raised for */
} Run;

static PyTypeObject *run_type;

/* Return the end of the whole and valid DELIVER at `start`; 0 when there is none. */
static Py_ssize_t
deliver_end(const uint8_t *data, Py_ssize_t start, Py_ssize_t size, Py_ssize_t limit)
{
    if (size - start < DELIVER_HEAD || data[start + 4] != DELIVER || !is_format(data[start + 13])) {
        return 0;
    }
    uint64_t length = read_number(data + start, 4);
    if (length < DELIVER_FIXED || length > (uint64_t)limit || length > (uint64_t)(size - start - 5)) {
        return 0;
    }
    return start + 5 + (Py_ssize_t)length;
}

/* find_run(data, start, limit): see links. */
static PyObject *
find_run(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    if (count != 3 || !PyBytes_CheckExact(args[0])) {
        PyErr_SetString(PyExc_TypeError, "find_run(bytes, start, limit)");
        return NULL;
    }
    Py_ssize_t start = PyLong_AsSsize_t(args[1]), limit = PyLong_AsSsize_t(args[2]);
    if ((start == -1 || limit == -1) && PyErr_Occurred()) {
        return NULL;
    }
    const uint8_t *data = (const uint8_t *)PyBytes_AS_STRING(args[0]);
    Py_ssize_t size = PyBytes_GET_SIZE(args[0]), messages = 0, end, next;
    if (start < 0 || start > size || limit < 0) {
        PyErr_SetString(PyExc_ValueError, "no place in these bytes, or no limit");
        return NULL;
    }
    for (end = start; (next = deliver_end(data, end, size, limit)) != 0; end = next) {
        messages++;
    }
    if (!messages) {
        Py_RETURN_NONE;
    }
    Run *run = (Run *)run_type->tp_alloc(run_type, 0);
    if (run != NULL) {
        run->data = Py_NewRef(args[0]);
        run->last = run->position = start;
        run->end = end;
        run->size = messages;
    }
    return (PyObject *)run;
}

/* Call connection.send(format, payload) for the message in front; `id` is its connection's. */
static PyObject *
pass_on(Run *run, PyObject *connection, int format, Py_ssize_t start, Py_ssize_t size)
{
    const char *data = PyBytes_AS_STRING(run->data);
    PyObject *kind = PyLong_FromLong(format);
    PyObject *payload = PyBytes_FromStringAndSize(data + start, size);
    PyObject *result = NULL;
    if (kind != NULL && payload != NULL) {
        Py_INCREF(connection); /* the call may take it out of its dict */
        PyObject *stack[3] = {connection, kind, payload};
        result = PyObject_VectorcallMethod(name_send, stack, 3 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
        Py_DECREF(connection);
    }
    Py_XDECREF(kind);
    Py_XDECREF(payload);
    return result;
}

/* Take one message; return what its connection returned, `gone` without one, NULL for an exception. */
static PyObject *
take_one(Run *run, PyObject *connections, PyObject *gone)
{
    const uint8_t *head = (const uint8_t *)PyBytes_AS_STRING(run->data) + run->position;
    Py_ssize_t start = run->position + DELIVER_HEAD;
    Py_ssize_t size = (Py_ssize_t)read_number(head, 4) - DELIVER_FIXED;
    PyObject *id = PyLong_FromUnsignedLongLong(read_number(head + 5, 8));
    if (id == NULL) {
        return NULL;
    }
    Py_XSETREF(run->connection_id, id);
    run->last = run->position;
    run->position = start + size;
    run->done++;
    PyObject *connection = PyDict_GetItemWithError(connections, id);
    if (connection != NULL) {
        return pass_on(run, connection, head[13], start, size);
    }
    return PyErr_Occurred() ? NULL : Py_NewRef(gone);
}

/* deliver(connections, queued, gone): see links. */
static PyObject *
run_deliver(Run *run, PyObject *const *args, Py_ssize_t count)
{
    if (count != 3 || !PyDict_Check(args[0])) {
        PyErr_SetString(PyExc_TypeError, "deliver(connections, queued, gone)");
        return NULL;
    }
    while (run->position < run->end) {
        PyObject *result = take_one(run, args[0], args[2]);
        if (result != args[1]) {
            return result; /* NULL too */
        }
        Py_DECREF(result);
    }
    Py_RETURN_NONE;
}

/* message(): kind and payload of the last message that was taken. */
static PyObject *
run_message(Run *run, PyObject *Py_UNUSED(nothing))
{
    if (!run->done) {
        PyErr_SetString(PyExc_ValueError, "no message was taken");
        return NULL;
    }
    const char *head = PyBytes_AS_STRING(run->data) + run->last;
    Py_ssize_t size = run->position - run->last - DELIVER_HEAD;
    return Py_BuildValue("(iy#)", (int)(uint8_t)head[13], head + DELIVER_HEAD, size);
}

static void
run_dealloc(Run *run)
{
    PyTypeObject *type = Py_TYPE(run);
    Py_XDECREF(run->data);
    Py_XDECREF(run->connection_id);
    type->tp_free(run);
    Py_DECREF(type);
}

static PyMethodDef run_methods[] = {
    {"deliver", FAST(run_deliver), METH_FASTCALL, "See links.Run."},
    {"message", (PyCFunction)run_message, METH_NOARGS, "See links.Run."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef run_members[] = {
    {"end", T_PYSSIZET, offsetof(Run, end), READONLY, NULL},
    {"size", T_PYSSIZET, offsetof(Run, size), READONLY, NULL},
    {"done", T_PYSSIZET, offsetof(Run, done), READONLY, NULL},
    {"connection_id", T_OBJECT, offsetof(Run, connection_id), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot run_slots[] = {
    {Py_tp_dealloc, run_dealloc},
    {Py_tp_methods, run_methods},
    {Py_tp_members, run_members},
    {0, NULL},
};

static PyType_Spec run_spec = {
    .name = "shardws.routing._links.Run",
    .basicsize = sizeof(Run),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = run_slots,
};

#endif
