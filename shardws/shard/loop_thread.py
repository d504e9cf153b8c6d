"""Which thread runs a shard's loop: the only one that may touch its connections.

Owns that thread's number, which every call of the server compares with the caller's. A program that
calls do_events may set `listening` in one thread and run the loop in another: the first that runs
it keeps it for as long as that thread lives.
"""

import threading
from threading import get_ident
from typing import Final

from shardws import hotpath
from shardws.errors import StateError

FORKED: Final = (
    "a process that was forked from the server's has none of its connections: let the server's own"
    " process send, or use shardws.control.Client"
)


class LoopThread:
    """The thread of one shard; initially the one that creates this object."""

    __slots__ = ("_is_turning", "_thread", "is_forked", "mark")

    def __init__(self) -> None:
        self.mark = hotpath.implementation.ThreadMark()
        self.mark.ident = get_ident()
        self.is_forked = False  # this is a copy in another process: its loop does not run
        self._thread = threading.current_thread()
        self._is_turning = False

    @property
    def is_here(self) -> bool:
        """Whether the caller is that thread."""
        return get_ident() == self.mark.ident

    def claim(self) -> None:
        """Claim the loop, to run it; StateError (211) when another live thread runs it."""
        if not self.is_here:
            self.check()
            if self._is_turning and self._thread.is_alive():
                raise StateError(
                    f"do_events is called by thread {self._thread.name!r}: only one thread may"
                )
            self._thread = threading.current_thread()
            self.mark.ident = get_ident()
        self._is_turning = True

    def leave(self) -> None:
        """Become a copy in a forked process: none of its threads is the loop's."""
        self.mark.ident = 0
        self.is_forked = True

    def check(self) -> None:
        """Raise StateError (211) in a forked process."""
        if self.is_forked:
            raise StateError(FORKED)
