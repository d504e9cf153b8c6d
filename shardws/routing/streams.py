"""Messages that are streamed to a connection of another shard, piece by piece.

Owns the streams in both directions: what this shard reads and sends (`stream_sender`), and what it
receives for its own connections. Content is a Source at both ends. Facts to have before reading:

    STREAM          asker to owner: FIRST, MORE ... LAST (empty), or BROKEN when the rest is lost,
                    with the reason in place of content
    STREAM_CREDIT   owner to asker: so many bytes more may come
    STREAM_END      owner to asker: how it ended; parts in flight are dropped

The asker begins with WINDOW bytes of credit, and gets more as the connection takes pieces: so a
client that reads slowly holds back the file, not the link, and an owner keeps at most WINDOW bytes
of a stream, or one frame of MaxFrameSize where that is larger. When either shard goes down the
other one learns it from its link: the outcome at the asker is then UNREACHABLE, and the owner
closes the connection, since the message cannot be completed.

A stream for a connection that another process serves is relayed: its parts are the source of a
stream to that one, so credit and outcome pass through.
"""

import asyncio
import errno
from collections.abc import Callable
from typing import Final

from shardws.errors import WireError
from shardws.interfaces import Recipient, RoutingSink, Source
from shardws.outcomes import FailedSend, LaterSend, Outcome, SendOutcome
from shardws.routing.inbound_link import InboundLink
from shardws.routing.outbound_link import OutboundLink
from shardws.routing.stream_sender import MOST_REASON_BYTES, WINDOW, StreamSender, nothing
from shardws.wire.codec import encode
from shardws.wire.messages import (
    STREAM_BROKEN,
    STREAM_CREDIT,
    STREAM_END,
    STREAM_FIRST,
    STREAM_LAST,
)

LARGEST_WINDOW: Final = 2 << 20  # the most that an owner of this version grants
MOST_STREAMS: Final = 1024  # of this shard at a time; more are FULL
WATCH_SECONDS: Final = 1.0

SendReply = Callable[[InboundLink, bytes], None]
Full = Callable[[InboundLink, int], None]


def ignore(outcome: Outcome) -> None:
    """Take a failure that somebody else reports."""


class Incoming:
    """What a peer streams to a connection here: a Source for that connection."""

    def __init__(
        self, streams: "Streams", inbound: InboundLink, token: int, connection_id: int
    ) -> None:
        self.wake: Callable[[], None] = nothing
        self._streams = streams
        self.inbound = inbound
        self._token = token
        self._connection_id = connection_id
        self._held = bytearray()
        self._credit = WINDOW  # bytes the peer may still send
        self._is_complete = False
        self._broken = ""  # why the rest will not arrive
        self._is_relayed = False
        self._is_begun = False

    def feed(self, part: int, piece: bytes) -> None:
        """Take a part; WireError for more than was granted."""
        if part == STREAM_BROKEN:
            self.break_off(piece[:MOST_REASON_BYTES].decode(errors="replace"))
            return
        if len(piece) > self._credit:
            raise WireError("more of a stream came than was granted")
        self._credit -= len(piece)
        self._held += piece
        if part == STREAM_LAST:
            self._is_complete = True
        self.wake()

    def break_off(self, reason: str) -> None:
        """The rest will not arrive: its source failed, or the peer is gone."""
        if not self._is_complete and not self._broken:
            self._broken = reason
            self.wake()

    def read(self, limit: int) -> bytes | None:
        """Return `limit` bytes, fewer only at the end: the frames of a message are of one size."""
        if self._broken:
            raise OSError(errno.EIO, self._broken)
        if self._is_relayed:
            return self._read_part(limit)
        if len(self._held) < limit and not self._is_complete:
            self._grant(limit - len(self._held) - self._credit)
            return None
        piece = bytes(self._held[:limit])
        del self._held[:limit]
        self._grant(WINDOW - len(self._held) - self._credit)
        return piece

    def relay(self) -> None:
        """Give pieces as they come, the first one at once: what is sent next must not overtake."""
        self._is_relayed = True

    def _read_part(self, limit: int) -> bytes | None:
        if self._is_begun and not self._held and not self._is_complete:
            return None
        self._is_begun = True
        piece = bytes(self._held[:limit])
        del self._held[:limit]
        self._grant(WINDOW - len(self._held) - self._credit)
        return piece

    def _grant(self, more: int) -> None:
        if more > 0 and not self._is_complete:
            self._credit += more
            self._streams.reply(self.inbound, encode(STREAM_CREDIT, self._token, more))

    def finish(self, outcome: Outcome) -> None:
        """Tell the asker how it ended."""
        self._held.clear()
        self._is_complete = True
        self._streams.drop_incoming(self.inbound, self._token)
        if outcome is Outcome.FULL:
            self._streams.on_full(self.inbound, self._connection_id)
        self._streams.reply(self.inbound, encode(STREAM_END, self._token, outcome))


class Streams:
    """All streams between this shard and others."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        find: Callable[[int], Recipient | None],
        reply: SendReply,
        on_full: Full,
        sink: RoutingSink,
        elsewhere: Callable[[InboundLink, int], OutboundLink | Outcome],
    ) -> None:
        """`elsewhere` says where to relay a stream for what `find` does not: a link, or why not."""
        self.reply = reply
        self.on_full = on_full
        self.loop = loop
        self._find = find
        self._elsewhere = elsewhere
        self.sink = sink
        self._token = 0
        self._outgoing: dict[int, StreamSender] = {}
        self._incoming: dict[tuple[int, int], Incoming] = {}  # by the peer and its token
        self._watching: asyncio.TimerHandle | None = None

    # -- to others ---------------------------------------------------------------------------

    def send(
        self, link: OutboundLink, connection_id: int, kind: int, source: Source
    ) -> SendOutcome:
        """Stream a source to a connection of the link's peer."""
        if len(self._outgoing) >= MOST_STREAMS:
            source.finish(Outcome.FULL)
            return FailedSend(connection_id, Outcome.FULL, self.sink.send_failed)
        self._token = token = self._token + 1
        result = LaterSend(connection_id, self.sink.send_failed)
        stream = StreamSender(self, token, link, connection_id, kind, source, result)
        stream.is_relayed = isinstance(source, Incoming)
        self._outgoing[token] = stream
        self._watch()
        stream.go_on()
        return result

    def is_sending_to(self, incarnation: int) -> bool:
        """Tell whether a stream to a process is under way."""
        return any(one.link.incarnation == incarnation for one in self._outgoing.values())

    def drop_outgoing(self, token: int) -> bool:
        """Forget a stream; False when it was forgotten before."""
        return self._outgoing.pop(token, None) is not None

    def _watch(self) -> None:
        """Check for links that went down while a stream waits for credit."""
        if self._watching is None and self._outgoing:
            self._watching = self.loop.call_later(WATCH_SECONDS, self._look)

    def _look(self) -> None:
        self._watching = None
        for stream in list(self._outgoing.values()):
            if stream.link.is_down:
                stream.end(Outcome.UNREACHABLE)
        self._watch()

    def credit(self, inbound: InboundLink, token: int, more: int) -> None:
        """Take a STREAM_CREDIT; one for a stream that is over is late and ignored."""
        stream = self._outgoing.get(token)
        if stream is not None and stream.link.incarnation == inbound.incarnation:
            stream.credit += more
            if stream.credit > LARGEST_WINDOW:
                raise WireError("a stream was granted too much")
            stream.go_on()

    def end(self, inbound: InboundLink, token: int, outcome: int) -> None:
        """Take a STREAM_END."""
        stream = self._outgoing.get(token)
        if stream is not None and stream.link.incarnation == inbound.incarnation:
            stream.end(Outcome(outcome))

    # -- from others -------------------------------------------------------------------------

    def part(
        self,
        inbound: InboundLink,
        token: int,
        connection_id: int,
        kind: int,
        part: int,
        piece: bytes,
    ) -> None:
        """Take a STREAM."""
        key = inbound.incarnation, token
        if part == STREAM_FIRST:
            if key in self._incoming:
                raise WireError("a stream began twice")
            incoming = self._incoming[key] = Incoming(self, inbound, token, connection_id)
            incoming.feed(part, piece)
            self._begin(incoming, connection_id, kind)
            return
        known = self._incoming.get(key)
        if known is not None:  # else it has ended, and the asker does not know yet
            known.feed(part, piece)

    def _begin(self, incoming: Incoming, connection_id: int, kind: int) -> None:
        connection = self._find(connection_id)
        if connection is not None:
            # The asker reports the failure; here nobody awaits it.
            connection.stream(kind, incoming).if_failed(ignore)
            return
        link = self._elsewhere(incoming.inbound, connection_id)
        if isinstance(link, Outcome):
            incoming.finish(link)
        else:
            incoming.relay()
            self.send(link, connection_id, kind, incoming).if_failed(ignore)

    def drop_incoming(self, inbound: InboundLink, token: int) -> None:
        """Forget a stream that has ended."""
        self._incoming.pop((inbound.incarnation, token), None)

    def peer_lost(self, incarnation: int) -> None:
        """A peer's link is closed: no more parts or replies will arrive."""
        for stream in list(self._outgoing.values()):
            if stream.link.incarnation == incarnation:
                stream.end(Outcome.UNREACHABLE)
        for key, incoming in list(self._incoming.items()):
            if key[0] == incarnation:
                incoming.break_off("the shard that sends it is gone")
