/* Queue, the base of routing.outbound_link.OutboundLink: the bytes that wait to be written to a link. */

#ifndef SHARDWS_LINKS_QUEUE_H
#define SHARDWS_LINKS_QUEUE_H

#define FIRST_ROOM 2048 /* bytes of a new block, which doubles until it is taken */

static PyTypeObject *queue_type;

typedef struct {
    PyObject_HEAD
    PyObject *block;   /* bytes, of which `used` are frames; nobody else has it. NULL: nothing waits */
    Py_ssize_t used;
    Py_ssize_t frames; /* in it */
    Py_ssize_t room;   /* how far `used` may grow without a full check of the bound */
    Numbers *ledger;
    PendingClass pending; /* of what deliver returns */
    char flush_comes;
} Queue;

/* Make room for `size` bytes behind what waits; return where they go, NULL with MemoryError. */
static uint8_t *
claim(Queue *queue, Py_ssize_t size)
{
    Py_ssize_t have = queue->block != NULL ? PyBytes_GET_SIZE(queue->block) : 0;
    if (size > PY_SSIZE_T_MAX / 2 - queue->used) {
        PyErr_NoMemory();
        return NULL;
    }
    Py_ssize_t need = queue->used + size;
    if (need > have) {
        Py_ssize_t room = have ? have * 2 : FIRST_ROOM;
        PyObject *block = PyBytes_FromStringAndSize(NULL, room > need ? room : need);
        if (block == NULL) {
            return NULL; /* what waits stays */
        }
        if (queue->used) {
            memcpy(PyBytes_AS_STRING(block), PyBytes_AS_STRING(queue->block), (size_t)queue->used);
        }
        Py_XSETREF(queue->block, block);
    }
    return (uint8_t *)PyBytes_AS_STRING(queue->block) + queue->used;
}

/* Queue(ledger, pending): `pending` is a class with the slots _ledger and _number. */
static int
queue_init(Queue *queue, PyObject *args, PyObject *names)
{
    static char *words[] = {"ledger", "pending", NULL};
    PyObject *ledger, *pending;
    if (!PyArg_ParseTupleAndKeywords(args, names, "O!O!:Queue", words, numbers_type, &ledger, &PyType_Type,
                                     &pending)) {
        return -1;
    }
    if (take_pending_class(&queue->pending, (PyTypeObject *)pending) < 0) {
        return -1;
    }
    Py_XSETREF(queue->ledger, (Numbers *)Py_NewRef(ledger));
    return 0;
}

/* Have what waits written at the end of the turn; 0, or -1 with an exception. */
static int
wake(Queue *queue)
{
    if (queue->flush_comes) {
        return 0;
    }
    PyObject *done = PyObject_CallMethodNoArgs((PyObject *)queue, name_wake);
    Py_XDECREF(done);
    return done != NULL ? 0 : -1;
}

/* The rare question when the queue is long: 1, 0, or -1 with an exception. */
static int
has_room(Queue *queue, Py_ssize_t size)
{
    PyObject *number = PyLong_FromSsize_t(size);
    if (number == NULL) {
        return -1;
    }
    PyObject *found = PyObject_CallMethodOneArg((PyObject *)queue, name_has_room, number);
    int is_true = found != NULL ? PyObject_IsTrue(found) : -1;
    Py_XDECREF(found);
    Py_DECREF(number);
    return is_true;
}

/* Queue one message; `number` is the connection id as a number. */
static PyObject *
deliver(Queue *queue, PyObject *connection_id, uint64_t number, uint64_t format, PyObject *payload)
{
    Py_ssize_t size = PyBytes_GET_SIZE(payload);
    if (size > queue->room - queue->used - DELIVER_HEAD) {
        int fits = has_room(queue, size + DELIVER_HEAD);
        if (fits <= 0) {
            return fits < 0 ? NULL : PyObject_CallMethodOneArg((PyObject *)queue, name_refuse, connection_id);
        }
    }
    uint8_t *to = claim(queue, DELIVER_HEAD + size);
    if (to == NULL) {
        return NULL;
    }
    write_number(to, 4, (uint64_t)(size + DELIVER_FIXED));
    to[4] = DELIVER;
    write_number(to + 5, 8, number);
    to[13] = (uint8_t)format;
    memcpy(to + DELIVER_HEAD, PyBytes_AS_STRING(payload), (size_t)size);
    queue->used += DELIVER_HEAD + size;
    queue->frames++;
    queue->ledger->last++;
    PyObject *send = make_pending(&queue->pending, queue->ledger); /* before `wake`, which may turn the count further */
    if (wake(queue) < 0) {
        Py_CLEAR(send);
    }
    return send;
}

/* deliver(connection_id, kind, payload): see links.Queue. */
static PyObject *
queue_deliver(Queue *queue, PyObject *const *args, Py_ssize_t count)
{
    if (count != 3 || !PyLong_Check(args[0]) || !PyLong_Check(args[1]) || !PyBytes_Check(args[2])) {
        PyErr_SetString(PyExc_TypeError, "deliver(connection id, kind, bytes)");
        return NULL;
    }
    if (queue->ledger == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "the queue has no ledger");
        return NULL;
    }
    uint64_t number, format;
    if (as_number(args[0], &number) < 0 || as_number(args[1], &format) < 0 || format > 255) {
        PyErr_SetString(PyExc_ValueError, "no connection id, or no kind");
        return NULL;
    }
    return deliver(queue, args[0], number, format, args[2]);
}

/* Put a frame in front of what waits or behind it; 0, or -1 with an exception. */
static int
put(Queue *queue, PyObject *frame, int is_first)
{
    if (!PyBytes_Check(frame)) {
        PyErr_SetString(PyExc_TypeError, "a frame is bytes");
        return -1;
    }
    size_t size = (size_t)PyBytes_GET_SIZE(frame), before = (size_t)queue->used;
    uint8_t *to = claim(queue, (Py_ssize_t)size);
    if (to == NULL) {
        return -1;
    }
    if (is_first) {
        to -= before;
        memmove(to + size, to, before);
    }
    memcpy(to, PyBytes_AS_STRING(frame), size);
    queue->used += (Py_ssize_t)size;
    queue->frames++;
    return 0;
}

/* put(frame): queue a frame as it is, whatever the bound. */
static PyObject *
queue_put(Queue *queue, PyObject *frame)
{
    if (put(queue, frame, 0) < 0 || wake(queue) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* put_first(frame): in front of what waits; nothing is woken. */
static PyObject *
queue_put_first(Queue *queue, PyObject *frame)
{
    if (put(queue, frame, 1) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* take(): return what waits, and begin anew. */
static PyObject *
queue_take(Queue *queue, PyObject *Py_UNUSED(nothing))
{
    PyObject *block = queue->block;
    Py_ssize_t used = queue->used;
    queue->block = NULL;
    queue->used = queue->frames = 0;
    if (block == NULL) {
        return PyBytes_FromStringAndSize(NULL, 0);
    }
    if (PyBytes_GET_SIZE(block) != used) {
        _PyBytes_Resize(&block, used); /* NULL with MemoryError when it cannot */
    }
    return block;
}

static int
queue_traverse(Queue *queue, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(queue));
    Py_VISIT(queue->ledger);
    Py_VISIT(queue->pending.type);
    return 0;
}

static int
queue_clear(Queue *queue)
{
    Py_CLEAR(queue->ledger);
    Py_CLEAR(queue->pending.type);
    return 0;
}

static void
queue_dealloc(Queue *queue)
{
    PyTypeObject *type = Py_TYPE(queue);
    PyObject_GC_UnTrack(queue);
    queue_clear(queue);
    Py_CLEAR(queue->block);
    type->tp_free(queue);
    Py_DECREF(type);
}

static PyMethodDef queue_methods[] = {
    {"deliver", FAST(queue_deliver), METH_FASTCALL, "See links.Queue."},
    {"put", (PyCFunction)queue_put, METH_O, "See links.Queue."},
    {"put_first", (PyCFunction)queue_put_first, METH_O, "See links.Queue."},
    {"take", (PyCFunction)queue_take, METH_NOARGS, "See links.Queue."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef queue_members[] = {
    {"ledger", T_OBJECT_EX, offsetof(Queue, ledger), READONLY, NULL},
    {"waiting", T_PYSSIZET, offsetof(Queue, used), READONLY, NULL},
    {"frames", T_PYSSIZET, offsetof(Queue, frames), READONLY, NULL},
    {"room", T_PYSSIZET, offsetof(Queue, room), 0, NULL},
    {"flush_comes", T_BOOL, offsetof(Queue, flush_comes), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot queue_slots[] = {
    {Py_tp_new, PyType_GenericNew},
    {Py_tp_init, queue_init},
    {Py_tp_dealloc, queue_dealloc},
    {Py_tp_traverse, queue_traverse},
    {Py_tp_clear, queue_clear},
    {Py_tp_methods, queue_methods},
    {Py_tp_members, queue_members},
    {0, NULL},
};

static PyType_Spec queue_spec = {
    .name = "shardws.routing._links.Queue",
    .basicsize = sizeof(Queue),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = queue_slots,
};

#endif
