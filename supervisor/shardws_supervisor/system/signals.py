"""Signals, recorded: a handler notes the number and wakes the loop, nothing else.

Owns the handlers and the wake-up pipe of the supervisor; what a signal does is decided in
supervisor.py. The pipe only wakes: the numbers are in a list, so a flood of one signal cannot
displace another. Before there is a loop, a signal that ends the start is an exception, like
Ctrl-C in Python.
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
    signal.SIGUSR2,
    signal.SIGTTIN,
    signal.SIGTTOU,
    signal.SIGCHLD,
)

# Repetitions of these are merged; the others count (a second TERM escalates the first).
MERGED = frozenset({signal.SIGCHLD, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP})
LONGEST = 64  # recorded signals kept between two turns of the loop


class Interrupted(KeyboardInterrupt):
    """A signal that ends the start."""

    def __init__(self, number: int) -> None:
        self.number = signal.Signals(number)
        super().__init__(self.number.name)


def end_the_start() -> None:
    """Until `Signals.install`: TERM and HUP raise Interrupted; HUP stays ignored under nohup.

    Signals that only make sense to a serving supervisor are ignored.
    CHLD is reset to the default: a parent that ignores it passes that on, and the kernel then keeps
    no exit status to wait for.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)
    for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTTIN, signal.SIGTTOU):
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
        """Install the handlers; PIPE is ignored, since writes report the error."""
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number in TAKEN:
            signal.signal(number, self._record)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)

    def _record(self, number: int, _frame: FrameType | None) -> None:
        if len(self._recorded) < LONGEST and not (number in MERGED and number in self._recorded):
            self._recorded.append(number)

    def take(self) -> list[int]:
        """Return and clear what was recorded since the last call, in order."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self._reader, 512):
                pass
        taken, self._recorded = self._recorded, []
        return taken

    def hold(self) -> None:
        """Have signals wait in the kernel, those that were recorded too: for an exec.

        The handlers do not survive it; without this, one that arrives meanwhile would end the
        server. `release` in the new process image, or after an exec that failed.
        """
        signal.pthread_sigmask(signal.SIG_BLOCK, TAKEN)
        for number in self.take():
            os.kill(os.getpid(), number)

    def release(self) -> None:
        """Let the signals through that `hold` has kept; the handlers must be installed."""
        signal.pthread_sigmask(signal.SIG_UNBLOCK, TAKEN)

    def leave(self) -> None:
        """Close and ignore further signals: Python restores the defaults at exit."""
        for number in TAKEN:
            if number != signal.SIGCHLD:
                signal.signal(number, signal.SIG_IGN)
        self.close()

    def close(self) -> None:
        """Close the descriptors; also called in a forked child, which shares them."""
        signal.set_wakeup_fd(-1)
        os.close(self._reader)
        os.close(self._writer)


def reset_in_child() -> None:
    """Reset signals in a child: TERM ends it, those meant for the supervisor are ignored.

    Ctrl-C and a closed terminal reach the whole foreground group, but the supervisor decides what
    they do and tells the children over the channel. Python ignores PIPE in every process, and
    restores it for the programs it executes.
    """
    signal.set_wakeup_fd(-1)
    for number in TAKEN:
        signal.signal(number, signal.SIG_DFL)
    child_signals.let_pass()
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
