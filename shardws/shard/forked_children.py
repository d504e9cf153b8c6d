"""A process that the application forks from a shard: it must not keep the shard's resources.

Owns what such a child releases. `multiprocessing` with the fork method, a ProcessPoolExecutor and
plain `os.fork` copy every descriptor, and CLOEXEC helps only at an exec. A surviving copy hides the
end of a connection from its client, and keeps the port in use after the server has ended.

Facts to have before reading:
- The shard's sockets are found by inspecting each open socket: a client may be anywhere between the
  kernel's accept and its Connection. Ours are TCP sockets of the port and Unix sockets of the run
  directory; channel, acceptor and the loop's own descriptors are given by number.
- They are replaced by /dev/null instead of closed: objects of the copied interpreter still hold the
  numbers, and would close or write to what the child opens under the same number later.
- The loop's epoll instance is shared, not copied: a transport that is collected in the child would
  remove the parent's client from it.
"""

import contextlib
import os
import socket
import weakref
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, Protocol, TypeVar

from shardws.shard.thread_calls import ThreadCalls

T = TypeVar("T")

LOCK: Final = b"\0shardws-port/"  # net.portlock
LOOP_KINDS: Final = ("anon_inode:[eventpoll]", "anon_inode:[eventfd]", "anon_inode:[io_uring]")
DESCRIPTORS: Final = Path("/proc/self/fd")


class ForkedShardParts(Protocol):
    """What a child must not use of a shard."""

    calls: ThreadCalls


class Holdings:
    """What one shard holds; lives as long as its creator keeps it."""

    def __init__(
        self,
        shard: ForkedShardParts,
        directory: str = "",
        loop: frozenset[int] = frozenset(),
        others: Callable[[], Iterable[int]] = lambda: (),
    ) -> None:
        """`directory`: the run directory; `loop` and `others()`: further descriptors."""
        self.ports: set[int] = set()  # ports that our clients connect to
        self._shard = shard
        self._directory = os.fsencode(directory).rstrip(b"/") + b"/" if directory else b""
        self._loop = loop
        self._others = others
        _all.add(self)

    def let_go(self) -> None:
        """In a child: release everything of the shard, and refuse further calls."""
        self._shard.calls.thread.leave()
        self._shard.calls.renew_lock()
        ours = self._loop | set(self._others())
        ours |= {number for number in open_descriptors() if self._is_ours(number)}
        replace(number for number in ours if number > 2)

    def _is_ours(self, number: int) -> bool:
        try:
            sock = socket.socket(fileno=number)
        except OSError:
            return False  # no socket
        try:
            if sock.family in (socket.AF_INET, socket.AF_INET6):
                is_stream = sock.type == socket.SOCK_STREAM
                return is_stream and sock.getsockname()[1] in self.ports
            if sock.family == socket.AF_UNIX:
                return any(self._names_ours(name) for name in names_of(sock))
            return False
        except OSError:
            return False
        finally:
            sock.detach()

    def _names_ours(self, name: bytes) -> bool:
        is_mesh = bool(self._directory) and name.startswith(self._directory)
        return is_mesh or name.startswith(LOCK)


# Fork hooks cannot be unregistered, so there is one per process, which uses this registry.
_all: Final[weakref.WeakSet[Holdings]] = weakref.WeakSet()


def _after_fork() -> None:
    for holdings in list(_all):
        holdings.let_go()
    _all.clear()


os.register_at_fork(after_in_child=_after_fork)


def names_of(sock: socket.socket) -> list[bytes]:
    """Return the names of both ends of a Unix socket."""
    found = [sock.getsockname()]
    with contextlib.suppress(OSError):  # not connected
        found.append(sock.getpeername())
    return [os.fsencode(name) for name in found]


def open_descriptors() -> list[int]:
    """Return the descriptors of this process."""
    return [int(name) for name in os.listdir(DESCRIPTORS)]


def replace(numbers: Iterable[int]) -> None:
    """Replace descriptors by /dev/null; close them when it cannot be opened."""
    try:
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        null = -1
    for number in numbers:
        with contextlib.suppress(OSError):  # closed already
            if null < 0:
                os.close(number)
            else:
                os.dup2(null, number, inheritable=False)
    if null >= 0:
        os.close(null)


def with_descriptors(make: Callable[[], T]) -> tuple[T, frozenset[int]]:
    """Return the loop that `make` makes, and the descriptors of its own that it opened."""
    before = loop_kinds()
    loop = make()
    return loop, frozenset(loop_kinds() - before)


def loop_kinds() -> set[int]:
    """Return the open descriptors of the kinds that a loop makes."""
    found = set()
    for number in open_descriptors():
        with contextlib.suppress(OSError):  # the one that listed them
            if os.readlink(DESCRIPTORS / str(number)) in LOOP_KINDS:
                found.add(number)
    return found
