"""All links of this shard: it listens for its peers and dials each of them.

Owns the links, when they are dialed, and the check of accepted peers; mesh_socket owns the socket,
and the receiver handles the messages. Links are one-way: a shard writes only on links it dialed
itself, so two links join two shards, and replies come on the other one.

Facts to have before reading:
- A peer is wanted while the supervisor names it (PEERS) or while its own link to us is open: a new
  shard may connect to us before the supervisor's PEERS with it arrives.
- A link that broke is replaced by a new one, dialed with a growing delay, as long as its peer is
  wanted. Replies in flight on a broken link are lost, so the link they belong to is closed too: its
  sender then knows that outcomes are in doubt.
- The dialer checks which process listens (SO_PEERCRED): generations of a slot reuse a path.
"""

import asyncio
from collections.abc import Iterable
from typing import Any, Final, Protocol

from shardws.errors import WireError
from shardws.interfaces import RoutingSink
from shardws.log import shard_logger
from shardws.outcomes import Outcome
from shardws.routing.dialer import FIRST_SECONDS, Dialer, longer
from shardws.routing.handover import end_all
from shardws.routing.identity import (
    Identity,
    admitted,
    describe,
    incarnation,
    node_slot_of,
)
from shardws.routing.inbound_link import InboundLink, MessageReceiver
from shardws.routing.mesh_socket import MeshSocket
from shardws.routing.outbound_link import OutboundLink
from shardws.routing.owners import Owners
from shardws.stats import LINK_BYTES, LOST_FANOUTS, SENDS_FAILED, Stats, Words
from shardws.wire.codec import encode
from shardws.wire.messages import HELLO, START, SWITCH, VERSION, Peer

LINK_HIGH_MARK: Final = 16 << 20
FRAME_LIMIT: Final = (64 << 20) + 4096  # the largest message that can go to another shard
PATIENCE_SECONDS: Final = 15.0  # half the default deadline of a stuck shard
TICK_SECONDS: Final = 1.0
STABLE_SECONDS: Final = 5.0  # a link that was up for so long is redialed immediately


class MeshReceiver(MessageReceiver, Protocol):
    """Handles what arrives, and provides what a new link begins with: routing.receiver."""

    def news(self) -> list[bytes]:
        """Return the frames a new link must carry first."""

    def link_news(self, peer: int) -> list[bytes]:
        """Return what a new link to a peer says about a takeover."""

    def taken_over(self, predecessor: int, successor: int, incarnations: list[int]) -> None:
        """From now on `successor` serves what `predecessor` did."""

    def drained(self, connection_id: int) -> None:
        """A connection takes messages again: tell the peers that were told FULL."""

    def settle(self) -> None:
        """Links or peers have changed: see what is settled by that."""

    def peer_lost(self, incarnation: int) -> None: ...


class Mesh:
    """The links of one shard; `links` and `inbounds` by the peer's incarnation.

    `owners` has the routes to connections, which lead over these links.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        identity: Identity,
        run_directory: str,
        sink: RoutingSink,
        *,
        link_high_mark: int = LINK_HIGH_MARK,
        frame_limit: int = FRAME_LIMIT,
        patience: float = PATIENCE_SECONDS,
        row: Words | None = None,
    ) -> None:
        self.loop = loop
        self.identity = identity
        self.links: dict[int, OutboundLink] = {}
        self.inbounds: dict[int, InboundLink] = {}
        self.owners = Owners(identity.incarnation, self.links)
        self.row = Stats(1).row(0) if row is None else row
        self.log = shard_logger("routing", identity.slot)
        self._run_directory = run_directory
        self._link_high_mark = link_high_mark
        self._frame_limit = frame_limit
        self._patience = patience
        self._sink = sink
        self._receiver: MeshReceiver | None = None  # from `start` on
        self._named: set[int] = set()
        self._left: set[int] = set()  # of those, the ones that have ended in order
        self._pids: dict[int, int] = {}  # of wanted peers
        self._dialer = Dialer(loop, run_directory, self.log)
        self._waiting: set[InboundLink] = set()  # no HELLO yet
        self._dirty: list[OutboundLink] = []
        self._socket = MeshSocket(loop, run_directory, identity.row, self._accept, self.log)
        self._ticker: asyncio.TimerHandle | None = None
        self._is_closing = False

    @property
    def receiver(self) -> MeshReceiver:
        assert self._receiver is not None
        return self._receiver

    # -- life --------------------------------------------------------------------------------

    async def start(self, receiver: MeshReceiver) -> None:
        """Listen for peers, whose messages `receiver` takes; StartError when that is impossible.

        It is passed only here because the receiver is made for a mesh and asks it for links.
        """
        self._receiver = receiver
        await self._socket.start()
        self._ticker = self.loop.call_later(TICK_SECONDS, self._tick)

    async def confirm(self, timeout: float = 1.0) -> None:
        """Wait for the outcome of all that was sent, for at most `timeout` seconds."""
        ledgers = [link.ledger for link in self.links.values() if link.is_up]
        open_ = [ledger for ledger in ledgers if ledger.outcome(ledger.last) is None]
        if open_:
            await asyncio.wait([ledger.wait(ledger.last) for ledger in open_], timeout=timeout)

    async def close(self, timeout: float = 1.0) -> None:
        """Send GOODBYE on every link, flush them for at most `timeout` seconds, then drop all."""
        self._is_closing = True
        if self._ticker is not None:
            self._ticker.cancel()
        self._socket.close()
        links, dials = list(self.links.values()), self._dialer.tasks()
        for link in links:
            link.leave()  # which cancels its dial
        await asyncio.gather(*dials, return_exceptions=True)
        if links:
            await asyncio.wait([link.closed for link in links], timeout=timeout)
        for link in links:
            link.abort("it was not flushed in time")
        for inbound in [*self.inbounds.values(), *self._waiting]:
            inbound.refuse("")
        self.row[LINK_BYTES] = 0

    def _accept(self) -> InboundLink:
        inbound = InboundLink(self, self.receiver, self.loop, self._frame_limit)
        self._waiting.add(inbound)
        if self._is_closing:
            inbound.refuse("")
        return inbound

    def _tick(self) -> None:
        self._ticker = self.loop.call_later(TICK_SECONDS, self._tick)
        self._socket.watch()
        for link in list(self.links.values()):
            given_up = link.tick(self._patience)
            if given_up:
                self.log.warning(
                    "%s does not reply: %d sends in doubt", describe(link.incarnation), given_up
                )
        self.receiver.settle()
        self._measure()

    def _measure(self) -> None:
        self.row[LINK_BYTES] = sum([link.queued for link in self.links.values()])

    # -- peers -------------------------------------------------------------------------------

    def set_peers(self, peers: Iterable[Peer]) -> None:
        """Take the supervisor's list of all processes, with the incarnations that each serves."""
        if self._is_closing:
            return
        own, node = self.identity.incarnation, self.identity.node
        members = [(incarnation(node, peer.row // 2, peer.generation), peer) for peer in peers]
        self._named = {member for member, _ in members if member != own}
        self._left &= self._named
        for member, peer in members:
            if member != own:
                self._want(member, peer.pid)
        self._assign({served: member for member, peer in members for served in peer.served})
        for gone in [peer for peer in self.links if not self.is_wanted(peer)]:
            self._drop(gone)
        self.receiver.settle()

    def _assign(self, served: dict[int, int]) -> None:
        """Switch to new owners, in one step: what is sent next goes to them."""
        moves = self.owners.assign(served, self._named)
        for (predecessor, successor), incarnations in moves.items():
            frame = encode(SWITCH, predecessor, successor)
            if predecessor in self.links:
                self.links[predecessor].ask()  # it ends when all have switched
            for peer in (predecessor, successor):
                if peer in self.links:
                    self.links[peer].reply(frame)
            self.receiver.taken_over(predecessor, successor, incarnations)
        self.owners.refresh()

    def is_slot_taken(self, node_slot: int) -> bool:
        """Tell whether some process has that slot of that node (identity.node_slot_of) now."""
        return node_slot == node_slot_of(self.identity.incarnation) or any(
            node_slot_of(peer) == node_slot for peer in self.links if self.is_wanted(peer)
        )

    def is_named(self, peer: int) -> bool:
        """Tell whether the supervisor says that a peer lives."""
        return peer in self._named

    def is_wanted(self, peer: int) -> bool:
        """Tell whether a peer is named, or connected to us and not about to end."""
        inbound = self.inbounds.get(peer)
        return peer in self._named or (inbound is not None and not inbound.is_leaving)

    def _want(self, peer: int, pid: int) -> None:
        known = self._pids.get(peer, pid)
        self._pids[peer] = pid
        if peer not in self.links:
            self._add(peer)
        elif known != pid:
            self.links[peer].abort(f"it is process {pid} now, not {known}")  # and dial again

    def _drop(self, peer: int) -> None:
        self._pids.pop(peer, None)
        self.links[peer].abort("its process is gone")

    def _add(
        self, peer: int, first: int = 1, backoff: float = 0.0, *, is_given_up: bool = False
    ) -> OutboundLink:
        link = OutboundLink(
            self,
            self,
            peer,
            self.loop,
            self.row,
            high_mark=self._link_high_mark,
            frame_limit=self._frame_limit,
            first=first,
            backoff=backoff,
            is_given_up=is_given_up,
        )
        self.links[peer] = link
        for frame in [*self.owners.switches(peer), *self.receiver.link_news(peer)]:
            link.reply(frame)
        self.owners.refresh()
        self._dialer.start(link, self._pids[peer])
        return link

    # -- what links report (outbound_link.OutboundLinkOwner, LinkSink) -----------------------

    def send_failed(self, connection_id: int, outcome: Outcome) -> None:
        self._sink.send_failed(connection_id, outcome)

    def ready_to_send(self, connection_id: int) -> None:
        self.receiver.drained(connection_id)  # to peers whose messages are passed on
        self._sink.ready_to_send(connection_id)

    def flush_soon(self, link: OutboundLink) -> None:
        if not self._dirty:
            self.loop.call_soon(self._flush)
        self._dirty.append(link)

    def _flush(self) -> None:
        dirty, self._dirty = self._dirty, []
        left = self.row[LINK_BYTES]
        for link in dirty:
            link.flush()
            left += link.queued
        if left:
            self._measure()

    def greeting(self, link: OutboundLink) -> bytes:
        me = self.identity
        hello = encode(HELLO, VERSION, me.node, me.slot, me.generation, me.pid, me.boot_nonce)
        return b"".join([hello, encode(START, link.ledger.first), *self.receiver.news()])

    def link_down(self, link: OutboundLink, reason: str) -> None:
        peer = link.incarnation
        self._dialer.stop(link)
        self.links.pop(peer, None)
        inbound = self.inbounds.get(peer)
        if inbound is not None and inbound.reply_link is link:
            inbound.refuse("" if peer in self.owners.served else "replies to it were lost")
        is_wanted = self.is_wanted(peer)
        outcome = Outcome.UNREACHABLE
        is_over = not is_wanted and peer not in self.owners.served
        if not link.up_at and is_over and self.is_slot_taken(node_slot_of(peer)):
            outcome = Outcome.GONE  # never written, and the slot has a newer process
        lost = link.ledger.close(outcome)
        # A peer that is no longer wanted has ended, so nothing can be UNREACHABLE.
        handovers = end_all(link.handovers, is_lost=is_wanted)
        self.row[SENDS_FAILED] += handovers if is_wanted else 0
        if lost and not self._is_closing:
            self.log.warning(
                "link to %s: %s; %d sends in doubt", describe(link.incarnation), reason, lost
            )
            self.row[SENDS_FAILED] += lost
            self._sink.sends_lost(lost)
        if is_wanted and not self._is_closing:
            # Else they are among `handovers`, were confirmed at the switch to its successor, or
            # were for a process that had closed all its connections before.
            if link.up_at and peer not in self.owners.served and not self._has_left(peer):
                self._tell_fanouts(link, reason)
            self._redial(link)
        self.owners.refresh()
        if not self._is_closing:
            self.receiver.settle()

    def _has_left(self, peer: int) -> bool:
        """Tell whether a peer said GOODBYE, though the supervisor may name it for a moment yet."""
        inbound = self.inbounds.get(peer)
        return peer in self._left or (inbound is not None and inbound.is_leaving)

    def _tell_fanouts(self, link: OutboundLink, reason: str) -> None:
        """Count the messages to many of which nobody knows whether the peer got them."""
        if many := link.ledger.fanouts_in_doubt:
            self.row[LOST_FANOUTS] += many
            text = "link to %s: %s; %d messages to many in doubt"
            self.log.warning(text, describe(link.incarnation), reason, many)

    def _redial(self, link: OutboundLink) -> None:
        is_stable = bool(link.up_at) and self.loop.time() - link.up_at >= STABLE_SECONDS
        backoff = FIRST_SECONDS if is_stable else longer(link.backoff)
        first, is_given_up = link.ledger.last + 1, link.is_given_up
        next_link = self._add(link.incarnation, first, backoff, is_given_up=is_given_up)
        next_link.refused = {**link.refused, **link.full}

    # -- what accepted links report (inbound_link.InboundLinkOwner) --------------------------

    def admit(self, inbound: InboundLink, hello: tuple[Any, ...]) -> int:
        if self._is_closing:
            raise WireError("this shard ends")
        peer = admitted(self.identity, hello, inbound.pid, inbound.uid)
        self._waiting.discard(inbound)
        self._left.discard(peer)
        older, self.inbounds[peer] = self.inbounds.get(peer), inbound
        if older is not None:
            older.refuse("the peer dialed again")
            self._forget_words_of(peer)
        self._want(peer, inbound.pid)
        return peer

    def inbound_lost(self, inbound: InboundLink, reason: str) -> None:
        self._waiting.discard(inbound)
        peer = inbound.incarnation
        if reason and not self._is_closing:
            who = describe(peer) if peer >= 0 else f"process {inbound.pid}"
            self.log.warning("link from %s closed: %s", who, reason)
        if self.inbounds.get(peer) is not inbound:
            return
        del self.inbounds[peer]
        if inbound.is_leaving:
            self._left.add(peer)
        self._forget_words_of(peer)
        if peer in self.links and peer not in self._named and not self._is_closing:
            self._drop(peer)
        if not self._is_closing:
            self.receiver.settle()

    def _forget_words_of(self, peer: int) -> None:
        """An accepted link is gone: drop the state that the peer announced on it."""
        self.receiver.peer_lost(peer)
        link = self.links.get(peer)
        if link is not None:
            link.release_full()  # a READY_TO_SEND may be among what was lost
