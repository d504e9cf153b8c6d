"""What arrives from a peer for a connection that is not in the registry.

Owns the decision: the connection has arrived here lately, or another process serves it and gets
the message, or it is over. Also who was told FULL, and hears when there is room again.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from shardws.ids import GENERATION_SHIFT
from shardws.interfaces import Recipient
from shardws.outcomes import GONE, Outcome, SendOutcome
from shardws.routing.arrivals import Arrivals
from shardws.routing.departures import Departures
from shardws.routing.forwarding import Fail, Forwarding, Synced
from shardws.routing.inbound_link import InboundLink
from shardws.routing.mesh import Mesh
from shardws.routing.outbound_link import OutboundLink
from shardws.routing.owners import Target
from shardws.routing.queries import Queries
from shardws.wire.codec import encode
from shardws.wire.messages import NEWS_TOLD, REPLY

MAX_QUERIES: Final = 1024  # passed on at a time
QUERY_SECONDS: Final = 5.0

Reply = Callable[[InboundLink, bytes], None]


class Transit:
    """Passes on what is for connections elsewhere."""

    def __init__(
        self,
        mesh: Mesh,
        arrivals: Arrivals,
        departures: Departures,
        queries: Queries,
        fail: Fail,
        synced: Synced,
    ) -> None:
        self.arrivals = arrivals
        self.departures = departures
        self.forwarding = Forwarding(fail, synced)
        self._mesh = mesh
        self._own = mesh.identity.incarnation
        self._queries = queries
        self._asking: set[asyncio.Task[None]] = set()

    def target(self, inbound: InboundLink, connection_id: int) -> Target | None:
        """Return where to pass on what a peer sends to a connection; None: it is over."""
        route = self._mesh.owners.routes.get(connection_id >> GENERATION_SHIFT)
        return route.onward(connection_id, inbound.incarnation) if route is not None else None

    def pass_on(
        self, inbound: InboundLink, connection_id: int, send: Callable[[Target], SendOutcome]
    ) -> SendOutcome | None:
        """Have `send` pass on a countable message; None: its outcome is reported later."""
        target = self.target(inbound, connection_id)
        if target is None:
            return GONE
        if self.forwarding.is_full:
            return self.forwarding.refuse(connection_id)
        self.forwarding.add(inbound, inbound.count, connection_id, send(target))
        return None

    def deliver(
        self, inbound: InboundLink, connection_id: int, kind: int, payload: bytes
    ) -> SendOutcome | None:
        """Pass on a DELIVER."""

        def deliver(target: Target) -> SendOutcome:
            return target.deliver(connection_id, kind, payload)

        return self.pass_on(inbound, connection_id, deliver)

    def count(self, inbound: InboundLink, connection_id: int, frame: bytes) -> SendOutcome | None:
        """Pass on another countable message."""
        return self.pass_on(
            inbound, connection_id, lambda target: target.count(connection_id, frame)
        )

    def mirror(self, inbound: InboundLink, connection: Recipient, frame: bytes) -> None:
        """Tell the predecessor of a join or leave before it is confirmed to the peer."""
        link = self.arrivals.mirror_link(connection, inbound.incarnation)
        if link is not None:
            send = link.count(connection.id, frame)
            self.forwarding.add(inbound, inbound.count, connection.id, send, is_reported=False)

    def stream_link(self, inbound: InboundLink, connection_id: int) -> OutboundLink | Outcome:
        """Return where to relay a stream, or its outcome."""
        target = self.target(inbound, connection_id)
        if target is None:
            return Outcome.GONE
        if target.link is not None:
            return target.link
        return target.refuse(connection_id).outcome or Outcome.FULL

    def query(
        self, inbound: InboundLink, token: int, connection_id: int, what: str, reply: Reply
    ) -> bool:
        """Ask the process that serves a connection; False when it is over."""
        target = self.target(inbound, connection_id)
        if target is None:
            return False
        if target.link is None or len(self._asking) >= MAX_QUERIES:
            reply(inbound, encode(REPLY, token, False, b"the connection is on its way: ask again"))
            return True

        async def ask(link: OutboundLink) -> None:
            is_ok, body = await self._queries.relay(link, connection_id, what, QUERY_SECONDS)
            reply(inbound, encode(REPLY, token, is_ok, body))

        task = self._mesh.loop.create_task(ask(target.link))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)
        return True

    def switch(self, inbound: InboundLink, predecessor: int, successor: int) -> None:
        """Take a SWITCH, as one of the two."""
        if predecessor == self._own:
            self.departures.switch(inbound.incarnation, successor)
        if successor == self._own:
            link = self._mesh.links.get(inbound.incarnation)
            if link is not None and link.is_up:  # one that is not up yet begins with news
                link.reply(encode(NEWS_TOLD))  # behind the interest of all that has arrived
            self.arrivals.switch(inbound, predecessor)

    def taken_over(self, predecessor: int, successor: int, incarnations: list[int]) -> None:
        """This process has switched; it may be one of the two."""
        if predecessor == self._own:
            self.departures.switch(self._own, successor)
        if successor == self._own:
            self.arrivals.own(predecessor, incarnations)

    @property
    def is_idle(self) -> bool:
        """Whether no outcome or reply of what was passed on is open."""
        return not self._asking and self.forwarding.is_idle

    def settle(self) -> list[int]:
        """See what is known by now; return the ids that were FULL and are so no longer."""
        self.forwarding.settle()
        self.departures.check()
        self.arrivals.check()
        return self.forwarding.take_refused()
