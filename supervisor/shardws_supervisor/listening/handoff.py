"""The supervisor's side of AcceptMode handoff: the acceptor and the ways to the shards.

Owns the acceptor child and, per process, a socket pair (SOCK_SEQPACKET: each message is whole and
carries one descriptor). The shard has one end; the acceptor gets a copy of the other while the
shard is ready, and this room keeps it, so that the next acceptor gets it too. When a shard drains,
both copies are closed: it reads to the end and takes what was on its way.
"""

import socket
from collections.abc import Callable

from shardws import stats
from shardws_supervisor.listening import acceptor
from shardws_supervisor.system.auxiliary import Auxiliary
from shardws_supervisor.system.backoff import Policy
from shardws_supervisor.system.spawn import Closeable

QUICK = Policy(first=0.05, stable=10.0)  # connects wait meanwhile
BACKLOG = 4096  # capped by net.core.somaxconn


class Handoff(Auxiliary):
    """See the module docstring."""

    def __init__(
        self,
        listener: socket.socket,
        memory: stats.Stats,
        fds_to_close: Callable[[], list[Closeable]],
    ) -> None:
        super().__init__("acceptor", self._run, fds_to_close, QUICK, process_name="shardws-accept")
        self._listener = listener
        self._memory = memory
        self._ways: dict[int, socket.socket] = {}  # by row: our copy of the acceptor's end
        self._ready: set[int] = set()
        self._orders: socket.socket | None = None
        self._theirs: socket.socket | None = None

    def _run(self) -> int:
        assert self._theirs is not None
        return acceptor.run(self._listener, BACKLOG, self._theirs, self._memory)

    def _prepare(self) -> list[Closeable]:
        """Make the channel of a new acceptor (Auxiliary)."""
        if self._orders is not None:
            self._orders.close()
        self._orders, self._theirs = _pair()
        return [self._orders, *self._ways.values()]

    def _forked(self) -> None:
        """Name every ready shard to the new acceptor (Auxiliary)."""
        assert self._theirs is not None
        self._theirs.close()
        for row in self._ready:
            self._order(acceptor.ADD, row)

    def open(self, row: int) -> socket.socket:
        """Return the end for a new shard, which the caller closes after the fork."""
        self.drop(row)
        self._ways[row], theirs = _pair()
        return theirs

    def add(self, row: int) -> None:
        """The shard of a row is ready: connections may go to it."""
        self._ready.add(row)
        self._order(acceptor.ADD, row)

    def drop(self, row: int) -> None:
        """A shard drains or is gone: no more connections for it."""
        if row in self._ready:
            self._ready.remove(row)
            self._order(acceptor.DROP, row)
        way = self._ways.pop(row, None)
        if way is not None:
            way.close()

    def _order(self, what: int, row: int) -> None:
        """Tell the acceptor; one that does not listen is replaced, and the next one told anew."""
        if self._orders is None or not self.pid:
            return
        descriptors = [self._ways[row].fileno()] if what == acceptor.ADD else []
        try:
            socket.send_fds(self._orders, [acceptor.ORDER.pack(what, row)], descriptors)
        except OSError:
            self.kill()

    def fds_to_close(self) -> list[Closeable]:
        """Return the descriptors of this room, for other children."""
        orders = [self._orders] if self._orders is not None else []
        return [*orders, *self._ways.values()]

    def end(self) -> None:
        super().end()
        for sock in [*self._ways.values(), *([self._orders] if self._orders else [])]:
            sock.close()


def made(
    listener: socket.socket | None,
    memory: stats.Stats,
    fds_to_close: Callable[[], list[Closeable]],
) -> Handoff | None:
    """Return the hand-off for a listener, None without one; `fds_to_close` may include the listener."""
    if listener is None:
        return None
    return Handoff(
        listener, memory, lambda: [item for item in fds_to_close() if item is not listener]
    )


def _pair() -> tuple[socket.socket, socket.socket]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    return ours, theirs
