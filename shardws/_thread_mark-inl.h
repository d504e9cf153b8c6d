/* ThreadMark of _hotpath.c, which net/pump reads too: a call of its method would be seen there. */

#ifndef SHARDWS_THREAD_MARK_H
#define SHARDWS_THREAD_MARK_H

#include <Python.h>

#define THREAD_MARK_NAME "shardws._hotpath.ThreadMark"

typedef struct {
    PyObject_HEAD
    unsigned long ident;
} ThreadMark;

#endif
