"""wsproto alone, as the oracle of the differential tests: what does it make of a stream?

Its own traps are marked, so that a stream that springs one can be told from a fault of ours:
`is_trapped` is set when a final block or a control frame inside a compressed message upset it.
"""

from dataclasses import dataclass, field

from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage
from wsproto.extensions import PerMessageDeflate
from wsproto.frame_protocol import CloseReason, FrameDecoder, FrameProtocol, Opcode, RsvBits

from shardws.protocol.session import Session
from tests.unit.protocol.client import read


@dataclass
class Story:
    """What a stream tells: whole messages and control frames, a rest, and the end."""

    told: list[tuple[int, bytes]] = field(default_factory=list)
    rest: bytes = b""  # of a message in progress, as far as it was passed on
    code: int | None = None  # of the end; None: still open
    is_violation: bool = False
    words: str = ""


class Watched(PerMessageDeflate):
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


class Oracle:
    """One stream through wsproto."""

    def __init__(self, is_compressed: bool = False) -> None:
        self.extension = Watched() if is_compressed else None
        extensions = [] if self.extension is None else [self.extension]
        self.connection = Connection(ConnectionType.SERVER, list(extensions))

    @property
    def is_trapped(self) -> bool:
        return self.extension is not None and self.extension.is_trapped

    def hear(self, data: bytes) -> Story:
        """Read the whole stream at once."""
        story = Story()
        self.connection.receive_data(data)
        for event in self.connection.events():
            match event:
                case Ping(payload=payload):
                    story.told.append((9, bytes(payload)))
                case Pong(payload=payload):
                    story.told.append((10, bytes(payload)))
                case TextMessage():
                    self._message(story, 1, event.data.encode(), event.message_finished)
                case BytesMessage():
                    self._message(story, 2, bytes(event.data), event.message_finished)
                case CloseConnection(code=code, reason=reason):
                    story.code, story.words = int(code), reason or ""
                    story.is_violation = self.connection.state is ConnectionState.OPEN
        return story

    @staticmethod
    def _message(story: Story, kind: int, payload: bytes, is_last: bool) -> None:
        story.rest += payload
        if is_last:
            story.told.append((kind, story.rest))
            story.rest = b""


def hear(session: Session, data: bytes, cuts: list[int]) -> Story:
    """Read the stream with one of our sessions, in reads of the sizes of `cuts`, over and over."""
    story = Story()
    at = turn = 0
    while at < len(data):
        size = max(1, cuts[turn % len(cuts)]) if cuts else len(data)
        for kind, payload, eom in read(session, data[at : at + size]):
            if kind == 8:
                continue
            if kind >= 9:
                story.told.append((kind, payload))
                continue
            story.rest += payload
            if eom:
                story.told.append((kind, story.rest))
                story.rest = b""
        at += size
        turn += 1
    if session.ending is not None:
        story.code, story.words = session.ending.code, session.ending.reason
        story.is_violation = session.ending.error is not None
    return story


def explains(ours: Story, theirs: Story, oracle: Oracle, is_buffered: bool) -> bool:
    """Tell whether the stories agree, or differ by one of the known differences only."""
    if oracle.is_trapped:
        return True
    if "reserved code" in theirs.words and (ours.code == 1014 or "reason" in ours.words):
        return ours.told == theirs.told  # IANA's 1014, which wsproto refuses
    if ours.is_violation and "inside a block" in ours.words:
        return ours.told == theirs.told[: len(ours.told)]  # wsproto passes on half a message
    if ours.is_violation and ours.words.startswith("expected CONTINUATION"):
        # It inflates the new message first, or waits for its first byte.
        return ours.told == theirs.told and theirs.code in (None, 1002, 1007)
    if is_buffered and ours.is_violation and ours.code == 1009:
        # It waits for the announced bytes, or looks at those that are there.
        return ours.told == theirs.told and theirs.code in (None, 1002, 1007)
    # Ahead of bytes that end the session, what was passed on depends on how they were cut.
    same_rest = is_buffered or ours.is_violation or ours.rest == theirs.rest
    return (ours.told, ours.code, ours.is_violation, same_rest) == (
        theirs.told,
        theirs.code,
        theirs.is_violation,
        True,
    )
