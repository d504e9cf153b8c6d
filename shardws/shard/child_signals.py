"""Signals in a shard that are not for it, and in what the application forks and executes.

Owns both. A shard has the group's Ctrl-C and closed terminal, and what is sent to a supervisor by
mistake, come to nothing by a handler that does nothing: exec resets a handler, while a signal that
is ignored or blocked would stay so in every program that the application starts, and then nobody
could end that program by it. A child by fork alone (multiprocessing) has our handlers, which speak
of a loop that is not its own, so it gets the defaults back.
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
    signal.SIGTTIN,
    signal.SIGTTOU,
)
SHARDS_OWN: Final = (signal.SIGTERM, signal.SIGCONT)


def unheeded(_number: int, _frame: object) -> None:
    """Do nothing."""


def let_pass() -> None:
    """Have the signals that are not for this process come to nothing."""
    for number in UNHEEDED:
        signal.signal(number, unheeded)


def give_children_defaults() -> None:
    """Have what this process forks from now on take all these signals as any program does."""
    masks = threading.local()

    def hold() -> None:  # one that comes to the child before it is ready must not be lost
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
