"""AcceptMode handoff: one exclusive socket, and a child that alone accepts on it.

Owns the socket and the port's lock; `acceptor_process` owns the child and its links to the shards.
"""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from shardws import stats
from shardws.net import sockets
from shardws.net.sockets import Address
from shardws.shard.connection_source import ConnectionSource, HandoffSocket
from shardws_supervisor.listening.acceptor_process import AcceptorProcess
from shardws_supervisor.listening.strategy import AcceptStrategy, KeptPort, Kind
from shardws_supervisor.system.kept import Descriptor
from shardws_supervisor.system.spawn import Closeable


class Handoff(AcceptStrategy):
    """See the module docstring. Slots need nothing: the acceptor only has ready shards."""

    def __init__(
        self,
        address: Address,
        passed: socket.socket | None,
        memory: stats.Stats,
        fds_to_close: Callable[[], list[Closeable]],
    ) -> None:
        """Bind the socket, unless one was passed in; StartError when the port is not free.

        `fds_to_close` returns all descriptors of the supervisor; the acceptor keeps the socket.
        """
        self._lock: socket.socket | None = None
        if passed is not None:
            self.sock, self.address = passed, sockets.address_of(passed)
        else:
            self.sock, self._lock = sockets.claim(address)
            self.address = sockets.settled(address, self.sock)
        self._acceptor = AcceptorProcess(
            self.sock, memory, lambda: [item for item in fds_to_close() if item is not self.sock]
        )
        self.auxiliaries = (self._acceptor,)

    def keep(self) -> KeptPort:
        """Return socket, lock and acceptor (AcceptStrategy)."""
        files = {0: Descriptor(self.sock.fileno())}
        lock = None if self._lock is None else Descriptor(self._lock.fileno())
        acceptor = self._acceptor.keep_links()
        return KeptPort(Kind.HANDOFF, self.address, files, lock, acceptor=acceptor)

    def adopt(self, kept: KeptPort, now: float) -> None:
        """Take on the lock and the acceptor that this process had before an exec."""
        self.address = kept.address
        self._lock = None if kept.lock is None else sockets.adopted(kept.lock)
        if kept.acceptor is not None:
            self._acceptor.adopt_links(kept.acceptor, now)

    @property
    def is_accepting(self) -> bool:
        return bool(self._acceptor.pid)

    @contextmanager
    def source(self, slot: int, row: int) -> Iterator[ConnectionSource]:
        """Pass a process its end of a new pair, and close our copy of it after the fork."""
        with self._acceptor.connect(row) as end:
            yield HandoffSocket(end, self.address.port)

    def shard_ready(self, row: int) -> None:
        self._acceptor.add(row)

    def shard_leaves(self, row: int) -> None:
        self._acceptor.drop(row)

    def fds_to_close(self, slot: int | None = None) -> list[socket.socket]:
        """Return all of them: a shard gets its own end from `source`."""
        locks = [] if self._lock is None else [self._lock]
        return [*locks, self.sock, *self._acceptor.descriptors()]

    def are_listening(self) -> bool:
        """Tell whether the acceptor has called `listen`."""
        return bool(self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))

    def close(self) -> None:
        """Close the port and end the acceptor."""
        self.sock.close()
        if self._lock is not None:
            self._lock.close()
        self._acceptor.end()
