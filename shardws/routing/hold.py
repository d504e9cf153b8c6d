"""What a process sends to connections it has just taken over, until it may deliver it itself.

Owns the queue, bounded in bytes: between this process's SWITCH and DRAINED, a round trip, messages
that it sent before may still come back through the predecessor, and the new ones wait behind them.
What is beyond the bound is FULL, as are streams and queries, and ReadyToSend follows.
"""

from collections.abc import Callable
from typing import Any, Final

from shardws.ids import GENERATION_SHIFT
from shardws.interfaces import RoutingSink
from shardws.outcomes import FailedSend, Outcome, SendOutcome
from shardws.routing.forwarding import HeldSend
from shardws.routing.outbound_link import OutboundLink
from shardws.routing.owners import Owners, Target
from shardws.wire.codec import decode, encode
from shardws.wire.messages import BROADCAST, DELIVER, PUBLISH

HELD_BYTES: Final = 4 << 20

Apply = Callable[[tuple[Any, ...]], SendOutcome]


class Hold:
    """The route to the connections that arrived, as long as what is sent to them is held."""

    def __init__(
        self,
        predecessor: int,
        owners: Owners,
        sink: RoutingSink,
        apply: Apply,
        settled: Callable[[], None],
    ) -> None:
        """`apply` does what a decoded frame says, on this process."""
        self.incarnation = predecessor
        self._owners = owners
        self._sink = sink
        self._apply = apply
        self._settled = settled
        self._held: list[tuple[bytes, HeldSend]] = []
        self._bytes = 0
        self._refused: dict[int, None] = {}

    @property
    def link(self) -> OutboundLink | None:
        return None

    def deliver(self, connection_id: int, kind: int, payload: bytes) -> SendOutcome:
        return self._keep(connection_id, encode(DELIVER, connection_id, kind, payload))

    def count(self, connection_id: int, frame: bytes) -> SendOutcome:
        return self._keep(connection_id, frame)

    def publish(self, group: str, kind: int, payload: bytes) -> None:
        """Keep a message to a group; one beyond the bound fires Error."""
        self._keep(0, encode(PUBLISH, kind, group, payload))

    def broadcast(self, kind: int, payload: bytes) -> None:
        """Keep a message to all; one beyond the bound fires Error."""
        self._keep(0, encode(BROADCAST, kind, payload))

    def onward(self, connection_id: int, sender: int) -> Target | None:
        if sender == self._owners.own:
            return self
        # What a peer sends is not held: it did not come here, and may still be there.
        link = self._owners.plain(connection_id >> GENERATION_SHIFT)
        return link.onward(connection_id, sender) if link is not None else None

    def refuse(self, connection_id: int) -> SendOutcome:
        if connection_id:
            self._refused[connection_id] = None
        return FailedSend(connection_id, Outcome.FULL, self._sink.send_failed)

    def _keep(self, connection_id: int, frame: bytes) -> SendOutcome:
        if self._held and self._bytes + len(frame) > HELD_BYTES:
            return self.refuse(connection_id)
        self._bytes += len(frame)
        send = HeldSend(connection_id, self._sink.send_failed)
        self._held.append((frame, send))
        return send

    def release(self) -> None:
        """Send what was held, in order."""
        held, self._held = self._held, []
        for frame, send in held:
            send.follow(self._apply(decode(frame)), self._settled)
        for connection_id in self._refused:
            self._sink.ready_to_send(connection_id)
