/* The keeper: a process that has its shard's descriptors, and closes the clients when the shard dies.
 *
 * It is made by clone(CLONE_FILES): the kernel closes a socket when the last process of a descriptor
 * table has ended, so the clients of a shard that was killed are still there, and this process can
 * write their close frame. Facts to have before reading:
 *   - The child is a copy of a running interpreter that never runs Python, allocates nothing and calls
 *     nothing of libc but bare system calls: a lock that another thread held would be held for ever.
 *   - Its table also holds the shard's links, channel, epoll and listener, whose peers must see their
 *     end: when the shard has died, everything that is not a client's is closed first.
 *   - Which descriptors are clients stands in shared memory (shardws.census): descriptor + 1 and two
 *     flags for each cell, written by the shard with plain stores.
 *   - It never executes a program: execve would unshare the table. */

#define PY_SSIZE_T_CLEAN
#define _GNU_SOURCE
#include <Python.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CONTRACT 1
#define INSIDE (1u << 31) /* the outgoing stream stands inside a frame */
#define SILENT (1u << 30) /* no frame may be written: TLS, or a close frame has left */
#define FLAGS (INSIDE | SILENT)
#define LINGER_MS 500 /* for clients to take the close frame: closing with unread bytes sends a reset */
#define LOOK_MS 50
#define MOST_FRAME 127

typedef struct {
    pid_t supervisor;
    int shard; /* a pidfd */
    volatile uint32_t *cells;
    size_t count; /* cells[0] counts those in use from the front */
    unsigned char frame[MOST_FRAME];
    size_t frame_size;
} Watch;

static long
close_between(unsigned first, unsigned last)
{
    return first <= last ? syscall(SYS_close_range, first, last, 0) : 0;
}

static int
is_client(const Watch *watch, size_t used, int fd)
{
    for (size_t at = 1; at <= used; at++) {
        if ((watch->cells[at] & ~FLAGS) == (uint32_t)fd + 1) {
            return 1;
        }
    }
    return 0;
}

static void
mark(uint8_t *bits, uint32_t fd, uint32_t room)
{
    if (fd < room) {
        bits[fd / 8] |= (uint8_t)(1u << (fd % 8));
    }
}

#define MOST_FDS (1u << 20) /* of the bitmap, 128 KiB; beyond it a descriptor is looked for in the cells */
static uint8_t clients[MOST_FDS / 8];

/* Close what is not a client's: peers of links and channel, and whoever connects, must see the end. */
static void
close_others(const Watch *watch, size_t used)
{
    uint32_t highest = 0;
    for (size_t at = 1; at <= used; at++) {
        uint32_t fd = watch->cells[at] & ~FLAGS;
        if (fd) {
            mark(clients, fd - 1, MOST_FDS);
            highest = fd - 1 > highest ? fd - 1 : highest;
        }
    }
    unsigned first = 0;
    for (unsigned fd = 0; fd <= highest; fd++) {
        int is_kept = fd < MOST_FDS ? clients[fd / 8] >> (fd % 8) & 1 : is_client(watch, used, (int)fd);
        if (is_kept) {
            if (fd > first) {
                close_between(first, fd - 1);
            }
            first = fd + 1;
        }
    }
    close_between(first, ~0u);
}

/* One attempt each: a client that does not read must not cost the others their frame. */
static void
say_goodbye(const Watch *watch, size_t used)
{
    for (size_t at = 1; at <= used; at++) {
        uint32_t cell = watch->cells[at];
        int fd = (int)(cell & ~FLAGS) - 1;
        if (fd < 0) {
            continue;
        }
        if (!(cell & FLAGS)) {
            (void)send(fd, watch->frame, watch->frame_size, MSG_NOSIGNAL | MSG_DONTWAIT);
        }
        (void)shutdown(fd, SHUT_WR);
    }
}

/* Read away what clients still send, until they have closed or the time is over. */
static void
linger(const Watch *watch, size_t used)
{
    static char scratch[16 * 1024];
    struct timespec pause = {0, LOOK_MS * 1000000L};
    for (int spent = 0; spent < LINGER_MS; spent += LOOK_MS) {
        size_t open = 0;
        for (size_t at = 1; at <= used; at++) {
            int fd = (int)(watch->cells[at] & ~FLAGS) - 1;
            if (fd < 0) {
                continue;
            }
            ssize_t got = recv(fd, scratch, sizeof scratch, MSG_DONTWAIT);
            if (got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR))) {
                open++;
            }
            else {
                watch->cells[at] = 0;
                (void)close(fd);
            }
        }
        if (!open) {
            return;
        }
        nanosleep(&pause, NULL);
    }
}

static void
prefer_to_live(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        (void)!write(fd, "-500", 4); /* without the privilege for it the shard, which is larger, dies first */
        close(fd);
    }
}

static void
keep(const Watch *watch)
{
    struct pollfd shard = {.fd = watch->shard, .events = POLLIN};
    int ready;
    do {
        ready = poll(&shard, 1, -1);
    } while (ready < 0 && errno == EINTR);
    size_t used = watch->cells[0] < watch->count ? watch->cells[0] : watch->count - 1;
    close_others(watch, used);
    say_goodbye(watch, used);
    linger(watch, used);
    _exit(0);
}

static void
run_child(const Watch *watch)
{
    setpgid(0, 0); /* the shard's group is killed when the shard has ended */
    prctl(PR_SET_NAME, "shardws-keeper", 0, 0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (getppid() != watch->supervisor) {
        _exit(0);
    }
    prefer_to_live();
    keep(watch);
}

/* Wait until the child leads its own group; it does that first of all. */
static void
await_group(pid_t child)
{
    for (int turn = 0; turn < 100000 && getpgid(child) != child; turn++) {
        sched_yield();
    }
}

static PyObject *
start(PyObject *Py_UNUSED(module), PyObject *arguments)
{
    Watch watch = {0};
    Py_buffer cells, frame;
    if (!PyArg_ParseTuple(arguments, "w*iy*:start", &cells, &watch.shard, &frame)) {
        return NULL;
    }
    PyObject *result = NULL;
    if (cells.len < 8 || cells.itemsize != 4 || frame.len > MOST_FRAME) {
        PyErr_SetString(PyExc_ValueError, "cells of 4 bytes, and a frame of at most 127");
        goto done;
    }
    watch.supervisor = getppid();
    watch.cells = cells.buf;
    watch.count = (size_t)cells.len / 4;
    memcpy(watch.frame, frame.buf, (size_t)frame.len);
    watch.frame_size = (size_t)frame.len;
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &before); /* the child keeps it: only SIGKILL ends it */
    long child = syscall(SYS_clone, CLONE_FILES | CLONE_PARENT | SIGCHLD, NULL, NULL, NULL, NULL);
    if (child == 0) {
        run_child(&watch);
        _exit(0);
    }
    int error = errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (child < 0) {
        errno = error;
        PyErr_SetFromErrno(PyExc_OSError);
        goto done;
    }
    await_group((pid_t)child);
    result = PyLong_FromLong(child);
done:
    PyBuffer_Release(&cells);
    PyBuffer_Release(&frame);
    return result;
}

static PyMethodDef methods[] = {
    {"start", start, METH_VARARGS,
     "start(cells, pidfd, frame): make the keeper of this process and return its pid; OSError."},
    {NULL},
};

static int
module_exec(PyObject *module)
{
    return PyModule_AddIntConstant(module, "CONTRACT", CONTRACT);
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, module_exec},
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_keeper",
    .m_doc = "The keeper of a shard's sockets; see shardws.shard.keeper.",
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC
PyInit__keeper(void)
{
    return PyModuleDef_Init(&definition);
}
