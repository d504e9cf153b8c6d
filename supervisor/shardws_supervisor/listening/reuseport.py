"""AcceptMode reuseport: one listening socket per slot, among which the kernel spreads connections.

Owns the sockets, which the supervisor binds and keeps for as long as the slot; never listens or
accepts. A shard calls `listen` on the socket it inherits, so before the first shard is ready a
connect is refused; from then on the socket listens through every crash and respawn, because the
supervisor keeps it open (measured: 40 of 40 waiting connections survive a kill -9, against 20 of 40
lost with a socket of the shard's own).
"""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from shardws.errors import StartError
from shardws.log import logger
from shardws.net import portlock, sockets
from shardws.net.sockets import Address
from shardws.shard.connection_source import ConnectionSource, ListeningSocket
from shardws_supervisor.listening.strategy import AcceptStrategy, KeptPort, Kind
from shardws_supervisor.system.kept import Descriptor

log = logger("supervisor.listeners")


class ReusePort(AcceptStrategy):
    """One bound socket per slot, all on one address."""

    def __init__(self, address: Address, *, is_exclusive: bool) -> None:
        """Check that the port is free if it is to be exclusive."""
        self.address = address
        self._sockets: dict[int, socket.socket] = {}
        self._is_exclusive = is_exclusive
        self._lock: socket.socket | None = None
        if is_exclusive and address.port:
            sock, self._lock = sockets.claim(address)
            sock.close()

    def keep(self) -> KeptPort:
        """Return the sockets and the lock (AcceptStrategy)."""
        files = {slot: Descriptor(sock.fileno()) for slot, sock in self._sockets.items()}
        lock = None if self._lock is None else Descriptor(self._lock.fileno())
        return KeptPort(Kind.REUSEPORT, self.address, files, lock, self._is_exclusive)

    @classmethod
    def adopt(cls, kept: KeptPort) -> Self:
        """Return the port that this process had before an exec."""
        adopted = cls(kept.address, is_exclusive=False)
        adopted._sockets = {slot: sockets.adopted(file) for slot, file in kept.sockets.items()}
        adopted._is_exclusive = kept.is_exclusive
        adopted._lock = None if kept.lock is None else sockets.adopted(kept.lock)
        return adopted

    def add_slot(self, slot: int) -> None:
        """Bind the socket of a slot; the first one determines the port for a LocalPort of 0."""
        if slot in self._sockets:
            return
        sock = self._sockets[slot] = sockets.bind(self.address, is_shared=True)
        self.address = sockets.settled(self.address, sock)
        if self._is_exclusive and self._lock is None:
            self._lock = portlock.take(str(self.address))

    def socket_of(self, slot: int) -> socket.socket:
        """Return the socket of a slot in use."""
        return self._sockets[slot]

    @contextmanager
    def source(self, slot: int, row: int) -> Iterator[ConnectionSource]:
        """Pass a process the socket of its slot."""
        yield ListeningSocket(self.socket_of(slot))

    def remove_slot(self, slot: int) -> None:
        """Close the socket of a removed slot."""
        sock = self._sockets.pop(slot, None)
        if sock:
            sock.close()

    def slot_rests(self, slot: int) -> None:
        """Bind a new socket: clients waiting in the old one are reset, new ones go to other slots.

        The kernel passes no connection to a socket that is bound but does not listen.
        """
        old = self._sockets.get(slot)
        if old is None:
            return
        try:
            self._sockets[slot] = sockets.bind(self.address, is_shared=True)
        except StartError as error:  # for example, the host no longer has the address
            log.warning("slot %d keeps its socket, where clients may wait: %s", slot, error)
            return
        old.close()

    def are_listening(self) -> bool:
        """Tell whether a shard has called `listen` on each socket."""
        return all(
            sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
            for sock in self._sockets.values()
        )

    def fds_to_close(self, slot: int | None = None) -> list[socket.socket]:
        """Return the lock, and the sockets of all other slots."""
        locks = [] if self._lock is None else [self._lock]
        return locks + [sock for index, sock in self._sockets.items() if index != slot]

    def close(self) -> None:
        """Close all sockets and the lock."""
        for sock in self._sockets.values():
            sock.close()
        self._sockets.clear()
        if self._lock is not None:
            self._lock.close()
