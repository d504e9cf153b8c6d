"""Handles the messages that arrive from other shards.

Owns the handling of each message on a link and the list of peers waiting for a connection here to
drain. One method per message; DELIVERs come in runs, which `links` gives to their connections.

A failure of a countable message is reported by its number, a success is not; the reply to SYNC
follows the reports on everything before it (routing.ledger).
"""

from collections.abc import Callable
from typing import Any, Final

from shardws.errors import UsageError, WireError
from shardws.interfaces import Recipient, RoutingSink
from shardws.outcomes import GONE, QUEUED, Outcome, SendOutcome
from shardws.routing.announcements import Announcements
from shardws.routing.arrivals import Arrivals
from shardws.routing.departures import Departures
from shardws.routing.fanout import Fanout
from shardws.routing.groups import Groups, Interest
from shardws.routing.inbound_link import InboundLink
from shardws.routing.link_decoder import RUN
from shardws.routing.links import Run
from shardws.routing.mesh import Mesh
from shardws.routing.outbound_link import OutboundLink
from shardws.routing.queries import Queries
from shardws.routing.registry import Registry
from shardws.routing.streams import Streams
from shardws.routing.transit import Transit
from shardws.stats import LINKS_IN, SENDS_FAILED
from shardws.wire.codec import encode
from shardws.wire.messages import (
    BROADCAST,
    CLOSE,
    CONFIRMED,
    DELIVER_FORMATTED,
    DRAINED,
    GOODBYE,
    GROUP_JOIN,
    GROUP_LEAVE,
    INTEREST,
    NEWS_TOLD,
    PUBLISH,
    QUERY,
    READY_TO_SEND,
    RELAYED_BROADCAST,
    RELAYED_PUBLISH,
    REPLY,
    RESULT,
    STREAM,
    STREAM_CREDIT,
    STREAM_END,
    SWITCH,
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
        groups: Groups[Recipient],
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
        self.arrivals: Arrivals
        self.departures: Departures
        self._transit: Transit
        self.streams = Streams(
            mesh.loop, self._find, self._send_reply, self._note_full, sink, self._stream_link
        )
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

    def attach(self, arrivals: Arrivals, departures: Departures) -> None:
        """Take what is on the move; made later, as it asks this receiver."""
        self.arrivals = arrivals
        self.departures = departures
        self._visiting = arrivals.visiting
        self._transit = Transit(
            self._mesh, arrivals, departures, self._queries, self._fail, self._answer
        )
        self._open = self._transit.forwarding.open
        self._methods |= {
            SWITCH: self._transit.switch,
            DRAINED: arrivals.drained,
            CONFIRMED: arrivals.confirm,
            RELAYED_PUBLISH: arrivals.relayed_publish,
            RELAYED_BROADCAST: arrivals.relayed_broadcast,
        }

    def receive(self, inbound: InboundLink, messages: list[tuple[Any, ...]]) -> None:
        """Handle messages in order; WireError for one that does not belong on a link."""
        self._mesh.row[LINKS_IN] += len(messages)
        rest = iter(messages)
        for message in rest:
            method = self._methods.get(message[0])
            if method is None:
                raise WireError(f"message {message[0]} does not belong on a link")
            method(inbound, *message[1:])
            if inbound.is_paused:
                self._keep(inbound, list(rest))

    def _keep(self, inbound: InboundLink, messages: list[tuple[Any, ...]]) -> None:
        self._mesh.row[LINKS_IN] -= len(messages)  # counted when they are handled
        inbound.keep(messages)

    def _find(self, connection_id: int) -> Recipient | None:
        return self._registry.find(connection_id)

    # -- countable messages ------------------------------------------------------------------

    def _deliver(self, inbound: InboundLink, run: Run) -> None:
        """Give each message of a run to its connection."""
        self._mesh.row[LINKS_IN] += run.size - 1  # it was counted as one
        before, connections = inbound.count, self._registry.by_id
        while True:
            try:
                send = run.deliver(connections, QUEUED, GONE)
                inbound.count = before + run.done
                if send is None:
                    return
                if send is GONE:
                    self._deliver_elsewhere(inbound, run.connection_id, *run.message())
                else:
                    self._settle(inbound, run.connection_id, send)
            except UsageError as error:
                inbound.count = before + run.done
                self._refused(inbound, run.connection_id, error)

    def _deliver_elsewhere(
        self, inbound: InboundLink, connection_id: int, kind: int, payload: bytes
    ) -> None:
        """Send to a connection that is not in the registry: it is on the move, or nowhere."""
        connection = self._visiting.get(connection_id)
        if connection is None:
            send = self._transit.deliver(inbound, connection_id, kind, payload)
            self._report(inbound, connection_id, send)
        else:
            self._settle(inbound, connection_id, connection.send(kind, payload))

    def _pass_on(self, inbound: InboundLink, connection_id: int, frame: bytes) -> None:
        self._report(inbound, connection_id, self._transit.count(inbound, connection_id, frame))

    def _report(self, inbound: InboundLink, connection_id: int, send: SendOutcome | None) -> None:
        if send is not None:
            self._settle(inbound, connection_id, send)

    def _deliver_formatted(self, inbound: InboundLink, connection_id: int, payload: bytes) -> None:
        inbound.count += 1
        connection = self._find(connection_id)
        if connection is None:
            frame = encode(DELIVER_FORMATTED, connection_id, payload)
            self._pass_on(inbound, connection_id, frame)
            return
        try:
            outcome = connection.send(*connection.formatted(payload))
        except UsageError as error:
            self._refused(inbound, connection_id, error)
        else:
            self._settle(inbound, connection_id, outcome)

    def _close(self, inbound: InboundLink, connection_id: int, code: int, reason: str) -> None:
        inbound.count += 1
        connection = self._find(connection_id)
        if connection is None:
            self._pass_on(inbound, connection_id, encode(CLOSE, connection_id, code, reason))
            return
        try:
            self._settle(inbound, connection_id, connection.disconnect(code, reason))
        except UsageError as error:
            self._refused(inbound, connection_id, error)

    def _join(self, inbound: InboundLink, connection_id: int, group: str) -> None:
        self._change(inbound, GROUP_JOIN, connection_id, group)

    def _leave(self, inbound: InboundLink, connection_id: int, group: str) -> None:
        self._change(inbound, GROUP_LEAVE, connection_id, group)

    def _change(self, inbound: InboundLink, message: int, connection_id: int, group: str) -> None:
        inbound.count += 1
        is_wanted = message == GROUP_JOIN
        connection = self._find(connection_id)
        frame = encode(message, connection_id, group)
        if connection is None:
            peer = inbound.incarnation
            if not self.departures.mirror(peer, connection_id, group, is_wanted=is_wanted):
                self._pass_on(inbound, connection_id, frame)
        elif is_wanted and not self._groups.has_room(connection, group):
            self._fail(inbound, connection_id, Outcome.FULL)
        else:
            self.change(connection, group, is_wanted=is_wanted)
            self._transit.mirror(inbound, connection, frame)

    def change(self, connection: Recipient, group: str, *, is_wanted: bool) -> None:
        """Put a connection of this shard into a group, or take it out."""
        table = self.arrivals.groups_of(connection)
        if (table.join if is_wanted else table.leave)(connection, group):
            self.announce(group, is_wanted=is_wanted)

    def _settle(self, inbound: InboundLink, connection_id: int, send: SendOutcome) -> None:
        outcome = send.outcome
        if outcome:
            self._fail(inbound, connection_id, outcome)

    def _refused(self, inbound: InboundLink, connection_id: int, error: UsageError) -> None:
        """The connection cannot send that at all; the sender's own checks should have caught it."""
        self._mesh.log.warning("a message from another shard was not sent: %s", error)
        self._fail(inbound, connection_id, Outcome.DROPPED)

    def _fail(
        self, inbound: InboundLink, connection_id: int, outcome: Outcome, number: int = 0
    ) -> None:
        """Report the failure of a peer's message: the last one, or that with a number."""
        if outcome.is_success:
            return
        if outcome is Outcome.FULL:
            self._note_full(inbound, connection_id)
        elif outcome is Outcome.GONE:
            self._mesh.row[SENDS_FAILED] += 1  # a connection counts its own refusals
        self._send_reply(inbound, encode(RESULT, number or inbound.count, connection_id, outcome))

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
        sender = inbound.incarnation
        self.publish(sender, group, kind, payload)
        if not self._has_members(group):
            self._announcements.has_none_for(group, sender)

    def publish(self, sender: int, group: str, kind: int, payload: bytes) -> None:
        """Give to the members here what a peer, or this process, sends to a group."""
        self._fanout.publish(group, kind, payload)
        if self.departures.successor >= 0:
            self.departures.publish(sender, group, kind, payload)
        if self.arrivals.predecessor >= 0:
            self.arrivals.publish(sender, group, kind, payload)

    def _broadcast(self, inbound: InboundLink, kind: int, payload: bytes) -> None:
        self.broadcast(inbound.incarnation, kind, payload)

    def broadcast(self, sender: int, kind: int, payload: bytes) -> None:
        """Give to the connections here what a peer, or this process, sends to all."""
        self._fanout.broadcast(kind, payload, self._visiting)
        if self.departures.successor >= 0:
            self.departures.broadcast(sender, kind, payload)
        if self.arrivals.predecessor >= 0:
            self.arrivals.broadcast(sender, kind, payload)

    def _has_members(self, group: str) -> bool:
        tables = self._groups, self.departures.groups, self.arrivals.groups
        return any(table.size(group) for table in tables)

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
        elif not self._has_members(group):  # of connections that come or go, or besides them
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
        if known is Outcome.GONE:
            self.departures.drop(connection_id, inbound.incarnation)
        self.settle()

    def _sync(self, inbound: InboundLink, token: int) -> None:
        if token != inbound.count:
            raise WireError(f"the peer counts {token} messages, {inbound.count} came")
        if inbound in self._open:
            self._transit.forwarding.sync(inbound, token)
        else:
            self._answer(inbound, token)

    def _answer(self, inbound: InboundLink, token: int) -> None:
        self._send_reply(inbound, encode(SYNCED, token))

    def _synced(self, inbound: InboundLink, token: int) -> None:
        link = self._mesh.links.get(inbound.incarnation)
        if link is not None:
            link.ledger.confirm(token)
        if self._open:
            self.settle()

    def _ready(self, inbound: InboundLink, connection_id: int) -> None:
        link = self._mesh.links.get(inbound.incarnation)
        if link is not None:
            link.full.pop(connection_id, None)
        self.drained(connection_id)  # what is passed on comes from others
        self._sink.ready_to_send(connection_id)

    def _query(self, inbound: InboundLink, token: int, connection_id: int, what: str) -> None:
        if connection_id and self._find(connection_id) is None:
            ask = self._transit.query
            if ask(inbound, token, connection_id, what, self._send_reply):
                return
        link = self._mesh.links.get(inbound.incarnation)
        if link is not None:
            reply = self._queries.reply(token, connection_id, what, link.reply_room)
            self._send_reply(inbound, reply)

    def _reply(self, inbound: InboundLink, token: int, is_ok: bool, body: bytes) -> None:
        self._queries.resolve(inbound.incarnation, token, is_ok, body)

    def _goodbye(self, inbound: InboundLink) -> None:
        inbound.is_leaving = True

    # -- a takeover --------------------------------------------------------------------------

    def _stream_link(self, inbound: InboundLink, connection_id: int) -> OutboundLink | Outcome:
        return self._transit.stream_link(inbound, connection_id)

    def taken_over(self, predecessor: int, successor: int, incarnations: list[int]) -> None:
        """From now on this process sends to the successor."""
        # Until it has told of those that arrived there, it may have members of any group.
        self._interest.unhear(successor)
        self._transit.taken_over(predecessor, successor, incarnations)

    def link_news(self, peer: int) -> list[bytes]:
        """Return what a new link says about a takeover."""
        return self.departures.news(peer)

    def settle(self) -> None:
        """See what is settled by news of a link or a change of peers."""
        for connection_id in self._transit.settle():
            self.drained(connection_id)

    def is_passing_on(self, incarnation: int) -> bool:
        """Tell whether something that was passed on to a process is under way."""
        return not self._transit.is_idle or self.streams.is_sending_to(incarnation)

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
        tables = self._groups, self.departures.groups, self.arrivals.groups
        return self._announcements.news([name for table in tables for name in table.names()])

    def peer_lost(self, incarnation: int) -> None:
        """The link of a peer is closed: a new one announces its interests again."""
        self._interest.forget(incarnation)
        self._queries.fail(incarnation)
        self.streams.peer_lost(incarnation)
        self._transit.forwarding.forget(incarnation)
        self.arrivals.forget(incarnation)
