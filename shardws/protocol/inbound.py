"""What a session holds of its peer's bytes while it is not at rest, and who gets which frame.

Owns the rest of a frame or message in progress; knows the limits, but no replies and no states.
At rest (at a frame boundary, no message in progress) a session has no Inbound. Who gets what:

    ordinary, whole             codec.parse: the fast lane
    plain, not whole yet        reassembly: in several reads, in several frames, or in both
    ping, pong, close           here: every connection has them; wsproto could not answer a ping
                                after our close frame, and refuses close code 1014
    compressed, one whole frame deflate
    all else                    wsproto_fallback: compressed fragments, the verdict on broken frames

It stops where a slice is full (see `slices`): every frame header counts, and what is inflated.

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
from shardws.protocol.slices import FALLBACK, INFLATED, Slice
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

    @property
    def held(self) -> int:
        """Bytes that are held of a message in progress."""
        frame = self._reassembly
        return self._delivery.held + (frame.held if frame is not None else 0)

    @property
    def received(self) -> bytes | None:
        """What is held, as the peer sent it; None within a message that cannot be read again."""
        if self._message is not None or self._is_inside or self._left:
            return None
        return self.tail if self._reassembly is None else self._reassembly.received

    @property
    def in_progress(self) -> object:
        """What stands for the message in progress, the same object until its end; None: none."""
        return self._message or self._fallback or self._reassembly

    def receive(self, data: bytes, at: int, part: Slice) -> tuple[bytes, int]:
        """Read data[at:] until `part` is full; ProtocolError for a violation.

        Returns data, and the position in it of the first byte that was not read; it is other data
        when the beginning of a frame had been kept. Stops behind a close frame; its item carries
        the payload.
        """
        if self.tail:
            data, at = self.tail + data[at:], 0
            self.tail = b""
        while at < len(data) and not self.is_over and not part.is_full:
            if self._reassembly is not None:
                at = self._reassembly.take(data, at, part.items)
                self._settle(self._reassembly)
            elif self._left:
                at = self._continue(data, at, part)
            else:
                at = self._begin(data, at, part)
        return data, at

    def _settle(self, reassembly: Reassembly) -> None:
        """Wait for the rest of a frame, and of its message, or for nothing more."""
        self._reassembly = reassembly if reassembly.missing else None
        if self._message is not None and self._message.is_over:
            self._message = None

    def _begin(self, data: bytes, at: int, part: Slice) -> int:
        if self._message is not None:
            at = self._message.take_run(data, at, part)
            if self._message.is_over:
                self._message = None
                return at
        elif self._fallback is not None:
            at = self._ask_run(self._fallback, data, at, part)
            if not self._is_inside:
                return at
        else:
            run, at, controls = codec.parse(data, self._config.max_message_size, at, part.left)
            part.items += run
            part.controls += controls
            part.units -= len(run)
        if part.is_full:
            return at
        found = frame_header.read(data, at, self._deflate is not None)
        if found is None:
            self.tail = data[at:]
            return len(data)
        if not found.is_sound:
            self._ask(data[at : at + found.size])
            raise ProtocolError(1002, "broken frame header")
        part.units -= 1
        if found.opcode >= CLOSE:
            return self._control(data, at, found, part)
        if not found.length and not found.is_final:
            part.empty += 1
        return self._data(data, at, found, part)

    def _control(self, data: bytes, at: int, found: FrameHeader, part: Slice) -> int:
        body = at + found.size
        stop = body + found.length
        if stop > len(data):
            self.tail = data[at:]
            return len(data)
        payload = codec.unmask(data, body, stop, data[body - 4 : body])
        if found.opcode == CLOSE:
            closing.unpack(payload)  # the verdict; wsproto refuses 1014 and costs 20 us
            self.is_over = True
        else:
            part.controls += 1
        part.items.append((found.opcode, payload, True))
        return stop

    def _data(self, data: bytes, at: int, found: FrameHeader, part: Slice) -> int:
        body = at + found.size
        stop = body + found.length
        if self._message is not None:
            if found.opcode != CONTINUATION:
                raise ProtocolError(1002, "expected CONTINUATION, got a new message")
            return self._fragment(self._message, data, body, found, part)
        if not self._is_inside and found.opcode != CONTINUATION:  # else the fallback objects
            if not found.is_compressed:
                return self._plain(data, body, found, part)
            if found.is_final and stop <= len(data):
                return self._inflate(data, body, found, part)
        self._is_inside = not found.is_final
        self._left = stop - at
        return self._continue(data, at, part)

    def _plain(self, data: bytes, body: int, found: FrameHeader, part: Slice) -> int:
        """Begin an uncompressed message; the fast lane has refused it."""
        limit = self._config.max_message_size
        if found.is_final and self._delivery.is_kept:
            if found.length > limit:
                raise too_large(limit)
            self._reassembly = Whole(found.opcode, found.length, data[body - 4 : body])
            return body
        self._message = Message(found.opcode, limit, self._delivery)
        return self._fragment(self._message, data, body, found, part)

    def _fragment(
        self, message: Message, data: bytes, body: int, found: FrameHeader, part: Slice
    ) -> int:
        message.begin(found.length, data[body - 4 : body], found.is_final)
        at = message.take(data, body, part.items)
        self._settle(message)
        return at

    def _inflate(self, data: bytes, body: int, found: FrameHeader, part: Slice) -> int:
        assert self._deflate is not None
        stop = body + found.length
        packed = codec.unmask(data, body, stop, data[body - 4 : body])
        plain = self._deflate.inflate(packed, self._config.max_message_size)
        if found.opcode == TEXT:
            check_text(plain)
        part.items.append((found.opcode, plain, True))
        part.units -= INFLATED
        part.room -= len(plain)
        return stop

    def _ask_run(self, fallback: WsprotoFallback, data: bytes, at: int, part: Slice) -> int:
        """Put several whole fragments of the fallback's message before it as one."""
        payloads, stop, is_last = codec.continuations(data, len(data), at, part.units)
        if len(payloads) < 2:
            return at
        self._is_inside = not is_last
        part.units -= len(payloads)
        part.empty += payloads.count(b"") - (is_last and not payloads[-1])
        self._hear(fallback.feed_fragment(b"".join(payloads), is_last), part)
        return stop

    def _continue(self, data: bytes, at: int, part: Slice) -> int:
        stop = min(len(data), at + self._left)
        pieces = self._ask(data[at:stop])
        self._left -= stop - at
        self._hear(pieces, part)
        return stop

    def _hear(self, pieces: list[Item], part: Slice) -> None:
        part.units -= FALLBACK
        for kind, payload, eom in pieces:
            part.room -= len(payload)
            self._delivery.add(kind, payload, eom, part.items)
        if not self._left and not self._is_inside:
            self._fallback = None

    def _ask(self, data: bytes) -> list[Item]:
        if self._fallback is None:
            self._fallback = WsprotoFallback(self._deflate, self._config.max_message_size)
        return self._fallback.feed(data)
