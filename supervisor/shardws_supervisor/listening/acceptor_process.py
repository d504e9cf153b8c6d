"""The acceptor as a child of the supervisor, and the sockets that lead from it to the shards.

Owns the child and, per shard process, a socket pair (SOCK_SEQPACKET: each message is whole and
carries one descriptor). The shard has one end; the acceptor gets a copy of the other while the
shard is ready, and the supervisor keeps it, so that the next acceptor gets it too. When a shard
drains, both copies are closed: it reads to the end and takes what was already handed over.
"""

import socket
from collections.abc import Callable

from shardws import stats
from shardws.net import sockets
from shardws_supervisor.listening import acceptor
from shardws_supervisor.listening.strategy import KeptAcceptor
from shardws_supervisor.system.auxiliary import Auxiliary
from shardws_supervisor.system.backoff import Policy
from shardws_supervisor.system.kept import Descriptor
from shardws_supervisor.system.spawn import Closeable

QUICK = Policy(first=0.05, stable=10.0)  # clients wait in the backlog meanwhile
BACKLOG = 4096  # capped by net.core.somaxconn


class AcceptorProcess(Auxiliary):
    """See the module docstring."""

    def __init__(
        self,
        listener: socket.socket,
        memory: stats.Stats,
        fds_to_close: Callable[[], list[Closeable]],
    ) -> None:
        """`fds_to_close` returns the descriptors the child must close, without the listener."""
        super().__init__("acceptor", self._run, fds_to_close, QUICK, process_name="shardws-accept")
        self._listener = listener
        self._memory = memory
        self._ends: dict[int, socket.socket] = {}  # by row: our copy of the acceptor's end
        self._ready: set[int] = set()
        self._orders: socket.socket | None = None
        self._theirs: socket.socket | None = None

    def _run(self) -> int:
        assert self._theirs is not None
        return acceptor.run(self._listener, BACKLOG, self._theirs, self._memory)

    def _prepare(self) -> list[Closeable]:
        """Create the order channel of a new acceptor (Auxiliary)."""
        if self._orders is not None:
            self._orders.close()
        self._orders, self._theirs = _pair()
        return list(self.descriptors())

    def _forked(self) -> None:
        """Pass every ready shard to the new acceptor (Auxiliary)."""
        assert self._theirs is not None
        self._theirs.close()
        for row in self._ready:
            self._order(acceptor.ADD, row)

    def keep_links(self) -> KeptAcceptor:
        """Return what `adopt_links` needs."""
        ends = {row: Descriptor(end.fileno()) for row, end in self._ends.items()}
        orders = None if self._orders is None else Descriptor(self._orders.fileno())
        return KeptAcceptor(self.keep(), ends, sorted(self._ready), orders)

    def adopt_links(self, kept: KeptAcceptor, now: float) -> None:
        """Take on the child and the sockets that this process had before an exec."""
        self._ends = {row: sockets.adopted(file) for row, file in kept.ends.items()}
        self._ready = set(kept.ready)
        self._orders = None if kept.orders is None else sockets.adopted(kept.orders)
        self.adopt(kept.child, now)

    def _ask_to_end(self) -> None:
        """Close the orders, at whose end it goes by itself and loses no client (Auxiliary)."""
        if self._orders is not None:
            self._orders.close()
            self._orders = None

    def connect(self, row: int) -> socket.socket:
        """Return the end for a new shard, which the caller closes after the fork."""
        self.drop(row)
        self._ends[row], theirs = _pair()
        return theirs

    def add(self, row: int) -> None:
        """Hand connections to a shard from now on."""
        self._ready.add(row)
        self._order(acceptor.ADD, row)

    def drop(self, row: int) -> None:
        """Hand no more connections to a shard."""
        if row in self._ready:
            self._ready.remove(row)
            self._order(acceptor.DROP, row)
        end = self._ends.pop(row, None)
        if end is not None:
            end.close()

    def _order(self, what: int, row: int) -> None:
        """Send an order; an acceptor that does not read is killed, and the next gets them all."""
        if self._orders is None or not self.pid:
            return
        descriptors = [self._ends[row].fileno()] if what == acceptor.ADD else []
        try:
            socket.send_fds(self._orders, [acceptor.ORDER.pack(what, row)], descriptors)
        except OSError:
            self.kill()

    def descriptors(self) -> list[socket.socket]:
        """Return the sockets open here: no child may keep them."""
        orders = [self._orders] if self._orders is not None else []
        return [*orders, *self._ends.values()]

    def end(self) -> None:
        """End the child for good, and close the sockets (Auxiliary)."""
        super().end()
        for sock in self.descriptors():
            sock.close()


def _pair() -> tuple[socket.socket, socket.socket]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    return ours, theirs
