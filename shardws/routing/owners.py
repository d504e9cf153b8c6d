"""Which process serves the connections of an incarnation, and the route to it.

Owns the routes: one look-up gives the way to every connection that is not here. An id names the
process that accepted its connection; after a takeover another one serves it, and the supervisor
says so in PEERS. The owners come with PEERS, and not through shared memory, so that they keep their
order with the list of processes, and a process that joins knows them from its first message on.

Routes are made again at every change of links or owners, which is rare; from the least to the most
particular:
- the link to each process;
- for an incarnation that another process serves: the link to that one. For one that this process
  serves itself: the link to where the rest of its connections may be, those that could not move;
- what this process says as long as it takes part in a takeover itself (departures, arrivals).
"""

from collections.abc import Iterable, Mapping
from typing import Protocol

from shardws.outcomes import SendOutcome
from shardws.routing.outbound_link import OutboundLink
from shardws.wire.codec import encode
from shardws.wire.messages import SWITCH

Moves = dict[tuple[int, int], list[int]]  # (predecessor, successor) -> incarnations


class Route(Protocol):
    """What an incarnation leads to, in `Owners.routes`; a link is one."""

    def deliver(self, connection_id: int, kind: int, payload: bytes) -> SendOutcome: ...
    def onward(self, connection_id: int, sender: int) -> "Target | None":
        """Return where what `sender` (a peer, or this process) sends to a connection has to go.

        None when it would go back to that peer: so nothing goes round in a circle.
        """


class Target(Protocol):
    """Takes what is for one connection: a link, or what keeps it for a while."""

    @property
    def incarnation(self) -> int:
        """The process that it leads to."""

    @property
    def link(self) -> OutboundLink | None:
        """The link for a query or a stream; None while there is none to be used."""

    def deliver(self, connection_id: int, kind: int, payload: bytes) -> SendOutcome: ...
    def count(self, connection_id: int, frame: bytes) -> SendOutcome: ...
    def refuse(self, connection_id: int) -> SendOutcome:
        """Return the outcome of what cannot be taken now; ReadyToSend follows a FULL."""


class Owners:
    """The routes of one process; `routes` stays the same dict."""

    def __init__(self, own: int, links: Mapping[int, OutboundLink]) -> None:
        self.routes: dict[int, Route] = {}
        self.served: dict[int, int] = {}  # incarnation -> the process that serves it instead
        self.overrides: dict[int, Route] = {}
        self.fallbacks: dict[int, int] = {}  # incarnation -> the process it was taken over from
        self.own = own
        self._links = links

    def assign(self, served: dict[int, int], named: Iterable[int]) -> Moves:
        """Take the owners of a PEERS; return each takeover in it, with its incarnations."""
        living = {self.own, *named}
        moves: Moves = {}
        for incarnation, owner in served.items():
            before = self.served.get(incarnation, incarnation)
            if before != owner:
                key = before if before in living else incarnation, owner
                moves.setdefault(key, []).append(incarnation)
        self.served = served
        return moves

    def switches(self, peer: int) -> list[bytes]:
        """Return what a new link to a peer says about the takeovers it took part in."""
        return [
            encode(SWITCH, incarnation, owner)
            for incarnation, owner in self.served.items()
            if peer in (incarnation, owner)
        ]

    def plain(self, incarnation: int) -> OutboundLink | None:
        """Return the route to an incarnation, without what a takeover here says of it."""
        owner = self.served.get(incarnation, incarnation)
        if owner != self.own:
            return self._links.get(owner)
        before = self._links.get(self.fallbacks.get(incarnation, incarnation))
        return before or self._links.get(incarnation)

    def refresh(self) -> None:
        """Make the routes again."""
        routes = self.routes
        routes.clear()
        routes.update(self._links)
        for incarnation in self.served:
            link = self.plain(incarnation)
            if link is not None:
                routes[incarnation] = link
            else:
                routes.pop(incarnation, None)
        routes.update(self.overrides)
