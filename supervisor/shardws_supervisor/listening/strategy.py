"""How connections reach the shards: the interface of every way to accept them.

`reuseport`, `activation` and `handoff` implement it and `modes` chooses one of them when the server
starts; the shards and the supervisor never ask which one it is. Hooks that only some
implementations need do nothing here; the `return` in them tells mypy that they are not abstract.

Order of calls: `add_slot`, then for each process of the slot `source` (around the fork),
`shard_ready` and `shard_leaves`, `slot_rests` while no process serves there, and `remove_slot`.
"""

import enum
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from shardws.net.sockets import Address
from shardws.shard.connection_source import ConnectionSource
from shardws_supervisor.system.auxiliary import Auxiliary, KeptChild
from shardws_supervisor.system.kept import Descriptor
from shardws_supervisor.system.spawn import Closeable


class Kind(enum.Enum):
    """Which implementation."""

    REUSEPORT = "reuseport"
    ACTIVATION = "activation"
    HANDOFF = "handoff"


@dataclass(frozen=True, slots=True)
class KeptAcceptor:
    """The acceptor and the sockets that lead to it and from it to the shards."""

    child: KeptChild
    ends: dict[int, Descriptor]  # by row
    ready: list[int]  # rows
    orders: Descriptor | None


@dataclass(frozen=True, slots=True)
class KeptPort:
    """The port, kept over an exec."""

    kind: Kind
    address: Address
    sockets: dict[int, Descriptor]  # by slot; the one socket of the other two kinds is under 0
    lock: Descriptor | None = None
    is_exclusive: bool = False
    acceptor: KeptAcceptor | None = None


class AcceptStrategy(Protocol):
    """One way to accept; a row stands for a shard process (ids.row_of)."""

    address: Address  # with the port the kernel chose for port 0
    auxiliaries: tuple[Auxiliary, ...] = ()  # children it needs; the supervisor restarts them

    def source(self, slot: int, row: int) -> AbstractContextManager[ConnectionSource]:
        """Return what a new process of a slot inherits; exit the context after the fork."""
        ...

    def fds_to_close(self, slot: int | None = None) -> Sequence[Closeable]:
        """Return the descriptors that the shard of a slot, or any child for None, must close."""
        ...

    def are_listening(self) -> bool:
        """Tell whether every socket that clients connect to listens."""
        ...

    def close(self) -> None:
        """Close the port; may be called more than once.

        Connects are refused once the shards have closed their copies too.
        """
        ...

    def keep(self) -> KeptPort:
        """Return what `modes.adopted` needs to continue after an exec."""
        ...

    @property
    def is_accepting(self) -> bool:
        """Whether the children that accepting depends on are running."""
        return True

    def add_slot(self, slot: int) -> None:
        """Add a slot; StartError when its socket cannot be bound."""
        return

    def remove_slot(self, slot: int) -> None:
        """Send no new connections to a removed slot."""
        return

    def slot_rests(self, slot: int) -> None:
        """Keep clients from waiting in the backlog of a slot that will not serve soon."""
        return

    def shard_ready(self, row: int) -> None:
        """A shard may be given connections."""
        return

    def shard_leaves(self, row: int) -> None:
        """A shard drains, stops or has ended: pass it no more connections."""
        return
