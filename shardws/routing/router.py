"""Every send: to a connection here, on another shard, or nowhere.

Owns this decision. An id says where its connection lives: one look-up in the registry, one in the
routes (routing.owners), and otherwise the outcome is GONE or UNREACHABLE.

`send` itself is in the base class (`routing.links`), which gives `send_slowly` what is unusual.

Order is kept per sending shard and connection. At most once: nothing is resent automatically.

Outcomes of `publish` and `broadcast` are about the hand-over to the shards: QUEUED when the link of
each shard with members took the message (also when there are no members), FULL when a link was at
its bound and UNREACHABLE when one could not be dialed, so that the connections of that shard miss
it. While a link is being dialed, such as that of a shard that has just started, the outcome is
pending, for some seconds at most. A single member whose queue is full fires an Error event on its
own shard; one that is closing is skipped.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from shardws.errors import NoSuchConnection, ShardwsError, UsageError, is_sendable_close_code
from shardws.ids import GENERATION_SHIFT, MAX_ID, NODE_SHIFT
from shardws.interfaces import Recipient, Remote, RoutingSink, Source
from shardws.outcomes import QUEUED, FailedSend, Outcome, SendOutcome
from shardws.routing.arrivals import Arrivals
from shardws.routing.departures import Departures
from shardws.routing.fanout import Fanout, Share
from shardws.routing.forwarding import HeldSend
from shardws.routing.groups import Groups, Interest, check_name
from shardws.routing.handover import Handover
from shardws.routing.hold import Hold
from shardws.routing.identity import ADMIN_SLOT, node_slot_of, slot_of
from shardws.routing.links import Route
from shardws.routing.mesh import Mesh
from shardws.routing.outbound_link import OutboundLink
from shardws.routing.owners import Target
from shardws.routing.queries import UNREACHABLE_CODE, WOULD_BLOCK_CODE, Queries
from shardws.routing.receiver import Receiver
from shardws.routing.registry import Registry
from shardws.stats import SENDS_FAILED
from shardws.wire.codec import encode
from shardws.wire.messages import (
    BROADCAST,
    CLOSE,
    DATA_FORMATS,
    DELIVER,
    DELIVER_FORMATTED,
    GROUP_JOIN,
    GROUP_LEAVE,
    PUBLISH,
)

MAX_REASON_BYTES: Final = 123  # RFC 6455 5.5: 125 of a control frame, less the code
QUERY_SECONDS: Final = 5.0


class Router(Route):
    """Knows how to reach a ConnectionId.

    `share(recipients, kind, payload)` sends one message to many and returns those that are full.
    """

    def __init__(
        self,
        mesh: Mesh,
        registry: Registry,
        sink: RoutingSink,
        share: Share,
        remote: Remote | None = None,
    ) -> None:
        super().__init__(registry.by_id, mesh.owners.routes)
        self.mesh = mesh
        self.registry = registry
        self._links = mesh.links
        self._routes = mesh.owners.routes
        self._sink = sink
        self._remote = remote
        self._groups: Groups[Recipient] = Groups()
        self._interest = Interest()
        self._fanout = Fanout(registry, self._groups, share, sink)
        self._queries = Queries(mesh.loop, sink.reply)
        self.receiver = Receiver(
            mesh, registry, self._groups, self._interest, self._fanout, self._queries, sink
        )
        self.arrivals = Arrivals(
            mesh, registry, self._groups, self._fanout, self._make_hold, self._announce
        )
        self.departures = Departures(
            mesh, registry, self._groups, sink, self.receiver, self._absent
        )
        self.receiver.attach(self.arrivals, self.departures)

    def _announce(self, group: str) -> None:
        self.receiver.announce(group, is_wanted=True)

    def _make_hold(self, predecessor: int) -> Hold:
        return Hold(predecessor, self.mesh.owners, self._sink, self._do, self.receiver.settle)

    def _do(self, frame: tuple[Any, ...]) -> SendOutcome:
        """Send what was held, of the messages that `Hold` keeps."""
        kind, *fields = frame
        own = self.mesh.identity.incarnation
        if kind == PUBLISH:
            data_format, group, payload = fields
            self.arrivals.publish(own, group, data_format, payload)
            return QUEUED
        if kind == BROADCAST:
            self.arrivals.broadcast(own, *fields)
            return QUEUED
        sends: dict[int, Callable[..., SendOutcome]] = {
            DELIVER: self.send,
            DELIVER_FORMATTED: self.send_formatted,
            CLOSE: self.disconnect,
            GROUP_JOIN: self.join,
            GROUP_LEAVE: self.leave,
        }
        return sends[kind](*fields)

    # -- connections of this shard -----------------------------------------------------------

    def remove(self, connection: Recipient) -> None:
        """Take a connection out of the registry and forget it."""
        self.registry.remove(connection)
        self.forget(connection)
        self.arrivals.remove(connection)

    def forget(self, connection: Recipient) -> None:
        """Drop a connection's groups and the peers waiting for it; its record may stay a while."""
        if connection.groups:
            for group in self.arrivals.groups_of(connection).leave_all(connection):
                self.receiver.announce(group, is_wanted=False)
        self.receiver.forget(connection.id)

    def on_drained(self, connection: Recipient) -> None:
        """Tell other shards that a connection takes messages again; its own shard knows."""
        self.receiver.drained(connection.id)

    # -- to one connection -------------------------------------------------------------------

    @property
    def direct(self) -> dict[int, Recipient] | None:
        """The connections to which `send` is their own `send`, None when it is more than that."""
        return self.registry.by_id

    def send_slowly(self, connection_id: int, kind: int, payload: bytes) -> SendOutcome:
        """Send what the base class does not: to an odd id, of an odd kind, or to nowhere."""
        connection, link = self._find(connection_id)
        if connection is not None:
            return connection.send(kind, payload)
        if kind not in DATA_FORMATS:
            raise UsageError(f"a message is of kind 1, 2, 9 or 10, not {kind}", code=213)
        if link is not None:
            return link.deliver(connection_id, kind, payload)
        if self._remote is not None and self._is_foreign(connection_id):
            return self._remote.send(connection_id, kind, payload)
        return self._absent(connection_id)

    def send_formatted(self, connection_id: int, payload: bytes) -> SendOutcome:
        """Send one message, or control frame, as the connection's DataFormat says.

        UsageError (213) when a connection of this shard cannot send it so; one of another shard
        drops it.
        """
        connection, link = self._find(connection_id)
        if connection is not None:
            return self.send(connection_id, *connection.formatted(payload))
        if link is not None:
            return link.count(connection_id, encode(DELIVER_FORMATTED, connection_id, payload))
        return self._absent(connection_id)

    def stream(self, connection_id: int, kind: int, source: Source) -> SendOutcome:
        """Send one message that is read from `source` as its queue drains.

        `kind` is 1, 2, or 0 for the connection's DataFormat. The outcome is known when all of it is
        in the outgoing queue.
        """
        connection, link = self._find(connection_id)
        if connection is not None:
            return connection.stream(kind, source)
        if link is not None and link.link is not None:
            return self.receiver.streams.send(link.link, connection_id, kind, source)
        if link is not None:
            source.finish(Outcome.FULL)
            return link.refuse(connection_id)
        source.finish(Outcome.GONE)
        return self._absent(connection_id)

    def disconnect(self, connection_id: int, code: int = 1000, reason: str = "") -> SendOutcome:
        """Close a connection; UsageError (213) for a code or reason no close frame may carry."""
        check_closing(code, reason)
        connection, link = self._find(connection_id)
        if connection is not None:
            return connection.disconnect(code, reason)
        if link is not None:
            return link.count(connection_id, encode(CLOSE, connection_id, code, reason))
        if self._remote is not None and self._is_foreign(connection_id):
            return self._remote.disconnect(connection_id, code, reason)
        return self._absent(connection_id)

    def _find(self, connection_id: int) -> tuple[Recipient | None, Target | None]:
        try:
            connection = self.registry.get(connection_id)
            if connection is not None:
                return connection, None
            route = self._routes.get(connection_id >> GENERATION_SHIFT)
        except TypeError:
            return None, None
        own = self.mesh.identity.incarnation
        return None, None if route is None else route.onward(connection_id, own)

    def _is_foreign(self, connection_id: Any) -> bool:
        """Tell whether an id is one of another node."""
        if type(connection_id) is not int or not 0 < connection_id <= MAX_ID:
            return False
        return connection_id >> NODE_SHIFT != self.mesh.identity.node

    def _absent(self, connection_id: Any) -> SendOutcome:
        """Return the outcome for an id without connection and link.

        GONE: no id at all, one of ours that is over, or one of a generation whose slot has
        another process. UNREACHABLE: another node, or a slot without a process now.
        """
        if type(connection_id) is not int or not 0 < connection_id <= MAX_ID:
            return self._failed(0, Outcome.GONE)
        is_gone = self.mesh.is_slot_taken(node_slot_of(connection_id >> GENERATION_SHIFT))
        return self._failed(connection_id, Outcome.GONE if is_gone else Outcome.UNREACHABLE)

    def _failed(self, connection_id: int, outcome: Outcome) -> SendOutcome:
        self.mesh.row[SENDS_FAILED] += 1
        return FailedSend(connection_id, outcome, self._sink.send_failed)

    # -- groups ------------------------------------------------------------------------------

    def limit_groups(self, limit: int) -> None:
        """Let a connection be in `limit` groups at most; a further join is FULL."""
        self._groups.limit = limit

    def join(self, connection_id: int, group: str) -> SendOutcome:
        """Put a connection, wherever it lives, into a group; UsageError (213) for a bad name."""
        check_name(group)
        connection, link = self._find(connection_id)
        if connection is not None:
            if not self._groups.has_room(connection, group):
                return self._failed(connection_id, Outcome.FULL)
            self.receiver.change(connection, group, is_wanted=True)
            return self._mirrored(connection, encode(GROUP_JOIN, connection_id, group))
        if link is None:
            return self._absent(connection_id)
        # Treat its shard as one with members immediately: a publish right after the join must
        # arrive. If the join fails there, that shard replies to the publish with INTEREST off.
        self._interest.add(link.incarnation, group)
        return link.count(connection_id, encode(GROUP_JOIN, connection_id, group))

    def leave(self, connection_id: int, group: str) -> SendOutcome:
        """Take a connection out of a group; UsageError (213) for a bad name."""
        check_name(group)
        connection, link = self._find(connection_id)
        if connection is not None:
            self.receiver.change(connection, group, is_wanted=False)
            return self._mirrored(connection, encode(GROUP_LEAVE, connection_id, group))
        if link is None:
            return self._absent(connection_id)
        return link.count(connection_id, encode(GROUP_LEAVE, connection_id, group))

    def _mirrored(self, connection: Recipient, frame: bytes) -> SendOutcome:
        """Return the outcome of a join or leave done here, which a predecessor may have to know."""
        link = self.arrivals.mirror_link(connection, self.mesh.identity.incarnation)
        if link is None:
            return QUEUED
        done = HeldSend(connection.id, self._sink.send_failed)
        # If the predecessor has ended meanwhile, it needs not know.
        done.follow(link.count(connection.id, frame), self.receiver.settle, Outcome.QUEUED)
        return done

    def publish(self, group: str, kind: int, payload: bytes) -> SendOutcome:
        """Send to all members of a group on all shards; the outcome: see the module."""
        check_name(group)
        peers = self._links.keys() - self._interest.heard  # they may have members
        peers.update(self._interest.peers(group))
        links = [self._links[peer] for peer in peers if peer in self._links]
        outcome = self._offer(links, encode_to_many(PUBLISH, kind, group, payload))
        self.receiver.publish(self.mesh.identity.incarnation, group, kind, payload)
        return outcome

    def broadcast(self, kind: int, payload: bytes) -> SendOutcome:
        """Send to every connection of this node; the outcome: see the module."""
        outcome = self._offer(list(self._links.values()), encode_to_many(BROADCAST, kind, payload))
        self.receiver.broadcast(self.mesh.identity.incarnation, kind, payload)
        return outcome

    def _offer(self, links: list[OutboundLink], frame: bytes) -> SendOutcome:
        missed = [link.refusal for link in links if not link.offer(frame, fanouts=1)]
        if missed:
            return self._failed(0, max(missed))  # UNREACHABLE is above FULL
        dialed = [link for link in links if not link.is_up]
        return Handover(dialed, self._sink.send_failed) if dialed else QUEUED

    # -- queries -----------------------------------------------------------------------------

    async def query(self, connection_id: int, what: str, timeout: float = QUERY_SECONDS) -> bytes:
        """Return the reply to a query about a connection, as JSON; raises as Queries.ask."""
        connection, link = self._find(connection_id)
        if connection is None and link is not None:
            connection = self.arrivals.visiting.get(connection_id)
        if connection is None and link is not None:
            if link.link is None:
                raise ShardwsError("the connection is on its way", code=WOULD_BLOCK_CODE)
            return await self._queries.ask(link.link, connection_id, what, timeout)
        if connection is None and self._absent(connection_id).outcome is Outcome.UNREACHABLE:
            raise ShardwsError("its shard is down", code=UNREACHABLE_CODE)
        reply = self._sink.reply(connection_id, what) if connection is not None else None
        if reply is None:
            raise NoSuchConnection(connection_id)
        return reply

    async def query_shards(self, what: str, timeout: float = QUERY_SECONDS) -> list[bytes]:
        """Return the reply of each other shard to a query of id 0, as JSON.

        One that is not up, does not reply in time or goes down meanwhile is left out.
        """
        replies = await self.query_each(what, timeout)
        return [reply for _, reply in replies if isinstance(reply, bytes)]

    async def query_each(
        self, what: str, timeout: float = QUERY_SECONDS
    ) -> list[tuple[int, bytes | ShardwsError]]:
        """Return slot and reply, or the error, of each process of another shard, for id 0."""
        ask = self._queries.ask
        links = [link for peer, link in self._links.items() if slot_of(peer) != ADMIN_SLOT]
        links = [link for link in links if link.is_up]
        queries = [ask(link, 0, what, timeout) for link in links]
        replies: list[tuple[int, bytes | ShardwsError]] = []
        found = await asyncio.gather(*queries, return_exceptions=True)
        for link, reply in zip(links, found, strict=True):
            if not isinstance(reply, bytes | ShardwsError):
                raise reply
            replies.append((slot_of(link.incarnation), reply))
        return replies


def check_closing(code: int, reason: str) -> None:
    """Raise UsageError (213) for what no close frame may carry (RFC 6455 5.5, 7.4)."""
    if not isinstance(code, int) or isinstance(code, bool) or not is_sendable_close_code(code):
        raise UsageError(f"a close frame cannot carry the code {code!r:.40}", code=213)
    try:
        size = len(reason.encode())
    except (AttributeError, UnicodeEncodeError):
        raise UsageError(f"not the text of a reason: {reason!r:.80}", code=213) from None
    if size > MAX_REASON_BYTES:
        raise UsageError(f"a reason has at most {MAX_REASON_BYTES} bytes, not {size}", code=213)


def encode_to_many(kind: int, *fields: Any) -> bytes:
    """Return a frame for many shards; UsageError (213) for a kind of data there is not."""
    try:
        return encode(kind, *fields)
    except ValueError as error:
        raise UsageError(str(error), code=213) from error
