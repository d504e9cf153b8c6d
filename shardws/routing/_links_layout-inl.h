/* The layout of a DELIVER (wire.codec), and names that the parts share. */

#ifndef SHARDWS_LINKS_LAYOUT_H
#define SHARDWS_LINKS_LAYOUT_H

#define DELIVER 10 /* as wire.messages */
#define DELIVER_HEAD 14 /* length u32 | kind u8 | id u64 | format u8, little-endian */
#define DELIVER_FIXED 9 /* what `length` counts besides the payload */
#define GENERATION_SHIFT 27 /* as ids: what stands above it is the same for all ids of one process */

#define FAST(function) (PyCFunction)(void (*)(void))(function)

static PyObject *name_has_room, *name_refuse, *name_wake, *name_watch_slowly, *name_send, *name_send_slowly;

/* Whether a number is one of wire.messages.DATA_FORMATS. */
static inline int
is_format(uint64_t format)
{
    return format == 1 || format == 2 || format == 9 || format == 10;
}

/* The value of an int; -1 without an exception when it is none of 64 bits. */
static inline int
as_number(PyObject *object, uint64_t *number)
{
    int overflows;
    long value = PyLong_AsLongAndOverflow(object, &overflows); /* several times as fast as the others */
    if (!overflows) {
        *number = (uint64_t)value;
        return value < 0 ? -1 : 0;
    }
    *number = PyLong_AsUnsignedLongLong(object);
    if (PyErr_Occurred()) {
        PyErr_Clear();
        return -1;
    }
    return 0;
}

static inline uint64_t
read_number(const uint8_t *at, int bytes)
{
    uint64_t number = 0;
    for (int each = bytes - 1; each >= 0; each--) {
        number = number << 8 | at[each];
    }
    return number;
}

static inline void
write_number(uint8_t *at, int bytes, uint64_t number)
{
    for (int each = 0; each < bytes; each++) {
        at[each] = (uint8_t)(number >> 8 * each);
    }
}

#endif
