"""Defers Ctrl-C while a loop runs until it has stopped.

Owns SIGINT for that time. A KeyboardInterrupt raised inside a callback would be treated as that
connection's error: the loop drops the connection and keeps running.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def kept(stop: Callable[[], None]) -> Iterator[None]:
    """Defer SIGINT: `stop` is called when it arrives, and its handler at the end.

    Does nothing outside the main thread, or when the program ignores SIGINT.
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
