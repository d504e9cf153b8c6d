/* Route: from an id to its connection here, or to the queue of the link to its shard. */

#ifndef SHARDWS_LINKS_ROUTE_H
#define SHARDWS_LINKS_ROUTE_H

typedef struct {
    PyObject_HEAD
    PyObject *connections, *links; /* dicts: by connection id; by what its shard's ids begin with */
} Route;

/* Route(connections, links) */
static int
route_init(Route *route, PyObject *args, PyObject *names)
{
    static char *words[] = {"connections", "links", NULL};
    PyObject *connections, *links;
    if (!PyArg_ParseTupleAndKeywords(args, names, "O!O!:Route", words, &PyDict_Type, &connections,
                                     &PyDict_Type, &links)) {
        return -1;
    }
    Py_XSETREF(route->connections, Py_NewRef(connections));
    Py_XSETREF(route->links, Py_NewRef(links));
    return 0;
}

/* The link for an id, with a reference; NULL without one, or with an exception. */
static Queue *
find_link(Route *route, uint64_t number)
{
    PyObject *key = PyLong_FromUnsignedLongLong(number >> GENERATION_SHIFT);
    if (key == NULL) {
        return NULL;
    }
    PyObject *link = PyDict_GetItemWithError(route->links, key);
    Py_DECREF(key);
    if (link == NULL || !PyObject_TypeCheck(link, queue_type) || ((Queue *)link)->ledger == NULL) {
        return NULL;
    }
    return (Queue *)Py_NewRef(link);
}

/* Send over a link; NULL without an exception when that is not the whole of it. */
static PyObject *
send_over_link(Route *route, PyObject *const *args)
{
    uint64_t number, format;
    if (as_number(args[0], &number) < 0 || !PyLong_CheckExact(args[1]) ||
        as_number(args[1], &format) < 0 || !is_format(format) || !PyBytes_CheckExact(args[2])) {
        return NULL;
    }
    Queue *link = find_link(route, number);
    if (link == NULL) {
        return NULL;
    }
    PyObject *send = deliver(link, args[0], number, format, args[2]);
    Py_DECREF(link);
    return send;
}

/* send(connection_id, kind, payload): see links.Route. */
static PyObject *
route_send(Route *route, PyObject *const *args, Py_ssize_t count)
{
    if (count != 3 || route->links == NULL) {
        PyErr_SetString(PyExc_TypeError, "send(connection id, kind, payload) of a route with links");
        return NULL;
    }
    PyObject *stack[4] = {(PyObject *)route, args[0], args[1], args[2]};
    if (PyLong_CheckExact(args[0])) {
        PyObject *connection = PyDict_GetItemWithError(route->connections, args[0]);
        if (connection != NULL) {
            stack[1] = Py_NewRef(connection); /* the call may take it out of its dict */
            PyObject *outcome =
                PyObject_VectorcallMethod(name_send, stack + 1, 3 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
            Py_DECREF(connection);
            return outcome;
        }
        PyObject *send = PyErr_Occurred() ? NULL : send_over_link(route, args);
        if (send != NULL || PyErr_Occurred()) {
            return send;
        }
    }
    return PyObject_VectorcallMethod(name_send_slowly, stack, 4 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
}

static int
route_traverse(Route *route, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(route));
    Py_VISIT(route->connections);
    Py_VISIT(route->links);
    return 0;
}

static int
route_clear(Route *route)
{
    Py_CLEAR(route->connections);
    Py_CLEAR(route->links);
    return 0;
}

static void
route_dealloc(Route *route)
{
    PyTypeObject *type = Py_TYPE(route);
    PyObject_GC_UnTrack(route);
    route_clear(route);
    type->tp_free(route);
    Py_DECREF(type);
}

static PyMethodDef route_methods[] = {
    {"send", FAST(route_send), METH_FASTCALL, "See links.Route."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot route_slots[] = {
    {Py_tp_new, PyType_GenericNew},
    {Py_tp_init, route_init},
    {Py_tp_dealloc, route_dealloc},
    {Py_tp_traverse, route_traverse},
    {Py_tp_clear, route_clear},
    {Py_tp_methods, route_methods},
    {0, NULL},
};

static PyType_Spec route_spec = {
    .name = "shardws.routing._links.Route",
    .basicsize = sizeof(Route),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = route_slots,
};

#endif
