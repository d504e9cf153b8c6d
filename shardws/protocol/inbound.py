"""What a session holds of its peer's bytes while it is not at rest, and who gets which frame.

Owns the rest of a frame or message in progress; knows the limits, but no replies and no states.
At rest (at a frame boundary, no message in progress) a session has no Inbound. Who gets what:

    ordinary, whole             codec.parse: the fast lane
    plain, not whole yet        reassembly: in several reads, in several frames, or in both
    ping, pong, close           here: every connection has them; wsproto could not answer a ping
                                after our close frame, and refuses close code 1014
    compressed, one whole frame deflate
    all else                    wsproto_fallback: compressed fragments, the verdict on broken frames

Bounds: a header or a control frame in progress is at most 131 bytes; a message never exceeds
max_message_size, which is checked at the header, so before anything is allocated, and again while a
compressed message inflates.
"""

from shardws.errors import ProtocolError
from shardws.protocol import closing, codec, frame_header
from shardws.protocol.deflate import Deflate
from shardws.protocol.frame_header import CONTINUATION, FrameHeader
from shardws.protocol.frames import CLOSE, TEXT, Item
from shardws.protocol.reassembly import Delivery, Message, Reassembly, Whole, check_text, too_large
from shardws.protocol.session_config import SessionConfig
from shardws.protocol.wsproto_fallback import WsprotoFallback


class Inbound:
    """The frames of one client behind the fast lane."""

    __slots__ = (
        "_config",
        "_deflate",
        "_delivery",
        "_fallback",
        "_is_inside",
        "_left",
        "_message",
        "_reassembly",
        "is_over",
        "tail",
    )

    def __init__(self, config: SessionConfig, deflate: Deflate | None, tail: bytes = b"") -> None:
        self._config = config
        self._deflate = deflate
        self._delivery = Delivery(config.buffer_message)
        self._message: Message | None = None  # uncompressed, in progress
        self._reassembly: Reassembly | None = (
            None  # of the frame in progress, alone or in that message
        )
        self._fallback: WsprotoFallback | None = None
        self._is_inside = False  # between two fragments of a message of the fallback's
        self._left = 0  # payload bytes of the fallback's frame still to come
        self.tail = tail  # a header, or a control frame, that is not whole yet
        self.is_over = False  # the peer's close frame was read

    @property
    def is_between_messages(self) -> bool:
        """At rest, but for the bytes in `tail`."""
        is_in_message = self._message is not None or self._is_inside
        return self._reassembly is None and not self._left and not is_in_message

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
            if self._reassembly is not None:
                at = self._reassembly.take(data, at, items)
                self._settle(self._reassembly)
            elif self._left:
                at = self._continue(data, at, items)
            else:
                at = self._begin(data, at, items)

    def _settle(self, reassembly: Reassembly) -> None:
        """Wait for the rest of a frame, and of its message, or for nothing more."""
        self._reassembly = reassembly if reassembly.missing else None
        if self._message is not None and self._message.is_over:
            self._message = None

    def _begin(self, data: bytes, at: int, items: list[Item]) -> int:
        if self._message is not None:
            at = self._message.take_run(data, at, items)
            if self._message.is_over:
                self._message = None
                return at
        elif self._fallback is not None:
            at = self._ask_run(self._fallback, data, at, items)
            if not self._is_inside:
                return at
        else:
            run, at = codec.parse(data, self._config.max_message_size, at)
            items += run
        found = frame_header.read(data, at, self._deflate is not None)
        if found is None:
            self.tail = data[at:]
            return len(data)
        if not found.is_sound:
            self._ask(data[at : at + found.size])
            raise ProtocolError(1002, "broken frame header")
        if found.opcode >= CLOSE:
            return self._control(data, at, found, items)
        return self._data(data, at, found, items)

    def _control(self, data: bytes, at: int, found: FrameHeader, items: list[Item]) -> int:
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

    def _data(self, data: bytes, at: int, found: FrameHeader, items: list[Item]) -> int:
        body = at + found.size
        stop = body + found.length
        if self._message is not None:
            if found.opcode != CONTINUATION:
                raise ProtocolError(1002, "expected CONTINUATION, got a new message")
            return self._fragment(self._message, data, body, found, items)
        if not self._is_inside and found.opcode != CONTINUATION:  # else the fallback objects
            if not found.is_compressed:
                return self._plain(data, body, found, items)
            if found.is_final and stop <= len(data):
                return self._inflate(data, body, found, items)
        self._is_inside = not found.is_final
        self._left = stop - at
        return self._continue(data, at, items)

    def _plain(self, data: bytes, body: int, found: FrameHeader, items: list[Item]) -> int:
        """Begin an uncompressed message; the fast lane has refused it."""
        limit = self._config.max_message_size
        if found.is_final and self._delivery.is_kept:
            if found.length > limit:
                raise too_large(limit)
            self._reassembly = Whole(found.opcode, found.length, data[body - 4 : body])
            return body
        self._message = Message(found.opcode, limit, self._delivery)
        return self._fragment(self._message, data, body, found, items)

    def _fragment(
        self, message: Message, data: bytes, body: int, found: FrameHeader, items: list[Item]
    ) -> int:
        message.begin(found.length, data[body - 4 : body], found.is_final)
        at = message.take(data, body, items)
        self._settle(message)
        return at

    def _inflate(self, data: bytes, body: int, found: FrameHeader, items: list[Item]) -> int:
        assert self._deflate is not None
        stop = body + found.length
        packed = codec.unmask(data, body, stop, data[body - 4 : body])
        plain = self._deflate.inflate(packed, self._config.max_message_size)
        if found.opcode == TEXT:
            check_text(plain)
        items.append((found.opcode, plain, True))
        return stop

    def _ask_run(self, fallback: WsprotoFallback, data: bytes, at: int, items: list[Item]) -> int:
        """Put several whole fragments of the fallback's message before it as one."""
        payloads, stop, is_last = codec.continuations(data, len(data), at)
        if len(payloads) < 2:
            return at
        self._is_inside = not is_last
        self._hear(fallback.feed_fragment(b"".join(payloads), is_last), items)
        return stop

    def _continue(self, data: bytes, at: int, items: list[Item]) -> int:
        stop = min(len(data), at + self._left)
        pieces = self._ask(data[at:stop])
        self._left -= stop - at
        self._hear(pieces, items)
        return stop

    def _hear(self, pieces: list[Item], items: list[Item]) -> None:
        for kind, payload, eom in pieces:
            self._delivery.add(kind, payload, eom, items)
        if not self._left and not self._is_inside:
            self._fallback = None

    def _ask(self, data: bytes) -> list[Item]:
        if self._fallback is None:
            self._fallback = WsprotoFallback(self._deflate, self._config.max_message_size)
        return self._fallback.feed(data)
