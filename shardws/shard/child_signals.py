"""Signals in a shard that are not for it, and in what the application forks and executes.

Owns both. In a shard, the process group's SIGINT and SIGHUP, and signals meant for a supervisor,
are discarded by a handler that does nothing: exec resets a handler, while an ignored or blocked
signal would stay so in every program that the application starts, which could then not be ended by
it. A child by fork alone (multiprocessing) inherits our handlers, which refer to a loop that is not
its own, so the defaults are restored there.
"""

import os
import signal
import threading
from typing import Final

UNHEEDED: Final = (
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGTTIN,
    signal.SIGTTOU,
)
SHARDS_OWN: Final = (signal.SIGTERM, signal.SIGCONT)


def unheeded(_number: int, _frame: object) -> None:
    """Do nothing."""


def let_pass() -> None:
    """Discard the signals that are not for this process."""
    for number in UNHEEDED:
        signal.signal(number, unheeded)


def give_children_defaults() -> None:
    """Restore the default handling of these signals in every process forked from now on."""
    masks = threading.local()

    def hold() -> None:  # a signal that reaches the child before it is ready must not be lost
        masks.before = signal.pthread_sigmask(signal.SIG_BLOCK, (*UNHEEDED, *SHARDS_OWN))

    def release() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, masks.before)

    def start_child() -> None:
        _reset()
        release()

    os.register_at_fork(before=hold, after_in_parent=release, after_in_child=start_child)


def _reset() -> None:
    signal.set_wakeup_fd(-1)
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number in (*UNHEEDED, *SHARDS_OWN):
        is_interrupt = number == signal.SIGINT
        signal.signal(number, signal.default_int_handler if is_interrupt else signal.SIG_DFL)
