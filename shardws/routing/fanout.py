"""One message to many connections of this shard: a group's members, or all.

Owns the one frame that they share; must not know links. A member whose queue is full is an Error
event of its own, and whoever closes anyway is passed over.
"""

from collections.abc import Callable

from shardws.interfaces import Recipient, RoutingSink
from shardws.outcomes import QUEUED, Outcome
from shardws.routing.groups import Groups
from shardws.routing.registry import Registry

Frames = Callable[[int, bytes], bytes]  # data format and payload to one plain server frame


class Fanout:
    """Sends one message to many connections of this shard."""

    __slots__ = ("_frame_of", "_groups", "_registry", "_sink")

    def __init__(
        self, registry: Registry, groups: Groups, frame_of: Frames, sink: RoutingSink
    ) -> None:
        self._registry = registry
        self._groups = groups
        self._frame_of = frame_of
        self._sink = sink

    def publish(self, group: str, kind: int, payload: bytes) -> bool:
        """Send to the members of a group; return whether there are any."""
        members = self._groups.members(group)
        if members:
            self._send(members, kind, payload)
        return bool(members)

    def broadcast(self, kind: int, payload: bytes) -> None:
        """Send to all connections."""
        self._send(self._registry.snapshot(), kind, payload)

    def _send(self, recipients: list[Recipient], kind: int, payload: bytes) -> None:
        frame = self._frame_of(kind, payload)
        for recipient in recipients:
            send = recipient.send_shared(kind, payload, frame)
            # Looking at `outcome` silences what a FailedSend would tell by itself.
            if send is not QUEUED and send.outcome is Outcome.FULL:
                self._sink.send_failed(recipient.id, Outcome.FULL)
