"""wsproto alone as the reference of the differential tests: what does it make of a stream?

Its own traps are marked, so that a stream that springs one can be told from a fault of ours:
`is_trapped` is set when a final block or a control frame inside a compressed message upset it.
"""

from dataclasses import dataclass, field

from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage
from wsproto.extensions import PerMessageDeflate
from wsproto.frame_protocol import CloseReason, FrameDecoder, FrameProtocol, Opcode, RsvBits

from shardws.protocol.session import Session
from tests.unit.protocol.client_frames import read


@dataclass
class Decoded:
    """What a stream tells: whole messages and control frames, a rest, and the end."""

    frames: list[tuple[int, bytes]] = field(default_factory=list)
    rest: bytes = b""  # of a message in progress, as far as it was passed on
    code: int | None = None  # of the end; None: still open
    is_violation: bool = False
    reason: str = ""


class ObservedDeflate(PerMessageDeflate):
    """wsproto's extension, which tells when one of its own faults took effect."""

    def __init__(self) -> None:
        super().__init__(client_no_context_takeover=True, server_no_context_takeover=True)
        self._enabled = True
        self.is_trapped = False

    def frame_inbound_header(
        self,
        proto: FrameDecoder | FrameProtocol,
        opcode: Opcode,
        rsv: RsvBits,
        payload_length: int,
    ) -> CloseReason | RsvBits:
        self.is_trapped |= opcode.iscontrol() and bool(self._inbound_compressed)
        return super().frame_inbound_header(proto, opcode, rsv, payload_length)

    def frame_inbound_payload_data(
        self, proto: FrameDecoder | FrameProtocol, data: bytes
    ) -> bytes | CloseReason:
        found = super().frame_inbound_payload_data(proto, data)
        self.is_trapped |= self._decompressor is not None and self._decompressor.eof
        return found

    def frame_inbound_complete(
        self, proto: FrameDecoder | FrameProtocol, fin: bool
    ) -> bytes | CloseReason | None:
        inflater = self._decompressor
        found = super().frame_inbound_complete(proto, fin)
        self.is_trapped |= inflater is not None and inflater.eof
        return found


class ReferenceDecoder:
    """One stream through wsproto."""

    def __init__(self, is_compressed: bool = False) -> None:
        self.extension = ObservedDeflate() if is_compressed else None
        extensions = [] if self.extension is None else [self.extension]
        self.connection = Connection(ConnectionType.SERVER, list(extensions))

    @property
    def is_trapped(self) -> bool:
        return self.extension is not None and self.extension.is_trapped

    def decode(self, data: bytes) -> Decoded:
        """Read the whole stream at once."""
        decoded = Decoded()
        self.connection.receive_data(data)
        for event in self.connection.events():
            match event:
                case Ping(payload=payload):
                    decoded.frames.append((9, bytes(payload)))
                case Pong(payload=payload):
                    decoded.frames.append((10, bytes(payload)))
                case TextMessage():
                    self._message(decoded, 1, event.data.encode(), event.message_finished)
                case BytesMessage():
                    self._message(decoded, 2, bytes(event.data), event.message_finished)
                case CloseConnection(code=code, reason=reason):
                    decoded.code, decoded.reason = int(code), reason or ""
                    decoded.is_violation = self.connection.state is ConnectionState.OPEN
        return decoded

    @staticmethod
    def _message(decoded: Decoded, kind: int, payload: bytes, is_last: bool) -> None:
        decoded.rest += payload
        if is_last:
            decoded.frames.append((kind, decoded.rest))
            decoded.rest = b""


def decode(session: Session, data: bytes, cuts: list[int]) -> Decoded:
    """Read the stream with one of our sessions, in reads of the sizes of `cuts`, over and over."""
    decoded = Decoded()
    at = turn = 0
    while at < len(data):
        size = max(1, cuts[turn % len(cuts)]) if cuts else len(data)
        for kind, payload, eom in read(session, data[at : at + size]):
            if kind == 8:
                continue
            if kind >= 9:
                decoded.frames.append((kind, payload))
                continue
            decoded.rest += payload
            if eom:
                decoded.frames.append((kind, decoded.rest))
                decoded.rest = b""
        at += size
        turn += 1
    if session.ending is not None:
        decoded.code, decoded.reason = session.ending.code, session.ending.reason
        decoded.is_violation = session.ending.error is not None
    return decoded


def agree(
    ours: Decoded, theirs: Decoded, reference_decoder: ReferenceDecoder, is_buffered: bool
) -> bool:
    """Tell whether both results agree, or differ by one of the known differences only."""
    if reference_decoder.is_trapped:
        return True
    if "reserved code" in theirs.reason and (ours.code == 1014 or "reason" in ours.reason):
        return ours.frames == theirs.frames  # IANA's 1014, which wsproto refuses
    if ours.is_violation and "inside a block" in ours.reason:
        return ours.frames == theirs.frames[: len(ours.frames)]  # wsproto passes on half a message
    if ours.is_violation and ours.reason.startswith("expected CONTINUATION"):
        # It inflates the new message first, or waits for its first byte.
        return ours.frames == theirs.frames and theirs.code in (None, 1002, 1007)
    if is_buffered and ours.is_violation and ours.code == 1009:
        # It waits for the announced bytes, or looks at those that are there.
        return ours.frames == theirs.frames and theirs.code in (None, 1002, 1007)
    # Ahead of bytes that end the session, what was passed on depends on how they were cut.
    same_rest = is_buffered or ours.is_violation or ours.rest == theirs.rest
    return (ours.frames, ours.code, ours.is_violation, same_rest) == (
        theirs.frames,
        theirs.code,
        theirs.is_violation,
        True,
    )
