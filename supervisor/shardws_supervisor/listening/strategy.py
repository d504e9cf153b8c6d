"""How connections reach the shards: what every way of accepting them provides.

Owns the interface. `reuseport`, `activation` and `handoff` implement it and `modes` chooses one of
them when the server starts; the shards and the supervisor use what they are given and never ask
which one it is. Hooks that only some implementations need do nothing here; the `return` in them
tells mypy that they are no abstract methods.

Order of calls: `add_slot`, then for each process of the slot `source` (around the fork),
`shard_ready` and `shard_leaves`, `slot_rests` while no process serves there, and `remove_slot`.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from shardws.net.sockets import Address
from shardws.shard.connection_source import ConnectionSource
from shardws_supervisor.system.auxiliary import Auxiliary
from shardws_supervisor.system.spawn import Closeable


class AcceptStrategy(Protocol):
    """One way to accept; a row is a process (ids.row_of)."""

    address: Address  # with the port that the system picked for 0
    auxiliaries: tuple[Auxiliary, ...] = ()  # children it needs; the supervisor keeps them alive

    def source(self, slot: int, row: int) -> AbstractContextManager[ConnectionSource]:
        """Return what a new process of a slot inherits; leave the context after the fork."""
        ...

    def fds_to_close(self, slot: int | None = None) -> Sequence[Closeable]:
        """Return the descriptors that the shard of a slot, or with None any child, must close."""
        ...

    def are_listening(self) -> bool:
        """Tell whether every socket that clients connect to listens."""
        ...

    def close(self) -> None:
        """Give the port up, more than once if need be.

        Connects are refused as soon as the shards have closed their copies too.
        """
        ...

    @property
    def is_accepting(self) -> bool:
        """Whether accepting works as far as the supervisor's own children are concerned."""
        return True

    def add_slot(self, slot: int) -> None:
        """Take a slot into use; StartError when its socket cannot be bound."""
        return

    def remove_slot(self, slot: int) -> None:
        """Send no new connection to a slot that is given up."""
        return

    def slot_rests(self, slot: int) -> None:
        """Let no client wait at a slot that will not serve soon."""
        return

    def shard_ready(self, row: int) -> None:
        """A shard may be given connections."""
        return

    def shard_leaves(self, row: int) -> None:
        """A shard drains, stops or is gone: give it no more connections."""
        return
