"""Where a forked shard gets its clients from.

Owns the two sources a supervisor can give to a shard; the supervisor chooses
(shardws_supervisor.listening), and the shard opens what it is given. `open` returns an `Intake`,
which takes connections from `start` until `finish`.
"""

import socket
from dataclasses import dataclass
from typing import Protocol

from shardws.net.handoff import Receiver
from shardws.net.listener import Listener
from shardws.shard.shard import Shard


class Intake(Protocol):
    """Takes connections for one shard."""

    @property
    def port(self) -> int: ...
    async def start(self, backlog: int) -> None: ...  # OSError: the port is taken
    async def finish(self) -> None: ...


class ConnectionSource(Protocol):
    """What a shard inherits to receive connections."""

    @property
    def sock(self) -> socket.socket: ...
    def open(self, shard: Shard) -> Intake: ...


@dataclass(frozen=True, slots=True)
class ListeningSocket:
    """A bound socket on which the shard listens and accepts; the supervisor keeps its own copy."""

    sock: socket.socket

    def open(self, shard: Shard) -> Intake:
        """Return what accepts on the socket."""
        return Listener(shard.make_connection, self.sock, shard.log, pump=shard.pump)


@dataclass(frozen=True, slots=True)
class HandoffSocket:
    """The shard's end of a socket pair on which an acceptor hands over accepted sockets."""

    sock: socket.socket
    port: int  # the one that the acceptor accepts on

    def open(self, shard: Shard) -> Intake:
        """Return what receives the sockets from the pair."""
        dropped = shard.admission.dropped
        return Receiver(shard.make_connection, self.sock, self.port, dropped, shard.pump)
