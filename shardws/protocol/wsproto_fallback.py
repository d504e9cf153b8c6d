"""wsproto, as the fallback for everything unusual: compressed fragments and broken frames.

The one file that imports wsproto. A WsprotoFallback is created when it is needed and dropped at the
next message boundary, because its state takes about 5 KiB; it contains a reference cycle, so the
collector's first generation frees it. Facts about wsproto 1.3.2:

- It reports a close frame and a violation by the same event; only its state tells them apart.
- It bounds nothing: `inbound` feeds it no byte beyond the present frame, and checks sizes first.
- It refuses close code 1014, cannot answer a ping once a close frame went out, and forgets between
  fragments that a message is compressed when a ping comes: of control frames only broken headers
  reach it.
- After a violation it goes on filling its buffer: it is dropped, and its session reads no more.
- Its own PerMessageDeflate inflates without bound and stumbles over final blocks: `Inflating` is
  the extension it gets from us, for messages that come in several frames or reads.
"""

from typing import Final

from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, TextMessage
from wsproto.extensions import Extension
from wsproto.frame_protocol import FrameDecoder, FrameProtocol, Opcode, RsvBits

from shardws.errors import ProtocolError
from shardws.protocol.deflate import NAME, Deflate, Inflation
from shardws.protocol.frames import BINARY, FIN, TEXT, Item, header

NO_KEY: Final = bytes(4)  # a masking key that changes nothing


class Inflating(Extension):
    """permessage-deflate as wsproto calls it, for the inbound side alone.

    Its ProtocolError passes through wsproto as it is, with our close code and words.
    """

    name = NAME

    def __init__(self, deflate: Deflate, limit: int) -> None:
        self._deflate = deflate
        self._limit = limit  # bytes of one message
        self._message: Inflation | None = None  # while a compressed message is in progress
        self._is_inside = False  # a message is in progress, compressed or not
        self._is_control = False

    def enabled(self) -> bool:
        return True

    def offer(self) -> bool:
        return True  # negotiation is done by `deflate`; wsproto wants the method

    def frame_inbound_header(
        self,
        proto: FrameDecoder | FrameProtocol,
        opcode: Opcode,
        rsv: RsvBits,
        payload_length: int,
    ) -> RsvBits:
        """Say which reserved bits we understand (RFC 7692 6: RSV1 on a message's first frame).

        ProtocolError 1002 for a message inside another: wsproto would inflate it first. It calls
        this again while the masking key is incomplete, so nothing may be counted here.
        """
        self._is_control = opcode.iscontrol()
        if self._is_control or opcode is Opcode.CONTINUATION:
            return RsvBits(False, False, False)
        if self._is_inside:
            raise ProtocolError(1002, "expected CONTINUATION, got a new message")
        self._message = Inflation(self._deflate, self._limit) if rsv.rsv1 else None
        return RsvBits(True, False, False)

    def frame_inbound_payload_data(self, proto: FrameDecoder | FrameProtocol, data: bytes) -> bytes:
        """Inflate a piece; ProtocolError 1007 or 1009."""
        if self._is_control:
            return data
        self._is_inside = True
        return data if self._message is None else self._message.feed(data)

    def frame_inbound_complete(
        self, proto: FrameDecoder | FrameProtocol, fin: bool
    ) -> bytes | None:
        """Return what is left at the end of the message; ProtocolError 1007 or 1009."""
        if self._is_control or not fin:
            return None
        message, self._message = self._message, None
        self._is_inside = False
        return None if message is None else message.finish()


class WsprotoFallback:
    """One wsproto connection behind its handshake, fed with part of a client's bytes."""

    __slots__ = ("_connection",)

    def __init__(self, deflate: Deflate | None, limit: int) -> None:
        """`limit`: bytes of one inflated message."""
        extensions: list[Extension] = [] if deflate is None else [Inflating(deflate, limit)]
        self._connection = Connection(ConnectionType.SERVER, extensions)

    def feed(self, data: bytes) -> list[Item]:
        """Return the pieces of data messages in `data`; close frames are judged, not returned.

        ProtocolError with the close code of wsproto's verdict.
        """
        pieces: list[Item] = []
        self._connection.receive_data(data)
        for event in self._connection.events():
            if isinstance(event, TextMessage):
                pieces.append((TEXT, event.data.encode(), event.message_finished))
            elif isinstance(event, BytesMessage):
                pieces.append((BINARY, bytes(event.data), event.message_finished))
            elif (
                isinstance(event, CloseConnection)
                and self._connection.state is ConnectionState.OPEN
            ):
                # Python's own words about bad text are not for a client's eyes.
                reason = "text is not valid UTF-8" if event.code == 1007 else event.reason
                raise ProtocolError(int(event.code), reason or "protocol error")
        return pieces

    def feed_fragment(self, payload: bytes, is_last: bool) -> list[Item]:
        """Feed one continuation frame in place of several: each would cost wsproto 15 us."""
        first, length, *extended = header(FIN if is_last else 0, len(payload))
        return self.feed(bytes((first, length | 0x80, *extended)) + NO_KEY + payload)
