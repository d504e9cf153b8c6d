"""The per-message work that is slow in Python: counting, creating the event, checking the thread.

Owns two implementations of one contract: `_hotpath.c`, optional at build time, and the one below,
which is also used when SHARDWS_CODEC=python forces Python (see protocol.codec). On one core an echo
of 125 B takes some 9 us, most of it in the kernel: four counts in shared memory through a
memoryview and one named tuple created by its own `__new__` were 0.6 us of that.
"""

import os
from collections.abc import Callable
from importlib import import_module
from threading import get_ident
from types import MethodType
from typing import Any, Final, NamedTuple, Protocol, TypeVar, cast

from shardws.stats import BYTES_IN, BYTES_OUT, MESSAGES_IN, MESSAGES_OUT, Words

T = TypeVar("T", bound=tuple[Any, ...])
AnyT = TypeVar("AnyT")


class Counting(Protocol):
    """What both `Counters` types offer."""

    def received(self, messages: int, size: int, /) -> None: ...
    def sent(self, messages: int, size: int, /) -> None: ...


class Choosing(Protocol):
    """What both `ThreadMark` types offer."""

    ident: int

    def choose(self, here: AnyT, elsewhere: AnyT, /) -> AnyT: ...


class Implementation(NamedTuple):
    """What both implementations offer."""

    IMPLEMENTATION: str
    Counters: Callable[..., Counting]
    ThreadMark: Callable[[], Choosing]
    maker: Callable[[type[Any]], Callable[..., Any]]


class Counters:
    """The message counters in a row of shared memory; every process sees each call at once."""

    __slots__ = ("_bytes_in", "_bytes_out", "_messages_in", "_messages_out", "_row")

    def __init__(
        self, row: Words, messages_in: int, bytes_in: int, messages_out: int, bytes_out: int, /
    ) -> None:
        """IndexError for a word outside the row; ValueError when its words are not of 64 bits.

        The four numbers are positions in the row. BufferError when the row is read-only.
        """
        if row.readonly:
            raise BufferError("the row is read-only")
        if row.format != "Q":
            raise ValueError("words of format Q")
        for index in (messages_in, bytes_in, messages_out, bytes_out):
            if not 0 <= index < len(row):
                raise IndexError("no such word")
        self._row = row
        self._messages_in, self._bytes_in = messages_in, bytes_in
        self._messages_out, self._bytes_out = messages_out, bytes_out

    def received(self, messages: int, size: int, /) -> None:
        """Count messages from a client and the bytes they came in; ValueError below 0."""
        if messages < 0 or size < 0:
            raise ValueError("counters only rise")
        self._row[self._messages_in] += messages
        self._row[self._bytes_in] += size

    def sent(self, messages: int, size: int, /) -> None:
        """Count messages to a client and the bytes they leave in; ValueError below 0."""
        if messages < 0 or size < 0:
            raise ValueError("counters only rise")
        self._row[self._messages_out] += messages
        self._row[self._bytes_out] += size


class ThreadMark:
    """A thread's number (threading.get_ident), 0 for none; compared with the caller's.

    In Python each look-up of the running thread's number creates an object: with the comparison
    that was 3 % of an echo.
    """

    __slots__ = ("ident",)

    def __init__(self) -> None:
        self.ident = 0

    def choose(self, here: AnyT, elsewhere: AnyT, /) -> AnyT:
        """Return the first argument on that thread, the second on any other."""
        return here if get_ident() == self.ident else elsewhere


def maker(kind: type[T], /) -> Callable[..., T]:
    """Return a function that creates a named tuple from its fields; callers pass the right number.

    TypeError for a class that is not a named tuple.
    """
    if tuple not in kind.__bases__ or "_fields" not in vars(kind):
        raise TypeError("not the class of a named tuple")
    return MethodType(kind.__new__, kind)  # a quarter less than calling the class


IMPLEMENTATION: Final = "python"


def select(forced: str) -> Implementation:
    """Return the implementation to use, as `protocol.codec.select` does.

    An extension built from other source, which lacks a name, is treated as missing.
    """
    if forced != "python":
        try:
            extension = cast(Implementation, import_module("shardws._hotpath"))
            return Implementation(
                extension.IMPLEMENTATION,
                extension.Counters,
                extension.ThreadMark,
                extension.maker,
            )
        except (ImportError, AttributeError) as error:
            if forced == "c":
                raise ImportError("shardws._hotpath was not built of this source") from error
    return Implementation(IMPLEMENTATION, Counters, ThreadMark, maker)


implementation: Final = select(os.environ.get("SHARDWS_CODEC", ""))


def counters(row: Words) -> Counting:
    """Return the counters of a shard's row."""
    return implementation.Counters(row, MESSAGES_IN, BYTES_IN, MESSAGES_OUT, BYTES_OUT)
