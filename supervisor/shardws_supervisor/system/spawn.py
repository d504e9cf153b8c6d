"""Fork, and what a child must do first.

Owns the steps around a fork. The supervisor has one thread, so fork is safe; all signals are
blocked around the fork, so none is handled by a child that still has its parent's handlers; a child
ends in `os._exit` and never returns into its parent's loop, atexit functions or `finally` blocks;
its own atexit functions are run by shardws.shard.ending. A shard leads a process group, so that the
processes it started can be found when it has ended.
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
    """Something a child has to close."""

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
    process limit is reached.
    """
    parent = os.getpid()
    sys.stdout.flush()
    sys.stderr.flush()
    gc.freeze()  # garbage collection in a child must not touch, and so copy, the shared pages
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
    """Kill what a child with its own group leaves behind: its pools, programs it executed.

    Call it when the leader has ended and before it is reaped. A program that was started in a
    session of its own (`start_new_session`) is not affected.
    """
    with contextlib.suppress(ProcessLookupError, PermissionError):  # none left, or not ours
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
        atexit._clear()  # what the parent registered must not run in the child
        for item in fds_to_close:
            item.close()
        # A duplicate: the log's descriptor may be closed and its number reused for a client.
        faulthandler.enable(file=os.dup(logs.descriptor()), all_threads=True)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        code = body()
    except SystemExit as exit_:
        code = exit_.code if isinstance(exit_.code, int) else EXIT_FAILED
    except BaseException:  # noqa: BLE001 - nothing may propagate beyond the child's main function
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
    """Describe how a process ended, from its wait status."""
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        try:
            return f"was killed by {signal.Signals(-code).name}"
        except ValueError:
            return f"was killed by signal {-code}"
    row = EXIT_CODES.get(code)
    return f"exited with {code} ({row.name})" if row else f"exited with {code}"
