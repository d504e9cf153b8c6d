"""Ctrl-C while a loop turns: kept until it stands still.

Owns SIGINT for that time. A KeyboardInterrupt out of the middle of a callback would be taken for
that connection's fault: the loop drops the connection and goes on as if nothing had been pressed.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def kept(stop: Callable[[], None]) -> Iterator[None]:
    """Keep SIGINT back: `stop` is called when it comes, and its handler at the end.

    Nothing is done outside of the main thread, and when the program ignores SIGINT.
    """
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield
        return
    came = False

    def keep(number: int, frame: object) -> None:
        nonlocal came
        came = True
        stop()

    signal.signal(signal.SIGINT, keep)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if came:
            handler(signal.SIGINT, None)
