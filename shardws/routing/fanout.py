"""One message to many connections of this shard: a group's members, or all.

Owns their selection; net.connection.sharing lets them share a frame. A member whose queue is full
fires its own Error event; connections that are closing are skipped.
"""

from collections.abc import Callable, Container, Iterable

from shardws.interfaces import Recipient, RoutingSink
from shardws.outcomes import Outcome
from shardws.routing.groups import Groups
from shardws.routing.registry import Registry

# Sends a message (data format, payload) to each recipient, and returns those that are full.
Share = Callable[[list[Recipient], int, bytes], Iterable[Recipient]]


class Fanout:
    """Sends one message to many connections of this shard."""

    __slots__ = ("_groups", "_registry", "_share", "_sink")

    def __init__(
        self, registry: Registry, groups: Groups[Recipient], share: Share, sink: RoutingSink
    ) -> None:
        self._registry = registry
        self._groups = groups
        self._share = share
        self._sink = sink

    def publish(self, group: str, kind: int, payload: bytes) -> None:
        """Send to the members of a group."""
        members = self._groups.members(group)
        if members:
            self.send(members, kind, payload)

    def broadcast(self, kind: int, payload: bytes, without: Container[int]) -> None:
        """Send to all connections but those with an id in `without`."""
        recipients = self._registry.snapshot()
        if without:
            recipients = [one for one in recipients if one.id not in without]
        self.send(recipients, kind, payload)

    def send(self, recipients: list[Recipient], kind: int, payload: bytes) -> None:
        """Send to connections of this shard."""
        for recipient in self._share(recipients, kind, payload):
            self._sink.send_failed(recipient.id, Outcome.FULL)
