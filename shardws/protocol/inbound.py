"""What a session holds of its peer's bytes while it is not at rest, and who gets which frame.

Owns the rest of a frame or message in progress; knows the limits, but no replies and no states.
At rest (at a frame boundary, no message in progress) a session has no Inbound. Who gets what:

    ordinary, whole             codec.parse: the fast lane
    ordinary, not whole yet     arrival
    ping, pong, close           here: every connection has them; wsproto could not answer a ping
                                after our close frame, and refuses close code 1014
    compressed, one whole frame deflate
    all else                    authority: fragments, and the verdict on broken frames

Bounds: a header or a control frame in progress is at most 131 bytes; a message never exceeds
max_message_size, which is checked at the header, so before anything is allocated, and again while a
compressed message inflates.
"""

from typing import TYPE_CHECKING

from shardws.errors import ProtocolError
from shardws.protocol import boundary, closing, codec
from shardws.protocol.arrival import Arrival, Pieces, Whole, check_text
from shardws.protocol.authority import Authority
from shardws.protocol.boundary import CONTINUATION, Header
from shardws.protocol.deflate import Deflate
from shardws.protocol.frames import CLOSE, FIN, FIN_BINARY, FIN_TEXT, RSV1, TEXT, Item

if TYPE_CHECKING:
    from shardws.protocol.session import SessionConfig


class Inbound:
    """The frames of one client behind the fast lane."""

    __slots__ = (
        "_arrival",
        "_authority",
        "_buffer",
        "_config",
        "_deflate",
        "_is_compressed",
        "_is_inside",
        "_left",
        "_size",
        "is_over",
        "tail",
    )

    def __init__(self, config: "SessionConfig", deflate: Deflate | None, tail: bytes = b"") -> None:
        self._config = config
        self._deflate = deflate
        self._arrival: Arrival | None = None
        self._authority: Authority | None = None
        self._buffer: bytearray | None = None  # the fragments so far, with BufferMessage
        self._is_inside = False  # between two fragments of a message
        self._is_compressed = False  # and that message is compressed
        self._left = 0  # payload bytes of the authority's frame still to come
        self._size = 0  # bytes of the fragments so far
        self.tail = tail  # a header, or a control frame, that is not whole yet
        self.is_over = False  # the peer's close frame was read

    @property
    def is_between_messages(self) -> bool:
        """At rest, but for the bytes in `tail`."""
        return self._arrival is None and not self._left and not self._is_inside

    @property
    def is_at_rest(self) -> bool:
        """Nothing is held: the session needs no Inbound."""
        return self.is_between_messages and not self.tail

    def receive(self, data: bytes, at: int, items: list[Item]) -> None:
        """Read data[at:] and append to `items`; ProtocolError for a violation.

        Stops behind a close frame; its item carries the payload.
        """
        if self.tail:
            data, at = self.tail + data[at:], 0
            self.tail = b""
        while at < len(data) and not self.is_over:
            if self._arrival is not None:
                at = self._arrival.take(data, at, items)
                if not self._arrival.missing:
                    self._arrival = None
            elif self._left:
                at = self._continue(data, at, items)
            else:
                at = self._begin(data, at, items)

    def _begin(self, data: bytes, at: int, items: list[Item]) -> int:
        if not self._is_inside:
            run, at = codec.parse(data, self._config.max_message_size, at)
            items += run
        found = boundary.read(data, at, self._deflate is not None)
        if found is None:
            self.tail = data[at:]
            return len(data)
        if not found.is_sound:
            self._ask(data[at : at + found.size])
            raise ProtocolError(1002, "broken frame header")
        if found.opcode >= CLOSE:
            return self._control(data, at, found, items)
        return self._data(data, at, found, items)

    def _control(self, data: bytes, at: int, found: Header, items: list[Item]) -> int:
        body = at + found.size
        stop = body + found.length
        if stop > len(data):
            self.tail = data[at:]
            return len(data)
        payload = codec.unmask(data, body, stop, data[body - 4 : body])
        if found.opcode == CLOSE:
            closing.unpack(payload)  # the verdict; wsproto refuses 1014 and costs 20 us
            self.is_over = True
        items.append((found.opcode, payload, True))
        return stop

    def _data(self, data: bytes, at: int, found: Header, items: list[Item]) -> int:
        body = at + found.size
        stop = body + found.length
        if (found.opcode == CONTINUATION) == self._is_inside:  # else the authority will object
            self._count(found)
        if not self._is_inside:
            if found.first in (FIN_TEXT, FIN_BINARY) and stop > len(data):
                return self._await(data, body, found)
            if found.first & ~3 == FIN | RSV1 and stop <= len(data):
                return self._inflate(data, body, found, items)
        self._is_inside = not found.is_final
        self._left = stop - at
        return self._continue(data, at, items)

    def _count(self, found: Header) -> None:
        """Count the sizes of fragments; a compressed message is counted while it inflates."""
        if not self._is_inside:
            self._size = 0
            self._is_compressed = found.is_compressed
        self._size += found.length
        limit = self._config.max_message_size
        if self._size > limit and not self._is_compressed:
            raise ProtocolError(1009, f"message of more than {limit} bytes")

    def _await(self, data: bytes, body: int, found: Header) -> int:
        kind = Whole if self._config.buffer_message else Pieces
        self._arrival = kind(found.opcode, found.length, data[body - 4 : body])
        return body

    def _inflate(self, data: bytes, body: int, found: Header, items: list[Item]) -> int:
        assert self._deflate is not None
        stop = body + found.length
        packed = codec.unmask(data, body, stop, data[body - 4 : body])
        plain = self._deflate.inflate(packed, self._config.max_message_size)
        if found.opcode == TEXT:
            check_text(plain)
        items.append((found.opcode, plain, True))
        return stop

    def _continue(self, data: bytes, at: int, items: list[Item]) -> int:
        stop = min(len(data), at + self._left)
        pieces = self._ask(data[at:stop])
        self._left -= stop - at
        for piece in pieces:
            self._deliver(piece, items)
        if not self._left and not self._is_inside:
            self._authority = None
        return stop

    def _ask(self, data: bytes) -> list[Item]:
        if self._authority is None:
            self._authority = Authority(self._deflate, self._config.max_message_size)
        return self._authority.feed(data)

    def _deliver(self, piece: Item, items: list[Item]) -> None:
        kind, payload, eom = piece
        if not self._config.buffer_message:
            if payload or eom:
                items.append(piece)
        elif self._buffer is not None:
            self._buffer += payload
            if eom:
                items.append((kind, bytes(self._buffer), True))
                self._buffer = None
        elif eom:
            items.append(piece)
        else:
            self._buffer = bytearray(payload)
