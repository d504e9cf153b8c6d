"""Streams a source of this shard, in parts, to a connection of another shard.

Owns the data read ahead and the part the link did not accept yet; see `streams` for the parts, the
credit and what follows when either side goes down. It reads no more than the credit allows, and
retries a full link after a while, since links do not report free space.
"""

import asyncio
import errno
from typing import Final, Protocol

from shardws.errors import code_of_errno
from shardws.interfaces import RoutingSink, Source
from shardws.outcomes import LaterSend, Outcome
from shardws.routing.outbound_link import OutboundLink
from shardws.wire.codec import encode
from shardws.wire.messages import (
    STREAM,
    STREAM_BROKEN,
    STREAM_FIRST,
    STREAM_LAST,
    STREAM_MORE,
)

WINDOW: Final = 256 * 1024  # bytes of initial credit
PIECE_BYTES: Final = 64 * 1024
MOST_REASON_BYTES: Final = 512  # of the reason why a stream broke
RETRY_SECONDS: Final = 0.02  # until a full link is retried


class StreamSenderOwner(Protocol):
    """What an outgoing stream requires of its owner."""

    loop: asyncio.AbstractEventLoop
    sink: RoutingSink

    def drop_outgoing(self, token: int) -> bool: ...


def nothing() -> None:
    """Stand in for the reader of a source, before and afterwards."""


class StreamSender:
    """A source of this shard that is streamed to a connection of another shard."""

    def __init__(
        self,
        streams: StreamSenderOwner,
        token: int,
        link: OutboundLink,
        connection_id: int,
        kind: int,
        source: Source,
        result: LaterSend,
    ) -> None:
        self.link = link
        self.is_relayed = False  # its source is a peer's stream, whose failure that peer reports
        self.credit = WINDOW  # bytes
        self._streams = streams
        self._token = token
        self._connection_id = connection_id
        self._kind = kind
        self._source = source
        self._result = result
        self._part = STREAM_FIRST
        self._unsent: bytes | None = None  # a frame the link did not accept yet
        self._is_read = False  # all of the source
        self._has_begun = False
        self._is_over = False
        self._retry: asyncio.TimerHandle | None = None
        source.wake = self.go_on

    def go_on(self) -> None:
        """Send what the credit and the link allow."""
        while self._offer() and self.credit > 0 and not self._is_read and not self._is_over:
            try:
                piece = self._source.read(min(PIECE_BYTES, self.credit))
            except OSError as error:
                self._break_off(error)
                return
            if piece is None:
                return
            if not piece and self._part == STREAM_MORE:
                self._send(STREAM_LAST, b"")
            else:
                self._send(self._part, piece)
                self._part = STREAM_MORE
            self.credit -= len(piece)

    def _break_off(self, error: OSError) -> None:
        reason = error.strerror or str(error)
        if self._has_begun:
            told = reason.encode(errors="replace")[:MOST_REASON_BYTES]
            fields = self._token, self._connection_id, self._kind, STREAM_BROKEN, told
            self.link.reply(encode(STREAM, *fields))  # past the bound: it must not be lost
        description = f"a message could not be sent: {reason}"
        if not self.is_relayed:
            code = code_of_errno(error.errno or errno.EIO)
            self._streams.sink.stream_failed(self._connection_id, code, description)
        self.end(Outcome.DROPPED)

    def _send(self, part: int, piece: bytes) -> None:
        self._is_read = part == STREAM_LAST
        self._unsent = encode(STREAM, self._token, self._connection_id, self._kind, part, piece)

    def _offer(self) -> bool:
        """Send the waiting frame; False when the link is full or down."""
        if self._unsent is None:
            return True
        if self.link.offer(self._unsent):
            self._unsent = None
            self._has_begun = True
            return True
        if self.link.refusal is Outcome.UNREACHABLE:
            self.end(Outcome.UNREACHABLE)
        elif not self._has_begun:
            # Not kept for later: what is sent next must not overtake it.
            self.link.refused[self._connection_id] = None
            self.end(Outcome.FULL)
        elif self._retry is None:
            self._retry = self._streams.loop.call_later(RETRY_SECONDS, self._try_again)
        return False

    def _try_again(self) -> None:
        self._retry = None
        self.go_on()

    def end(self, outcome: Outcome) -> None:
        """Release the source, once."""
        if self._streams.drop_outgoing(self._token):
            self._unsent, self._is_over = None, True
            self._source.wake = nothing  # no cycle: an unread outcome reports when it is deleted
            self._source.finish(outcome)
            self._result.settle(outcome)
