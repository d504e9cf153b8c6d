/* Sender: `send` and `send_text` of the server; net.pump.sender is its twin. */

#ifndef SHARDWS_PUMP_SENDER_H
#define SHARDWS_PUMP_SENDER_H

#include "share-inl.h"
#include "../../_thread_mark-inl.h"

typedef struct {
    PyObject_HEAD
    PyObject *choose, *here, *elsewhere; /* choose(here, elsewhere) is the router for this thread */
    PyObject *by_id;        /* dict of connections that a send may go to directly, or NULL */
    const ThreadMark *mark; /* of `choose`, which keeps it; NULL: not known, so nothing is direct */
} Sender;

enum { TEXT = 1, BINARY = 2 };

static PyObject *name_send, *name_content, *name_utf8;
static PyObject *arguments_module; /* shardws.arguments, when it was needed once */

static const ThreadMark *
mark_of(PyObject *choose)
{
    PyObject *mark = PyCFunction_Check(choose) ? PyCFunction_GET_SELF(choose) : NULL;
    if (mark == NULL || strcmp(Py_TYPE(mark)->tp_name, THREAD_MARK_NAME) != 0 ||
        Py_TYPE(mark)->tp_basicsize != sizeof(ThreadMark)) {
        return NULL;
    }
    return (const ThreadMark *)mark;
}

/* route(choose, here, elsewhere, by_id): what to send by from now on. */
static PyObject *
sender_route(Sender *self, PyObject *args)
{
    PyObject *choose, *here, *elsewhere, *by_id;
    if (!PyArg_ParseTuple(args, "OOOO:route", &choose, &here, &elsewhere, &by_id)) {
        return NULL;
    }
    if (by_id != Py_None && !PyDict_CheckExact(by_id)) {
        PyErr_SetString(PyExc_TypeError, "by_id is a dict or None");
        return NULL;
    }
    self->mark = NULL;
    Py_XSETREF(self->by_id, by_id == Py_None ? NULL : Py_NewRef(by_id));
    Py_XSETREF(self->here, Py_NewRef(here));
    Py_XSETREF(self->elsewhere, Py_NewRef(elsewhere));
    Py_XSETREF(self->choose, Py_NewRef(choose));
    self->mark = mark_of(choose);
    Py_RETURN_NONE;
}

/* The wire that frames a message to this id now, with a reference; NULL without an exception when
 * the routers have to see to it. */
static Wire *
find_wire(const Sender *self, PyObject *id)
{
    if (self->mark == NULL || self->by_id == NULL || !PyLong_CheckExact(id) ||
        self->mark->ident != PyThread_get_thread_ident()) {
        return NULL;
    }
    PyObject *found = PyDict_GetItemWithError(self->by_id, id);
    if (found == NULL) {
        PyErr_Clear();
        return NULL;
    }
    int is_ours = is_wire(found) && sends_plain((Wire *)found);
    return is_ours ? (Wire *)Py_NewRef(found) : NULL;
}

/* Queue a message of bytes; takes over the reference to `wire`. */
static PyObject *
send_directly(Wire *wire, int kind, PyObject *payload)
{
    wire->size = PyBytes_GET_SIZE(payload);
    int failed = queue_frame(wire, (uint8_t)(0x80 | kind), payload, 1);
    PyObject *outcome = failed < 0 ? NULL : Py_NewRef(wire->pump->queued);
    Py_DECREF(wire);
    return outcome;
}

/* `value` as bytes by a function of shardws.arguments, which raises for what is none. */
static PyObject *
check_payload(PyObject *check, PyObject *value)
{
    if (arguments_module == NULL) {
        arguments_module = PyImport_ImportModule("shardws.arguments");
    }
    return arguments_module == NULL ? NULL : PyObject_CallMethodOneArg(arguments_module, check, value);
}

/* Have the router for this thread send; takes over the reference to `payload`, which may be NULL. */
static PyObject *
send_routed(Sender *self, PyObject *id, int kind, PyObject *payload)
{
    PyObject *outcome = NULL, *router = NULL, *number = NULL;
    if (payload != NULL && self->choose == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "the sender has no route");
    }
    else if (payload != NULL) {
        router = PyObject_CallFunctionObjArgs(self->choose, self->here, self->elsewhere, NULL);
    }
    if (router != NULL && (number = PyLong_FromLong(kind)) != NULL) {
        outcome = PyObject_CallMethodObjArgs(router, name_send, id, number, payload, NULL);
    }
    Py_XDECREF(number);
    Py_XDECREF(router);
    Py_XDECREF(payload);
    return outcome;
}

static int
is_utf8(PyObject *bytes)
{
    Utf8 state = {0, 0, 0};
    return utf8_feed(&state, (const uint8_t *)PyBytes_AS_STRING(bytes), PyBytes_GET_SIZE(bytes)) == 0 &&
           !state.need;
}

/* Text as bytes, when it is exactly of a type that has no code of its own to run; NULL without an
 * exception for anything else, and for what is not valid. */
static PyObject *
plain_text(PyObject *value)
{
    PyObject *bytes = NULL;
    if (PyUnicode_CheckExact(value)) {
        bytes = PyUnicode_AsUTF8String(value);
        PyErr_Clear();
    }
    else if (PyBytes_CheckExact(value) && is_utf8(value)) {
        bytes = Py_NewRef(value);
    }
    return bytes;
}

/* Take the arguments (connection_id, NAME), by place or by name; 0, or -1 with an exception. */
static inline int
take_arguments(PyObject *const *args, Py_ssize_t count, PyObject *names, const char *const words[2],
               const char *called, PyObject *taken[2])
{
    Py_ssize_t named = names == NULL ? 0 : PyTuple_GET_SIZE(names);
    taken[0] = count > 0 ? args[0] : NULL;
    taken[1] = count > 1 ? args[1] : NULL;
    if (count == 2 && names == NULL) {
        return 0;
    }
    int is_sound = count + named == 2;
    for (Py_ssize_t at = 0; is_sound && at < named; at++) {
        PyObject *name = PyTuple_GET_ITEM(names, at);
        int place = PyUnicode_CompareWithASCIIString(name, words[0]) == 0   ? 0
                    : PyUnicode_CompareWithASCIIString(name, words[1]) == 0 ? 1
                                                                            : -1;
        is_sound = place >= 0 && taken[place] == NULL;
        if (is_sound) {
            taken[place] = args[count + at];
        }
    }
    if (!is_sound) {
        PyErr_Format(PyExc_TypeError, "%s() takes %s and %s", called, words[0], words[1]);
    }
    return is_sound ? 0 : -1;
}

static PyObject *
sender_send(Sender *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    static const char *const words[2] = {"connection_id", "data"};
    PyObject *taken[2];
    if (take_arguments(args, count, names, words, "send", taken) < 0) {
        return NULL;
    }
    if (!PyBytes_CheckExact(taken[1])) {
        return send_routed(self, taken[0], BINARY, check_payload(name_content, taken[1]));
    }
    Wire *wire = find_wire(self, taken[0]);
    return wire != NULL ? send_directly(wire, BINARY, taken[1])
                        : send_routed(self, taken[0], BINARY, Py_NewRef(taken[1]));
}

static PyObject *
sender_send_text(Sender *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    static const char *const words[2] = {"connection_id", "text"};
    PyObject *taken[2];
    if (take_arguments(args, count, names, words, "send_text", taken) < 0) {
        return NULL;
    }
    PyObject *text = plain_text(taken[1]);
    Wire *wire = text != NULL ? find_wire(self, taken[0]) : NULL;
    if (wire == NULL) {
        text = text != NULL ? text : check_payload(name_utf8, taken[1]);
        return send_routed(self, taken[0], TEXT, text);
    }
    PyObject *outcome = send_directly(wire, TEXT, text);
    Py_DECREF(text);
    return outcome;
}

/* -- the type ------------------------------------------------------------------------------------- */

static int
sender_traverse(Sender *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->choose);
    Py_VISIT(self->here);
    Py_VISIT(self->elsewhere);
    Py_VISIT(self->by_id);
    return 0;
}

static int
sender_clear(Sender *self)
{
    self->mark = NULL;
    Py_CLEAR(self->choose);
    Py_CLEAR(self->here);
    Py_CLEAR(self->elsewhere);
    Py_CLEAR(self->by_id);
    return 0;
}

static void
sender_dealloc(Sender *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    sender_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

#define NAMED(function) (PyCFunction)(void (*)(void))(function), METH_FASTCALL | METH_KEYWORDS

static PyMethodDef sender_methods[] = {
    {"route", (PyCFunction)sender_route, METH_VARARGS, NULL},
    {"send", NAMED(sender_send),
     "send($self, /, connection_id, data)\n--\n\n"
     "Send one binary message, from any shard."},
    {"send_text", NAMED(sender_send_text),
     "send_text($self, /, connection_id, text)\n--\n\n"
     "Send one text message, from any shard; UsageError (213) for what is not valid UTF-8."},
    {NULL},
};

static PyType_Slot sender_slots[] = {
    {Py_tp_new, PyType_GenericNew},
    {Py_tp_dealloc, sender_dealloc},
    {Py_tp_traverse, sender_traverse},
    {Py_tp_clear, sender_clear},
    {Py_tp_methods, sender_methods},
    {0, NULL},
};

static PyType_Spec sender_spec = {
    .name = "shardws.net.pump._pump.Sender",
    .basicsize = sizeof(Sender),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = sender_slots,
};

#endif
