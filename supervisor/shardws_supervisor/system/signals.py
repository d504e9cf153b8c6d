"""Signals, recorded: a handler notes the number and wakes the loop, nothing else.

Owns the handlers and the wake-up pipe of the supervisor; knows not what a signal means (that is
supervisor.py) beyond the list of those that are taken. The pipe only wakes: what arrived is in the
list, so a flood of one signal cannot displace another. Before there is a loop, a signal that ends
the start is an exception, as Ctrl-C is in Python.
"""

import contextlib
import os
import signal
from types import FrameType

from shardws.shard import child_signals

TAKEN = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGTTIN,
    signal.SIGTTOU,
    signal.SIGCHLD,
)

# One note of these is as good as many; the others count (a second TERM hastens the first).
MERGED = frozenset({signal.SIGCHLD, signal.SIGUSR1, signal.SIGHUP})
LONGEST = 64  # notes kept between two turns of the loop


class Interrupted(KeyboardInterrupt):
    """A signal that ends the start."""

    def __init__(self, number: int) -> None:
        self.number = signal.Signals(number)
        super().__init__(self.number.name)


def end_the_start() -> None:
    """Until `Signals.install`: TERM and HUP raise Interrupted; HUP stays ignored under nohup.

    What would only ask a serving supervisor for something comes to nothing, as nobody could do it.
    CHLD is the default again: a starter that ignores it passes that on, and then the kernel keeps
    no exit status for us to wait for.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)
    for number in (signal.SIGUSR1, signal.SIGTTIN, signal.SIGTTOU):
        signal.signal(number, child_signals.unheeded)


def _interrupt(number: int, _frame: FrameType | None) -> None:
    raise Interrupted(number)


class Signals:
    """The recorder; `fileno()` is readable when something was recorded."""

    def __init__(self) -> None:
        self._recorded: list[int] = []
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def fileno(self) -> int:
        return self._reader

    def install(self) -> None:
        """Take the signals; PIPE is ignored, as writes report it."""
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number in TAKEN:
            signal.signal(number, self._record)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)

    def _record(self, number: int, _frame: FrameType | None) -> None:
        if len(self._recorded) < LONGEST and not (number in MERGED and number in self._recorded):
            self._recorded.append(number)

    def take(self) -> list[int]:
        """Return what was recorded since the last call, in order, and forget it."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self._reader, 512):
                pass
        taken, self._recorded = self._recorded, []
        return taken

    def leave(self) -> None:
        """Close, and be deaf: Python gives signals back their defaults before the process ends."""
        for number in TAKEN:
            if number != signal.SIGCHLD:
                signal.signal(number, signal.SIG_IGN)
        self.close()

    def close(self) -> None:
        """Give the descriptors back; also called in a forked child, which shares them."""
        signal.set_wakeup_fd(-1)
        os.close(self._reader)
        os.close(self._writer)


def reset_in_child() -> None:
    """Give a child defaults of its own: TERM ends it, what is meant for the supervisor does not.

    Ctrl-C and a closed terminal reach the whole foreground group, but what follows from them is
    the supervisor's decision, told over the channel. Python ignores PIPE in every process, and
    takes care that what it executes does not.
    """
    signal.set_wakeup_fd(-1)
    for number in TAKEN:
        signal.signal(number, signal.SIG_DFL)
    child_signals.let_pass()
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
