"""Handles the messages that arrive from other shards.

Owns the handling of each message on a link and the list of peers waiting for a connection here to
drain. One method per message; DELIVERs come in runs, which `links` gives to their connections.

A failure of a countable message is reported by its number, a success is not; the reply to SYNC
follows the reports on everything before it (routing.ledger).
"""

from collections.abc import Callable
from typing import Any, Final

from shardws.errors import UsageError, WireError
from shardws.interfaces import RoutingSink
from shardws.outcomes import GONE, QUEUED, Outcome, SendOutcome
from shardws.routing.announcements import Announcements
from shardws.routing.fanout import Fanout
from shardws.routing.groups import Groups, Interest
from shardws.routing.inbound_link import InboundLink
from shardws.routing.link_decoder import RUN
from shardws.routing.links import Run
from shardws.routing.mesh import Mesh
from shardws.routing.queries import Queries
from shardws.routing.registry import Registry
from shardws.routing.streams import Streams
from shardws.stats import LINKS_IN, SENDS_FAILED
from shardws.wire.codec import encode
from shardws.wire.messages import (
    BROADCAST,
    CLOSE,
    DELIVER_FORMATTED,
    GOODBYE,
    GROUP_JOIN,
    GROUP_LEAVE,
    INTEREST,
    NEWS_TOLD,
    PUBLISH,
    QUERY,
    READY_TO_SEND,
    REPLY,
    RESULT,
    STREAM,
    STREAM_CREDIT,
    STREAM_END,
    SYNC,
    SYNCED,
)

MAX_FULL: Final = 16_384  # ids of one peer that are awaited to drain


class Receiver:
    """Takes the messages of all accepted links."""

    def __init__(
        self,
        mesh: Mesh,
        registry: Registry,
        groups: Groups,
        interest: Interest,
        fanout: Fanout,
        queries: Queries,
        sink: RoutingSink,
    ) -> None:
        self._mesh = mesh
        self._registry = registry
        self._groups = groups
        self._interest = interest
        self._fanout = fanout
        self._queries = queries
        self._sink = sink
        self._announcements = Announcements(mesh.loop, mesh.links)
        self.streams = Streams(mesh.loop, registry, self._send_reply, self._note_full, sink)
        self._full: dict[int, set[int]] = {}  # connection id -> peers that were told FULL
        self._methods: dict[int, Callable[..., None]] = {
            RUN: self._deliver,
            DELIVER_FORMATTED: self._deliver_formatted,
            CLOSE: self._close,
            GROUP_JOIN: self._join,
            GROUP_LEAVE: self._leave,
            PUBLISH: self._publish,
            BROADCAST: self._broadcast,
            INTEREST: self._note_interest,
            NEWS_TOLD: self._note_news,
            RESULT: self._result,
            SYNC: self._sync,
            SYNCED: self._synced,
            READY_TO_SEND: self._ready,
            QUERY: self._query,
            REPLY: self._reply,
            GOODBYE: self._goodbye,
            STREAM: self.streams.part,
            STREAM_CREDIT: self.streams.credit,
            STREAM_END: self.streams.end,
        }

    def receive(self, inbound: InboundLink, messages: list[tuple[Any, ...]]) -> None:
        """Handle messages in order; WireError for one that does not belong on a link."""
        self._mesh.row[LINKS_IN] += len(messages)
        for message in messages:
            method = self._methods.get(message[0])
            if method is None:
                raise WireError(f"message {message[0]} does not belong on a link")
            method(inbound, *message[1:])

    # -- countable messages ------------------------------------------------------------------

    def _deliver(self, inbound: InboundLink, run: Run) -> None:
        """Give each message of a run to its connection."""
        self._mesh.row[LINKS_IN] += run.size - 1  # it was counted as one
        before, connections = inbound.count, self._registry.by_id
        while True:
            try:
                send = run.deliver(connections, QUEUED, GONE)
            except UsageError as error:
                inbound.count = before + run.done
                self._refused(inbound, run.connection_id, error)
            else:
                inbound.count = before + run.done
                if send is None:
                    return
                self._settle(inbound, run.connection_id, send)

    def _deliver_formatted(self, inbound: InboundLink, connection_id: int, payload: bytes) -> None:
        inbound.count += 1
        connection = self._registry.get(connection_id)
        if connection is None:
            self._fail(inbound, connection_id, Outcome.GONE)
            return
        try:
            outcome = connection.send(*connection.formatted(payload))
        except UsageError as error:
            self._refused(inbound, connection_id, error)
        else:
            self._settle(inbound, connection_id, outcome)

    def _close(self, inbound: InboundLink, connection_id: int, code: int, reason: str) -> None:
        inbound.count += 1
        connection = self._registry.get(connection_id)
        if connection is None:
            self._fail(inbound, connection_id, Outcome.GONE)
            return
        try:
            self._settle(inbound, connection_id, connection.disconnect(code, reason))
        except UsageError as error:
            self._refused(inbound, connection_id, error)

    def _join(self, inbound: InboundLink, connection_id: int, group: str) -> None:
        inbound.count += 1
        connection = self._registry.get(connection_id)
        if connection is None:
            self._fail(inbound, connection_id, Outcome.GONE)
        elif not self._groups.has_room(connection, group):
            self._fail(inbound, connection_id, Outcome.FULL)
        elif self._groups.join(connection, group):
            self.announce(group, is_wanted=True)

    def _leave(self, inbound: InboundLink, connection_id: int, group: str) -> None:
        inbound.count += 1
        connection = self._registry.get(connection_id)
        if connection is None:
            self._fail(inbound, connection_id, Outcome.GONE)
        elif self._groups.leave(connection, group):
            self.announce(group, is_wanted=False)

    def _settle(self, inbound: InboundLink, connection_id: int, send: SendOutcome) -> None:
        outcome = send.outcome
        if outcome:
            self._fail(inbound, connection_id, outcome)

    def _refused(self, inbound: InboundLink, connection_id: int, error: UsageError) -> None:
        """The connection cannot send that at all; the sender's own checks should have caught it."""
        self._mesh.log.warning("a message from another shard was not sent: %s", error)
        self._fail(inbound, connection_id, Outcome.DROPPED)

    def _fail(self, inbound: InboundLink, connection_id: int, outcome: Outcome) -> None:
        if outcome.is_success:
            return
        if outcome is Outcome.FULL:
            self._note_full(inbound, connection_id)
        elif outcome is Outcome.GONE:
            self._mesh.row[SENDS_FAILED] += 1  # a connection counts its own refusals
        self._send_reply(inbound, encode(RESULT, inbound.count, connection_id, outcome))

    def _note_full(self, inbound: InboundLink, connection_id: int) -> None:
        """Remember which peer to notify when the connection has drained."""
        self._full.setdefault(connection_id, set()).add(inbound.incarnation)

    def _send_reply(self, inbound: InboundLink, frame: bytes) -> None:
        link = self._mesh.links.get(inbound.incarnation)
        if link is not None:
            inbound.reply_link = link
            link.reply(frame)

    # -- to many -----------------------------------------------------------------------------

    def _publish(self, inbound: InboundLink, kind: int, group: str, payload: bytes) -> None:
        if not self._fanout.publish(group, kind, payload):
            self._announcements.has_none_for(group, inbound.incarnation)

    def _broadcast(self, inbound: InboundLink, kind: int, payload: bytes) -> None:
        self._fanout.broadcast(kind, payload)

    def _note_interest(self, inbound: InboundLink, is_wanted: bool, group: str) -> None:
        if is_wanted:
            self._interest.add(inbound.incarnation, group)
        else:
            self._interest.discard(inbound.incarnation, group)

    def _note_news(self, inbound: InboundLink) -> None:
        self._interest.hear(inbound.incarnation)

    def announce(self, group: str, *, is_wanted: bool) -> None:
        """Note that the first member of a group joined here, or the last one left."""
        if is_wanted:
            self._announcements.has_members(group)
        else:
            self._announcements.has_none(group)

    # -- replies -----------------------------------------------------------------------------

    def _result(self, inbound: InboundLink, number: int, connection_id: int, outcome: int) -> None:
        link = self._mesh.links.get(inbound.incarnation)
        if link is None:
            return
        known = Outcome(outcome)
        is_heeded = link.ledger.fail(number, known)
        if known is Outcome.FULL and len(link.full) < MAX_FULL:
            link.full[connection_id] = None
        if not is_heeded:
            self._sink.send_failed(connection_id, known)

    def _sync(self, inbound: InboundLink, token: int) -> None:
        if token != inbound.count:
            raise WireError(f"the peer counts {token} messages, {inbound.count} came")
        self._send_reply(inbound, encode(SYNCED, token))

    def _synced(self, inbound: InboundLink, token: int) -> None:
        link = self._mesh.links.get(inbound.incarnation)
        if link is not None:
            link.ledger.confirm(token)

    def _ready(self, inbound: InboundLink, connection_id: int) -> None:
        link = self._mesh.links.get(inbound.incarnation)
        if link is not None:
            link.full.pop(connection_id, None)
        self._sink.ready_to_send(connection_id)

    def _query(self, inbound: InboundLink, token: int, connection_id: int, what: str) -> None:
        link = self._mesh.links.get(inbound.incarnation)
        if link is not None:
            reply = self._queries.reply(token, connection_id, what, link.reply_room)
            self._send_reply(inbound, reply)

    def _reply(self, inbound: InboundLink, token: int, is_ok: bool, body: bytes) -> None:
        self._queries.resolve(inbound.incarnation, token, is_ok, body)

    def _goodbye(self, inbound: InboundLink) -> None:
        inbound.is_leaving = True

    # -- what the shard and the mesh report --------------------------------------------------

    def drained(self, connection_id: int) -> None:
        """A connection here has room again: tell the shards that were told FULL."""
        for peer in self._full.pop(connection_id, ()):
            link = self._mesh.links.get(peer)
            if link is not None:
                link.reply(encode(READY_TO_SEND, connection_id))

    def forget(self, connection_id: int) -> None:
        """A connection here is over: peers that wait for it learn so by their next send."""
        if self._full:
            self.drained(connection_id)

    def news(self) -> list[bytes]:
        """Return what a new link must say first: the groups that have members here."""
        return self._announcements.news(self._groups.names())

    def peer_lost(self, incarnation: int) -> None:
        """The link of a peer is closed: a new one announces its interests again."""
        self._interest.forget(incarnation)
        self._queries.fail(incarnation)
        self.streams.peer_lost(incarnation)
