"""Fork, and what a child must do first.

Owns the hygiene of a fork; knows nothing of what the child will do. Facts: the supervisor has one
thread, so fork is safe; all signals are blocked around the fork, so none is handled by a child that
still has its parent's handlers; a child ends in `os._exit` and never returns into its parent's
loop, atexit functions or `finally` blocks; those of its own it runs itself (shardws.shard.ending).
A shard leads a process group, so that what it started can be found when it has ended.
"""

import atexit
import contextlib
import ctypes
import faulthandler
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterable
from typing import NoReturn, Protocol

from shardws import log
from shardws.errors import EXIT_CODES, EXIT_FAILED, EXIT_ORPHANED
from shardws.shard.parent import signal_on_death
from shardws_supervisor.system import logs, signals

PR_SET_NAME = 15
_LIBC = ctypes.CDLL(None, use_errno=True)


class Closeable(Protocol):
    """What a child has to let go of."""

    def close(self) -> None: ...


def fork(
    body: Callable[[], int],
    *,
    name: str,
    fds_to_close: Iterable[Closeable] = (),
    is_group: bool = False,
) -> int:
    """Fork a child that runs `body` and exits with its result; return its pid.

    `fds_to_close` are the parent's descriptors that the child closes; `name` is shown by ps and
    top. With `is_group` it leads a process group of its own, and stdin is /dev/null (a terminal
    would stop it for reading). The kernel kills the child when this process dies. OSError when the
    system has no more processes.
    """
    parent = os.getpid()
    sys.stdout.flush()
    sys.stderr.flush()
    gc.freeze()  # a collection in a child must not touch, and so copy, the pages it shares
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = os.fork()
        if pid == 0:
            _child(body, name, fds_to_close, parent, before, is_group=is_group)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return pid


def _lead_group() -> None:
    os.setpgid(0, 0)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    if null:
        os.close(null)


def kill_group(leader: int) -> None:
    """End what a child with a group of its own leaves behind: its pools, what it executed.

    Call it when the leader has ended and before it is reaped. A program that was started in a
    session of its own (`start_new_session`) is nobody's but its own and stays.
    """
    with contextlib.suppress(ProcessLookupError, PermissionError):  # nobody left; not ours to end
        os.killpg(leader, signal.SIGKILL)


def _child(
    body: Callable[[], int],
    name: str,
    fds_to_close: Iterable[Closeable],
    parent: int,
    mask: set[signal.Signals | int] | set[int],
    *,
    is_group: bool,
) -> NoReturn:
    code = EXIT_FAILED
    try:
        die_with_parent(parent)
        if is_group:
            _lead_group()
        _LIBC.prctl(PR_SET_NAME, name.encode()[:15], 0, 0, 0)
        signals.reset_in_child()
        atexit._clear()  # what the parent registered is the parent's
        for item in fds_to_close:
            item.close()
        # A descriptor of its own: that of the log may be closed and given to a client's socket.
        faulthandler.enable(file=os.dup(logs.descriptor()), all_threads=True)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        code = body()
    except SystemExit as exit_:
        code = exit_.code if isinstance(exit_.code, int) else EXIT_FAILED
    except BaseException:  # noqa: BLE001 - the child's last line: nothing may pass it
        log.logger("supervisor.spawn").exception("%s ended by an unexpected error", name)
    finally:
        _leave(code)


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent dies, also by kill -9."""
    signal_on_death(signal.SIGKILL)
    if os.getppid() != parent:  # it died between the fork and the prctl
        os._exit(EXIT_ORPHANED)


def _leave(code: int) -> NoReturn:
    try:
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def ending(status: int) -> str:
    """Say in words how a process ended, from its wait status."""
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        try:
            return f"was killed by {signal.Signals(-code).name}"
        except ValueError:
            return f"was killed by signal {-code}"
    row = EXIT_CODES.get(code)
    return f"exited with {code} ({row.name})" if row else f"exited with {code}"
