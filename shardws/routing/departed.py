"""What stands for a connection that another process takes over, and the route to it.

Owns what comes for the connection until the successor has confirmed it, bounded in bytes: what is
beyond is FULL, and ReadyToSend follows.
"""

from typing import Final, Protocol

from shardws.interfaces import RoutingSink
from shardws.outcomes import SETTLED, FailedSend, Outcome, SendOutcome
from shardws.routing.forwarding import HeldSend
from shardws.routing.outbound_link import OutboundLink
from shardws.routing.owners import Target
from shardws.wire.codec import encode
from shardws.wire.messages import DELIVER

HELD_BYTES: Final = 1 << 20  # kept for one connection until it is confirmed


class StubOwner(Protocol):
    """What a stub asks of departures."""

    own: int
    successor: int
    sink: RoutingSink

    @property
    def link(self) -> OutboundLink | None:
        """The link to the successor."""

    def absent(self, connection_id: int, /) -> SendOutcome:
        """Return the outcome of a send to a connection that is nowhere."""

    def note_membership(self, stub: "Departed", frame: bytes) -> bool: ...
    def stub(self, connection_id: int) -> "Departed | None": ...
    def otherwise(self, connection_id: int) -> OutboundLink | None: ...
    def has_returned(self, sender: int) -> bool: ...


class Departed:
    """Stands for a connection that has moved, or is on its way."""

    __slots__ = ("_bytes", "_departures", "groups", "held", "id", "is_awaited", "is_confirmed")

    def __init__(self, departures: StubOwner, connection_id: int) -> None:
        self.id = connection_id
        self.groups: set[str] | None = None
        self.is_confirmed = False
        self.held: list[tuple[bytes, HeldSend]] = []
        self.is_awaited = False  # it was FULL
        self._bytes = 0
        self._departures = departures

    @property
    def incarnation(self) -> int:
        return self._departures.successor

    @property
    def link(self) -> OutboundLink | None:
        return self._departures.link if self.is_confirmed else None

    def deliver(self, connection_id: int, kind: int, payload: bytes) -> SendOutcome:
        link = self._departures.link
        if not self.is_confirmed:
            return self._hold(encode(DELIVER, connection_id, kind, payload))
        return link.deliver(connection_id, kind, payload) if link else SETTLED[Outcome.GONE]

    def count(self, connection_id: int, frame: bytes) -> SendOutcome:
        if not self._departures.note_membership(self, frame):
            return SETTLED[Outcome.FULL]
        link = self._departures.link
        if not self.is_confirmed:
            return self._hold(frame)
        return link.count(connection_id, frame) if link else SETTLED[Outcome.GONE]

    def refuse(self, connection_id: int) -> SendOutcome:
        self.is_awaited = True
        return FailedSend(self.id, Outcome.FULL, self._departures.sink.send_failed)

    def _hold(self, frame: bytes) -> SendOutcome:
        if self.held and self._bytes + len(frame) > HELD_BYTES:
            return self.refuse(self.id)
        self._bytes += len(frame)
        send = HeldSend(self.id, self._departures.sink.send_failed)
        self.held.append((frame, send))
        return send


class DepartureRoute:
    """The route to the incarnations of which connections depart: by the stub, if there is one."""

    def __init__(self, departures: StubOwner) -> None:
        self._departures = departures

    def deliver(self, connection_id: int, kind: int, payload: bytes) -> SendOutcome:
        target = self.onward(connection_id, self._departures.own)
        if target is None:
            return self._departures.absent(connection_id)
        return target.deliver(connection_id, kind, payload)

    def onward(self, connection_id: int, sender: int) -> Target | None:
        stub = self._departures.stub(connection_id)
        if stub is None:
            link = self._departures.otherwise(connection_id)
            return link.onward(connection_id, sender) if link is not None else None
        # What the successor sends to it after its switch it has looked for in vain: it is over.
        return None if self._departures.has_returned(sender) else stub
