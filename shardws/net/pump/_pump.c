/* The data path of a shard's connections in C; net.pump documents the contract.
 *
 * Owns the sockets given to it and what waits to be read or written. What keeps it safe:
 *   - lengths from the wire are judged by find_frame, which compares with what is there by
 *     subtraction; nothing is allocated for a frame that is not whole;
 *   - every callback into Python may do anything: see pump-inl.h;
 *   - an allocation that fails ends one connection, or raises MemoryError to the caller. */

#define _GNU_SOURCE
#define PY_SSIZE_T_CLEAN /* before any header of Python */
#include <sys/eventfd.h>
#include "accept-inl.h"
#include "export-inl.h"
#include "sender-inl.h"

/* -- Wire ---------------------------------------------------------------------------------------- */

static PyObject *
wire_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(names))
{
    Wire *wire = (Wire *)type->tp_alloc(type, 0);
    if (wire != NULL) {
        wire->fd = -1;
        wire->cell = -1;
        wire->id = PyLong_FromLong(0);
    }
    return (PyObject *)wire;
}

static PyTypeObject *pump_type;

/* bind(pump): before anything else. */
static PyObject *
wire_bind(Wire *wire, PyObject *pump)
{
    if (!PyObject_TypeCheck(pump, pump_type) || wire->pump != NULL) {
        PyErr_SetString(PyExc_TypeError, "a wire is bound once, to a pump");
        return NULL;
    }
    wire->pump = (Pump *)Py_NewRef(pump);
    Py_RETURN_NONE;
}

/* attach(transport): leave and come by another transport; None: TCP is over. */
static PyObject *
wire_attach(Wire *wire, PyObject *transport)
{
    if (wire->via == VIA_SOCKET && transport == Py_None) {
        Py_RETURN_NONE; /* lose() has let go already */
    }
    if (wire->pump == NULL || wire->via == VIA_SOCKET) {
        PyErr_SetString(PyExc_ValueError, "a wire with a socket is its own transport");
        return NULL;
    }
    if (transport != Py_None) {
        PyObject *set = PyObject_CallMethod(transport, "set_write_buffer_limits", "nn", wire->high, wire->low);
        if (set == NULL) {
            return NULL;
        }
        Py_DECREF(set);
    }
    Py_XSETREF(wire->transport, transport == Py_None ? NULL : Py_NewRef(transport));
    wire->via = transport == Py_None ? VIA_NONE : VIA_TRANSPORT;
    if (transport == Py_None) {
        clear_outbox(wire->pump, &wire->out);
        give_kept(wire);
    }
    Py_RETURN_NONE;
}

static int
wire_traverse(Wire *wire, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(wire));
    Py_VISIT(wire->pump);
    Py_VISIT(wire->transport);
    Py_VISIT(wire->id);
    if (is_carrier_of(wire->tls, wire)) {
        Py_VISIT(wire->tls->inner);
        Py_VISIT(wire->tls->keeper);
    }
    return 0;
}

static int
wire_clear(Wire *wire)
{
    stop_tls(wire);
    Py_CLEAR(wire->transport);
    return 0;
}

static void
wire_dealloc(Wire *wire)
{
    PyTypeObject *type = Py_TYPE(wire);
    PyObject_GC_UnTrack(wire);
    stop_tls(wire);
    clear_outbox(wire->pump, &wire->out);
    drop_input(wire);
    if (wire->fd >= 0) { /* detached, or the pump would keep it */
        close(wire->fd);
    }
    Py_XDECREF(wire->transport);
    Py_XDECREF(wire->id);
    Py_XDECREF(wire->pump);
    type->tp_free(wire);
    Py_DECREF(type);
}

#define FAST(function) (PyCFunction)(void (*)(void))(function)

static PyMethodDef wire_methods[] = {
    {"bind", (PyCFunction)wire_bind, METH_O, NULL},
    {"attach", (PyCFunction)wire_attach, METH_O, NULL},
    {"data_received", (PyCFunction)wire_data_received, METH_O, NULL},
    {"send", FAST(wire_send), METH_FASTCALL, NULL},
    {"append", (PyCFunction)wire_append, METH_VARARGS, NULL},
    {"write", (PyCFunction)wire_write, METH_O, NULL},
    {"forget_input", (PyCFunction)wire_forget_input, METH_NOARGS, NULL},
    {"flush", (PyCFunction)wire_flush, METH_NOARGS, NULL},
    {"close_wire", (PyCFunction)wire_close, METH_NOARGS, NULL},
    {"abort_wire", (PyCFunction)wire_abort, METH_NOARGS, NULL},
    {"end_output", (PyCFunction)wire_end_output, METH_NOARGS, NULL},
    {"detach", (PyCFunction)wire_detach, METH_NOARGS, NULL},
    {"retake", (PyCFunction)wire_retake, METH_NOARGS, NULL},
    {"release", (PyCFunction)wire_release, METH_NOARGS, NULL},
    {"pause_reading", (PyCFunction)wire_pause_reading, METH_NOARGS, NULL},
    {"resume_reading", (PyCFunction)wire_resume_reading, METH_NOARGS, NULL},
    {"get_extra_info", (PyCFunction)wire_get_extra_info, METH_O, NULL},
    {"setsockopt", (PyCFunction)wire_setsockopt, METH_VARARGS, NULL},
    {"getsockopt", (PyCFunction)wire_getsockopt, METH_VARARGS, NULL},
    {"fileno", (PyCFunction)wire_fileno, METH_NOARGS, NULL},
    {"start_tls", (PyCFunction)wire_start_tls, METH_VARARGS, NULL},
    {"stop_tls", (PyCFunction)wire_stop_tls, METH_NOARGS, NULL},
    {NULL},
};

static PyGetSetDef wire_getset[] = {
    {"queued", (getter)wire_queued, NULL, NULL, NULL},
    {"is_attached", (getter)wire_is_attached, NULL, NULL, NULL},
    {NULL},
};

static PyMemberDef wire_members[] = {
    {"id", T_OBJECT_EX, offsetof(Wire, id), 0, NULL},
    {"seen", T_DOUBLE, offsetof(Wire, seen), 0, NULL},
    {"active", T_DOUBLE, offsetof(Wire, active), 0, NULL},
    {"deadline", T_DOUBLE, offsetof(Wire, deadline), 0, NULL},
    {"ping_at", T_DOUBLE, offsetof(Wire, ping_at), 0, NULL},
    {"rtt", T_DOUBLE, offsetof(Wire, rtt), 0, NULL},
    {"remote_port", T_USHORT, offsetof(Wire, remote_port), 0, NULL},
    {"size", T_PYSSIZET, offsetof(Wire, size), 0, NULL},
    {"cell", T_INT, offsetof(Wire, cell), 0, NULL},
    {"state", T_UBYTE, offsetof(Wire, state), 0, NULL},
    {"blocked", T_UBYTE, offsetof(Wire, blocked), 0, NULL},
    {"holds", T_UBYTE, offsetof(Wire, holds), 0, NULL},
    {"stops", T_USHORT, offsetof(Wire, stops), 0, NULL},
    {"is_at_rest", T_BOOL, offsetof(Wire, is_at_rest), 0, NULL},
    {"is_plain", T_BOOL, offsetof(Wire, is_plain), 0, NULL},
    {"is_carrier", T_BOOL, offsetof(Wire, is_carrier), 0, NULL},
    {"max_size", T_PYSSIZET, offsetof(Wire, max_size), 0, NULL},
    {"high_mark", T_PYSSIZET, offsetof(Wire, high), 0, NULL},
    {"low_mark", T_PYSSIZET, offsetof(Wire, low), 0, NULL},
    {"transport", T_OBJECT, offsetof(Wire, transport), READONLY, NULL},
    {NULL},
};

static PyType_Slot wire_slots[] = {
    {Py_tp_new, wire_new},
    {Py_tp_dealloc, wire_dealloc},
    {Py_tp_traverse, wire_traverse},
    {Py_tp_clear, wire_clear},
    {Py_tp_methods, wire_methods},
    {Py_tp_members, wire_members},
    {Py_tp_getset, wire_getset},
    {0, NULL},
};

static PyType_Spec wire_spec = {
    .name = "shardws.net.pump._pump.Wire",
    .basicsize = sizeof(Wire),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = wire_slots,
};

/* -- Pump ---------------------------------------------------------------------------------------- */

static int
take_row(Pump *pump, PyObject *row, const Py_ssize_t index[4])
{
    if (PyObject_GetBuffer(row, &pump->row, PyBUF_CONTIG | PyBUF_FORMAT) < 0) {
        return -1;
    }
    if (pump->row.itemsize != 8 || pump->row.format == NULL || strcmp(pump->row.format, "Q") != 0) {
        PyErr_SetString(PyExc_ValueError, "words of format Q");
        return -1;
    }
    uint64_t **places[4] = {&pump->messages_in, &pump->bytes_in, &pump->messages_out, &pump->bytes_out};
    for (int at = 0; at < 4; at++) {
        if (index[at] < 0 || index[at] >= pump->row.len / 8) {
            PyErr_SetString(PyExc_IndexError, "no such word");
            return -1;
        }
        *places[at] = (uint64_t *)pump->row.buf + index[at];
    }
    return 0;
}

/* Where an object keeps an attribute that is a slot of its class; 0: it is none. */
static Py_ssize_t
slot_of(PyObject *object, PyObject *name)
{
    PyObject *found = PyObject_GetAttr((PyObject *)Py_TYPE(object), name);
    Py_ssize_t offset = 0;
    if (found != NULL && Py_IS_TYPE(found, &PyMemberDescr_Type)) {
        const PyMemberDef *member = ((PyMemberDescrObject *)found)->d_member;
        offset = member->type == T_OBJECT_EX ? member->offset : 0;
    }
    PyErr_Clear();
    Py_XDECREF(found);
    return offset;
}

/* The epoll instance, and the waker that is no event of it yet; 0, or -1 with errno. */
static int
open_descriptors(Pump *pump)
{
    struct epoll_event event = {.events = 0, .data.ptr = NULL};
    pump->epoll = epoll_create1(EPOLL_CLOEXEC);
    pump->waker = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
    if (pump->epoll < 0 || pump->waker < 0) {
        return -1;
    }
    return epoll_ctl(pump->epoll, EPOLL_CTL_ADD, pump->waker, &event);
}

/* Pump(...): see net.pump.twin for the arguments; `time` is CLOCK_MONOTONIC, which is read here. */
static PyObject *
pump_new(PyTypeObject *type, PyObject *args, PyObject *names)
{
    static char *words[] = {"handlers", "dispatch", "event_type", "queued", "row", "index", "call_soon",
                            "on_error", "time", NULL};
    PyObject *handlers, *dispatch, *event_type, *queued, *row, *call_soon, *on_error, *time;
    Py_ssize_t index[4];
    if (!PyArg_ParseTupleAndKeywords(args, names, "OOO!OO(nnnn)OOO:Pump", words, &handlers, &dispatch,
                                     &PyType_Type, &event_type, &queued, &row, &index[0], &index[1],
                                     &index[2], &index[3], &call_soon, &on_error, &time)) {
        return NULL;
    }
    PyTypeObject *event = (PyTypeObject *)event_type;
    if (event->tp_base != &PyTuple_Type || !PyType_HasFeature(event, Py_TPFLAGS_HEAPTYPE) ||
        event->tp_alloc != PyType_GenericAlloc || event->tp_basicsize != PyTuple_Type.tp_basicsize ||
        !PyObject_HasAttrString(event_type, "_fields")) {
        PyErr_SetString(PyExc_TypeError, "not the class of a named tuple");
        return NULL;
    }
    Pump *pump = (Pump *)type->tp_alloc(type, 0);
    if (pump == NULL) {
        return NULL;
    }
    pump->epoll = pump->waker = -1;
    pump->batch = BATCH;
    pump->handlers = Py_NewRef(handlers);
    pump->handler_at = slot_of(handlers, name_on_data_in);
    for (int kind = 0; kind < 3; kind++) {
        pump->kinds[kind] = PyLong_FromLong(kind);
    }
    pump->dispatch = Py_NewRef(dispatch);
    pump->event_type = (PyTypeObject *)Py_NewRef(event_type);
    pump->queued = Py_NewRef(queued);
    pump->call_soon = Py_NewRef(call_soon);
    pump->on_error = Py_NewRef(on_error);
    pump->now = pump->begin = read_clock();
    pump->input = PyMem_RawMalloc(READ_BYTES);
    pump->spare = new_chunk(SPARE_BYTES);
    if (pump->input == NULL || pump->spare == NULL) {
        PyErr_NoMemory();
    }
    else if (take_row(pump, row, index) == 0 && open_descriptors(pump) < 0) {
        PyErr_SetFromErrno(PyExc_OSError);
    }
    if (!PyErr_Occurred()) {
        pump->flush_later = PyObject_GetAttrString((PyObject *)pump, "after_turn");
    }
    if (PyErr_Occurred()) {
        Py_DECREF(pump);
        return NULL;
    }
    return (PyObject *)pump;
}

static PyObject *
pump_close(Pump *pump, PyObject *Py_UNUSED(nothing))
{
    if (pump->epoll >= 0) {
        close(pump->epoll);
        pump->epoll = -1;
    }
    if (pump->waker >= 0) {
        close(pump->waker);
        pump->waker = -1;
    }
    Py_RETURN_NONE;
}

/* watch_sockets(cells): where wires note, in their `cell`, whether their stream is inside a frame. */
static PyObject *
pump_watch_sockets(Pump *pump, PyObject *cells)
{
    Py_buffer view;
    if (PyObject_GetBuffer(cells, &view, PyBUF_CONTIG) < 0) {
        return NULL;
    }
    if (view.itemsize != 4) {
        PyBuffer_Release(&view);
        PyErr_SetString(PyExc_ValueError, "cells of 4 bytes");
        return NULL;
    }
    PyBuffer_Release(&pump->sockets);
    pump->sockets = view;
    Py_RETURN_NONE;
}

static PyObject *
pump_fileno(Pump *pump, PyObject *Py_UNUSED(nothing))
{
    return PyLong_FromLong(pump->epoll);
}

static int
pump_traverse(Pump *pump, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(pump));
    Py_VISIT(pump->handlers);
    Py_VISIT(pump->dispatch);
    Py_VISIT(pump->event_type);
    Py_VISIT(pump->queued);
    Py_VISIT(pump->call_soon);
    Py_VISIT(pump->flush_later);
    Py_VISIT(pump->on_error);
    WireChain *chains[] = {&pump->wires, &pump->lost, &pump->buried};
    for (int at = 0; at < 3; at++) {
        for (Wire *wire = chains[at]->first; wire != NULL; wire = wire->behind) {
            Py_VISIT(wire);
        }
    }
    WireList *lists[] = {&pump->dirty, &pump->more};
    for (int at = 0; at < 2; at++) {
        for (size_t each = 0; each < lists[at]->count; each++) {
            Py_VISIT(lists[at]->items[each]);
        }
    }
    return 0;
}

/* Called for a pump that nobody has any more, so nobody has a wire of it either. */
static int
pump_clear(Pump *pump)
{
    while (pump->wires.first != NULL) {
        Wire *wire = pump->wires.first;
        chain_remove(&pump->wires, wire);
        close_socket(wire);
        Py_DECREF(wire);
    }
    list_drop(&pump->dirty);
    list_drop(&pump->more);
    chain_drop(&pump->lost);
    chain_drop(&pump->buried);
    pump->handler_at = 0;
    /* Not NULL: what is dropped together with the pump may still call it. */
    Py_XSETREF(pump->flush_later, Py_NewRef(Py_None));
    Py_XSETREF(pump->dispatch, Py_NewRef(Py_None));
    Py_XSETREF(pump->handlers, Py_NewRef(Py_None));
    Py_XSETREF(pump->call_soon, Py_NewRef(Py_None));
    Py_XSETREF(pump->on_error, Py_NewRef(Py_None));
    return 0;
}

static void
pump_dealloc(Pump *pump)
{
    PyTypeObject *type = Py_TYPE(pump);
    PyObject_GC_UnTrack(pump);
    pump_clear(pump);
    pump_close(pump, NULL);
    Py_XDECREF(pump->flush_later);
    Py_XDECREF(pump->dispatch);
    Py_XDECREF(pump->handlers);
    Py_XDECREF(pump->call_soon);
    Py_XDECREF(pump->on_error);
    PyBuffer_Release(&pump->sockets);
    PyBuffer_Release(&pump->row); /* does nothing when none was taken */
    Py_XDECREF(pump->event_type);
    Py_XDECREF(pump->queued);
    for (int kind = 0; kind < 3; kind++) {
        Py_XDECREF(pump->kinds[kind]); /* small numbers, which are always there */
    }
    PyMem_RawFree(pump->input);
    PyMem_Free(pump->spare);
    type->tp_free(pump);
    Py_DECREF(type);
}

static PyMethodDef pump_methods[] = {
    {"turn", (PyCFunction)pump_turn, METH_NOARGS, NULL},
    {"after_turn", (PyCFunction)pump_after_turn, METH_NOARGS, NULL},
    {"adopt", (PyCFunction)pump_adopt, METH_VARARGS, NULL},
    {"resume", (PyCFunction)pump_resume, METH_VARARGS, NULL},
    {"accept", (PyCFunction)pump_accept, METH_VARARGS, NULL},
    {"hand_over", (PyCFunction)pump_hand_over, METH_VARARGS, NULL},
    {"take", (PyCFunction)pump_take, METH_VARARGS, NULL},
    {"share", (PyCFunction)pump_share, METH_VARARGS, NULL},
    {"watch_sockets", (PyCFunction)pump_watch_sockets, METH_O, NULL},
    {"fileno", (PyCFunction)pump_fileno, METH_NOARGS, NULL},
    {"close", (PyCFunction)pump_close, METH_NOARGS, NULL},
    {NULL},
};

static PyMemberDef pump_members[] = {
    {"now", T_DOUBLE, offsetof(Pump, now), 0, NULL},
    {"is_direct", T_BOOL, offsetof(Pump, is_direct), 0, NULL},
    {"is_nestable", T_BOOL, offsetof(Pump, is_nestable), 0, NULL},
    {NULL},
};

static PyType_Slot pump_slots[] = {
    {Py_tp_new, pump_new},
    {Py_tp_dealloc, pump_dealloc},
    {Py_tp_traverse, pump_traverse},
    {Py_tp_clear, pump_clear},
    {Py_tp_methods, pump_methods},
    {Py_tp_members, pump_members},
    {0, NULL},
};

static PyType_Spec pump_spec = {
    .name = "shardws.net.pump._pump.Pump",
    .basicsize = sizeof(Pump),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = pump_slots,
};

/* -- module --------------------------------------------------------------------------------------- */

static const struct {
    PyObject **where;
    const char *text;
} names[] = {
    {&name_bytes_received, "bytes_received"},
    {&name_eof_received, "eof_received"},
    {&name_connection_lost, "connection_lost"},
    {&name_connection_made, "connection_made"},
    {&name_pause_writing, "pause_writing"},
    {&name_resume_writing, "resume_writing"},
    {&name_send_slowly, "send_slowly"},
    {&name_failed, "handler_failed"},
    {&name_faults, "faults"},
    {&name_start, "start"},
    {&name_write, "write"},
    {&name_on_data_in, "on_data_in"},
    {&name_read_stopped, "read_stopped"},
    {&name_write_stopped, "write_stopped"},
    {&name_send, "send"},
    {&name_content, "content"},
    {&name_utf8, "utf8"},
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

static PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "shardws.net.pump._pump",
    .m_doc = "The data path of a shard's connections in C; see net.pump.",
    .m_size = -1, /* one interpreter: the types and names above are static */
};

PyMODINIT_FUNC
PyInit__pump(void)
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
    wire_type = add_type(module, &wire_spec);
    pump_type = wire_type != NULL ? add_type(module, &pump_spec) : NULL;
    if (pump_type == NULL || add_type(module, &sender_spec) == NULL ||
        PyObject_SetAttrString((PyObject *)pump_type, "owns_sockets", Py_True) < 0 ||
        PyModule_AddStringConstant(module, "IMPLEMENTATION", "c") < 0 ||
        PyModule_AddIntConstant(module, "CONTRACT", 4) < 0) {
        Py_DECREF(module);
        return NULL;
    }
    return module;
}
