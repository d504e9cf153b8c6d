/* Numbers, the counts of a link's messages, and what a send of one of them returns. */

#ifndef SHARDWS_LINKS_NUMBERS_H
#define SHARDWS_LINKS_NUMBERS_H

static PyTypeObject *numbers_type;

/* -- Numbers: the base of routing.ledger.Ledger ---------------------------------------------------- */

typedef struct {
    PyObject_HEAD
    long long first, last, asked, confirmed, forgotten;
    PyObject *failures, *watchers; /* dicts, or NULL before they are set */
    char is_down;
} Numbers;

/* watch(number, watcher): keep a watcher of a message of which nothing is known yet. */
static PyObject *
numbers_watch(Numbers *numbers, PyObject *const *args, Py_ssize_t count)
{
    if (count != 2 || !PyLong_CheckExact(args[0])) {
        PyErr_SetString(PyExc_TypeError, "watch(number, watcher)");
        return NULL;
    }
    long long number = PyLong_AsLongLong(args[0]);
    if (number == -1 && PyErr_Occurred()) {
        return NULL;
    }
    PyObject *failures = numbers->failures, *watchers = numbers->watchers;
    if (number > numbers->confirmed && number > numbers->forgotten && !numbers->is_down &&
        failures != NULL && PyDict_Check(failures) && watchers != NULL && PyDict_Check(watchers)) {
        int is_known = PyDict_GET_SIZE(failures) ? PyDict_Contains(failures, args[0]) : 0;
        if (is_known < 0 || (!is_known && PyDict_SetItem(watchers, args[0], args[1]) < 0)) {
            return NULL;
        }
        if (!is_known) {
            Py_RETURN_NONE;
        }
    }
    PyObject *stack[3] = {(PyObject *)numbers, args[0], args[1]};
    return PyObject_VectorcallMethod(name_watch_slowly, stack, 3 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
}

static int
numbers_traverse(Numbers *numbers, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(numbers));
    Py_VISIT(numbers->failures);
    Py_VISIT(numbers->watchers);
    return 0;
}

static int
numbers_clear(Numbers *numbers)
{
    Py_CLEAR(numbers->failures);
    Py_CLEAR(numbers->watchers);
    return 0;
}

static void
numbers_dealloc(Numbers *numbers)
{
    PyTypeObject *type = Py_TYPE(numbers);
    PyObject_GC_UnTrack(numbers);
    numbers_clear(numbers);
    type->tp_free(numbers);
    Py_DECREF(type);
}

static PyMethodDef numbers_methods[] = {
    {"watch", FAST(numbers_watch), METH_FASTCALL, "See links.Numbers."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef numbers_members[] = {
    {"first", T_LONGLONG, offsetof(Numbers, first), 0, NULL},
    {"last", T_LONGLONG, offsetof(Numbers, last), 0, NULL},
    {"asked", T_LONGLONG, offsetof(Numbers, asked), 0, NULL},
    {"confirmed", T_LONGLONG, offsetof(Numbers, confirmed), 0, NULL},
    {"_forgotten", T_LONGLONG, offsetof(Numbers, forgotten), 0, NULL},
    {"is_down", T_BOOL, offsetof(Numbers, is_down), 0, NULL},
    {"_failures", T_OBJECT_EX, offsetof(Numbers, failures), 0, NULL},
    {"_watchers", T_OBJECT_EX, offsetof(Numbers, watchers), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot numbers_slots[] = {
    {Py_tp_new, PyType_GenericNew},
    {Py_tp_dealloc, numbers_dealloc},
    {Py_tp_traverse, numbers_traverse},
    {Py_tp_clear, numbers_clear},
    {Py_tp_methods, numbers_methods},
    {Py_tp_members, numbers_members},
    {0, NULL},
};

static PyType_Spec numbers_spec = {
    .name = "shardws.routing._links.Numbers",
    .basicsize = sizeof(Numbers),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = numbers_slots,
};

/* -- what a send returns: routing.ledger.PendingSend ------------------------------------------------ */

typedef struct {
    PyTypeObject *type;
    Py_ssize_t ledger_at, number_at; /* where the two slots of its instances are */
} PendingClass;

/* The position of a slot in the instances of a class; -1 with TypeError. */
static Py_ssize_t
slot_of(PyTypeObject *type, const char *name)
{
    PyObject *found = PyObject_GetAttrString((PyObject *)type, name);
    if (found == NULL) {
        return -1;
    }
    Py_ssize_t at = -1;
    if (Py_IS_TYPE(found, &PyMemberDescr_Type)) {
        PyMemberDef *member = ((PyMemberDescrObject *)found)->d_member;
        at = member->type == T_OBJECT_EX ? member->offset : -1;
    }
    Py_DECREF(found);
    if (at < 0) {
        PyErr_Format(PyExc_TypeError, "%s is no slot of %s", name, type->tp_name);
    }
    return at;
}

/* Look at a class with the slots _ledger and _number; 0, or -1 with an exception. */
static int
take_pending_class(PendingClass *pending, PyTypeObject *type)
{
    if (type->tp_alloc != PyType_GenericAlloc || !PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE)) {
        PyErr_SetString(PyExc_TypeError, "not a class that was made in Python");
        return -1;
    }
    Py_ssize_t ledger_at = slot_of(type, "_ledger");
    Py_ssize_t number_at = ledger_at < 0 ? -1 : slot_of(type, "_number");
    if (number_at < 0) {
        return -1;
    }
    pending->ledger_at = ledger_at;
    pending->number_at = number_at;
    Py_XSETREF(pending->type, (PyTypeObject *)Py_NewRef(type));
    return 0;
}

/* An instance for the newest message of a ledger. */
static PyObject *
make_pending(const PendingClass *pending, Numbers *ledger)
{
    PyObject *number = PyLong_FromLongLong(ledger->last);
    PyObject *send = number != NULL ? pending->type->tp_alloc(pending->type, 0) : NULL;
    if (send == NULL) {
        Py_XDECREF(number);
        return NULL;
    }
    *(PyObject **)((char *)send + pending->ledger_at) = Py_NewRef(ledger);
    *(PyObject **)((char *)send + pending->number_at) = number;
    return send;
}

#endif
