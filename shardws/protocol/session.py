"""One WebSocket connection after its opening handshake: bytes in, items and replies out.

Owns the state of the connection and its row of the close table; knows no TCP, no timers and no
ids. Facts to have before reading:

- An item is (kind, payload, eom): 1 text, 2 binary, 9 ping (its pong is among the replies already),
  10 pong, 8 the end of the conversation; `ending` says why, when the state is CLOSED.
- At rest a session has no `_inbound`, and whole ordinary frames never make one: see `receive`.
- `receive` and `go_on` work one slice (see `slices`). While `has_more`, the caller calls `go_on`
  when it is the connection's turn again, and does not call `receive`.
- `is_due` says that there is more to look at than items: replies, a rest, frames to account for,
  or another state. The caller clears it.
- `receive` never raises for what a peer sent: a violation is an item 8 and an `ending`.
"""

from typing import Final

from shardws.errors import ProtocolError
from shardws.protocol import closing, codec, fragmentation, slices
from shardws.protocol.closing import TABLE, Cause, Ending, Source, State
from shardws.protocol.deflate import Deflate
from shardws.protocol.frames import CLOSE, FIN, PING, PONG, RSV1, Frame, Item
from shardws.protocol.inbound import Inbound
from shardws.protocol.session_config import SessionConfig
from shardws.protocol.slices import FIRST_ITEMS, Slice

__all__ = ["Ending", "Frame", "Item", "Session", "SessionConfig", "State"]

# Plain names: the look-up of an enumeration's member goes through a method of its class.
IS_OPEN: Final = State.OPEN
IS_CLOSING: Final = State.CLOSING
IS_CLOSED: Final = State.CLOSED
NOTHING: Final = Source.NOTHING
OWN: Final = Source.OWN

FIN_CLOSE: Final = FIN | CLOSE
FIN_PONG: Final = FIN | PONG
# A rest that is a small part of a large read is copied, so that the read can go.
LARGE_READ: Final = 64 * 1024
STORM: Final = "too many pings, pongs or empty fragments"
LATE: Final = "message not completed in time"


# Stands in for the Inbound of every closed session: it is never fed, so it can be shared.
SEALED: Final = Inbound(SessionConfig(), None)


class Session:
    """The conversation of one connection."""

    __slots__ = (
        "_inbound",
        "_own",
        "_replies",
        "_rest",
        "calm_at",
        "config",
        "deflate",
        "ending",
        "is_due",
        "limit",
        "nothings",
        "state",
    )

    def __init__(
        self, config: SessionConfig, deflate: Deflate | None = None, data: bytes = b""
    ) -> None:
        """`data`: bytes of a frame that is not whole, from `rest` of an earlier session."""
        self.config = config
        self.deflate = deflate
        self.state = IS_OPEN
        self.ending: Ending | None = None
        self._replies: list[Frame] | None = None  # an idle connection needs no empty list
        self._own: tuple[int, str] | None = None  # what we closed with
        self._inbound: Inbound | None = Inbound(config, deflate, data) if data else None
        self._rest: tuple[bytes, int] | None = None  # of a read, from this position on
        self.calm_at: float | None = None  # when `nothings` are forgiven: slices.calm_at
        self.nothings = 0  # frames that `charge` has to account for
        self.limit = FIRST_ITEMS  # items of the next slice; see `pace`
        self.is_due = False

    def receive(self, data: bytes) -> list[Item]:
        """Return what the bytes complete, as far as one slice goes."""
        inbound = self._inbound
        if inbound is None:
            items, used, controls = codec.parse(data, self.config.max_message_size, 0, self.limit)
            if used == len(data) and not controls:
                return items
            if not used and data[0] == FIN_CLOSE and self._is_closed_by(data):
                return [(CLOSE, b"", True)]
            self._inbound = inbound = Inbound(self.config, self.deflate)
            return self._work(inbound, data, used, Slice(self.limit, items, controls))
        if self._rest is not None:
            rest, at = self._rest
            data = rest[at:] + data
        return self._work(inbound, data, 0, Slice(self.limit))

    def _is_closed_by(self, data: bytes) -> bool:
        """Follow a read that is one whole, sound close frame; False for anything else.

        It ends most connections, and takes a tenth of what an Inbound takes for it.
        """
        payload = codec.close_payload(data)
        if payload is None:
            return False
        try:
            self._peer_closed(payload)
        except ProtocolError:
            return False
        return True

    @property
    def replies(self) -> list[Frame]:
        """What the owner has to write, the oldest first."""
        if self._replies is None:
            self._replies = []
        return self._replies

    @property
    def has_replies(self) -> bool:
        """Whether there are any."""
        return bool(self._replies)

    def next_reply(self) -> Frame | None:
        """Take the oldest reply; None when there is none."""
        replies = self._replies
        if not replies:
            return None
        reply = replies.pop(0)
        if not replies:
            self._replies = None
        return reply

    @property
    def has_more(self) -> bool:
        """Whether bytes that were received wait for the next slice: call `go_on`."""
        return self._rest is not None

    def go_on(self) -> list[Item]:
        """Work the next slice of what was received."""
        if self._rest is None or self._inbound is None:
            return []
        data, at = self._rest
        return self._work(self._inbound, data, at, Slice(self.limit))

    def forget_rest(self) -> None:
        """Drop what was received and not worked."""
        self._rest = None

    def _work(self, inbound: Inbound, data: bytes, at: int, part: Slice) -> list[Item]:
        self._rest = None
        if self.state is IS_CLOSED:
            return []
        error: ProtocolError | None = None
        try:
            data, at = inbound.receive(data, at, part)
        except ProtocolError as raised:
            error = raised
        items = part.items
        if part.controls:
            for kind, payload, _ in items:
                if kind == PING:  # also after our close frame (RFC 6455 5.5.2)
                    self.replies.append((FIN_PONG, payload))
        if self.state is IS_CLOSING:
            items = [item for item in items if item[0] >= CLOSE]
        self.nothings += part.nothings
        self.is_due = True
        if error is not None:
            self._break(error)
            items.append((CLOSE, b"", True))
        elif inbound.is_over:
            self._peer_closed(items.pop()[1])
            items.append((CLOSE, b"", True))
        elif at < len(data):
            self._keep(data, at)
        elif inbound.is_at_rest and self.state is IS_OPEN:
            self._inbound = None
        return items

    def _keep(self, data: bytes, at: int) -> None:
        if len(data) >= LARGE_READ and (len(data) - at) * 4 <= len(data):
            data, at = data[at:], 0
        self._rest = data, at

    def pace(self, count: int, seconds: float) -> None:
        """Tell that `count` items took so many seconds: it bounds the next slice."""
        if count:
            self.limit = slices.paced(self.limit, count, seconds)

    def charge(self, now: float) -> None:
        """Account for frames without content; a storm of them ends the conversation (1008)."""
        count, self.nothings = self.nothings, 0
        if not count or self.state is IS_CLOSED:
            return
        self.calm_at = slices.calm_at(self.calm_at or 0.0, count, now)
        if slices.is_storm(self.calm_at, now):
            self._break(ProtocolError(1008, STORM))

    @property
    def held(self) -> int:
        """Bytes that are held of a message in progress."""
        return 0 if self._inbound is None else self._inbound.held

    @property
    def in_progress(self) -> object:
        """What stands for the message in progress, the same object until its end; None: none."""
        return None if self._inbound is None else self._inbound.in_progress

    def give_up_message(self) -> None:
        """End because a message that has begun is not completed in time (1008)."""
        self._break(ProtocolError(1008, LATE))

    def _break(self, error: ProtocolError) -> None:
        self._move(Cause.VIOLATION, error.close_code, error.description, error)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Put our close frame into `replies`; nothing when the close handshake has begun already.

        UsageError 213 for a code that cannot be sent or a reason of more than 123 bytes.
        """
        closing.check(code, reason)
        if self.state is IS_OPEN:
            self._own = code, reason
            waits = self.config.wait_for_close
            self._move(Cause.OWN if waits else Cause.OWN_AT_ONCE, code, reason)

    def lost(self, reason: str = "the connection was lost") -> Ending:
        """Tell that TCP ended or the peer did not answer in time; return what is to be reported."""
        if self.state is not IS_CLOSED:
            self._move(Cause.LOST, closing.ABNORMAL, reason)
        assert self.ending is not None
        return self.ending

    @property
    def rest(self) -> bytes | None:
        """Bytes to give to a new Session in place of this one; None while that cannot be done.

        It can be done between two messages of an open session without context takeover: then they
        are at most the beginning of a header or of a control frame.
        """
        if self.state is not IS_OPEN or self._replies or self.has_more:
            return None
        if self.deflate is not None and self.deflate.keeps_context:
            return None
        if self._inbound is None:
            return b""
        return self._inbound.tail if self._inbound.is_between_messages else None

    @property
    def unread(self) -> bytes | None:
        """What was received and not told, as the peer sent it: another session can read it again.

        None while that cannot be done: within a message of which a part was told or several frames
        came, or when the session has to reply or is not open.
        """
        if self.state is not State.OPEN or self.has_replies:
            return None
        received = b"" if self._inbound is None else self._inbound.received
        if received is None or self._rest is None:
            return received
        data, at = self._rest
        return received + data[at:]

    @property
    def is_at_rest(self) -> bool:
        """Whether the session holds nothing, so that whole ordinary frames need not come here."""
        return self._inbound is None and not self.has_more

    @property
    def is_plain(self) -> bool:
        """Every message goes out as one uncompressed frame: `frames_of` need not be called."""
        return self.deflate is None and not self.config.max_frame_size

    def frames_of(
        self, kind: int, payload: bytes, is_first: bool = True, is_last: bool = True
    ) -> list[Frame]:
        """Return the frames of a message (kind 1, 2), of a part of one, or of a ping or pong.

        UsageError 213 for a ping or pong of more than 125 bytes.
        """
        if kind >= CLOSE:
            return [fragmentation.control(kind, payload)]
        first = kind
        # A message in parts goes uncompressed: its compressor would be bound until its end.
        packed = self._packed(payload) if is_first and is_last else None
        if packed is not None:
            first, payload = kind | RSV1, packed
        return fragmentation.split(first, payload, self.config.max_frame_size, is_first, is_last)

    def _packed(self, payload: bytes) -> bytes | None:
        if self.deflate is None or len(payload) < self.config.deflate_min_size:
            return None
        return self.deflate.compress(payload)

    def _peer_closed(self, payload: bytes) -> None:
        code, reason = closing.unpack(payload)
        self._move(Cause.PEER if payload else Cause.PEER_BARE, code, reason)

    def _move(
        self, cause: Cause, code: int, reason: str, error: ProtocolError | None = None
    ) -> None:
        """Follow the row of the close table for `cause`."""
        row = TABLE.get((self.state, cause))
        if row is None:
            return
        # All or nothing: without memory for one of these it is still to be told how it ended.
        inbound = self._inbound
        if row.state is IS_CLOSED:
            inbound = SEALED  # lets go of whatever was in progress
        elif inbound is None:
            inbound = Inbound(self.config, self.deflate)  # keeps the fast lane shut
        sent = None if row.sent is NOTHING else closing.payload_of(row.sent, code, reason)
        if row.told is OWN:
            assert self._own is not None
            code, reason = self._own
        ending = None if row.told is NOTHING else Ending(code, reason, row.is_clean, error)
        if sent is not None:
            self.replies.append((FIN_CLOSE, sent))
        self.state, self._inbound = row.state, inbound
        self.is_due = True
        if ending is not None:
            self.ending = ending
        if row.state is IS_CLOSED:
            self._rest = None
