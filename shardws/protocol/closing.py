"""How a connection ends: the close handshake as a table (RFC 6455 sections 5.5.1 and 7).

Owns the states, the table, and the payload of a close frame; knows no frames and no TCP. Facts to
have before reading:

- A close frame is never answered twice, and nothing is read behind the peer's.
- What the application is told follows RFC 6455 7.1.5: the code in the first close frame received.
  One refinement: when our frame went first and the answer carries no code, it is told our own.
- Both sides closing at once looks to each like an answer with another code than expected.
- 1005 and 1006 are only ever told, never sent. A peer that never answers counts as lost.
"""

import enum
import struct
from dataclasses import dataclass
from typing import Final, NamedTuple

from shardws.errors import ProtocolError, UsageError, is_sendable_close_code

MAX_REASON: Final = 123  # bytes: a control frame carries 125 (RFC 6455 5.5), two are the code
NO_CODE: Final = 1005
ABNORMAL: Final = 1006


class State(enum.IntEnum):
    """Where a session is."""

    OPEN = 1
    CLOSING = 2  # our close frame is out, the peer's is not here yet
    CLOSED = 3  # write the replies, then end TCP; nothing is read any more


class Cause(enum.Enum):
    """What happens to a session that may end it."""

    __hash__ = object.__hash__  # TABLE is read for each connection; an enumeration's is in Python

    PEER = "the peer's close frame arrives"
    PEER_BARE = "the peer's close frame arrives without a code"
    OWN = "the application closes"
    OWN_AT_ONCE = "the application closes and does not wait for the peer's frame"
    VIOLATION = "the peer breaks the protocol or a limit"
    LOST = "TCP ends, or the peer did not answer in time"


class Source(enum.Enum):
    """Where a code comes from: the one that is sent, or the one the application is told."""

    NOTHING = "nothing"
    PEER = "the peer's frame"
    BARE = "a close frame without a code"
    OWN = "the application's call"
    VERDICT = "the violation"
    ABNORMAL = "1006"
    NO_CODE = "1005"


@dataclass(frozen=True, slots=True)
class Row:
    """One row of TABLE: what follows from a cause in a state."""

    sent: Source
    state: State
    told: Source
    is_clean: bool  # both close frames were exchanged


_OPEN, _CLOSING, _CLOSED = State.OPEN, State.CLOSING, State.CLOSED
_NOTHING = Source.NOTHING
_BARE: Final = Source.BARE
_PEER: Final = Source.PEER

# (state, cause) -> what follows. A pair that is not here changes nothing.
TABLE: Final[dict[tuple[State, Cause], Row]] = {
    (_OPEN, Cause.PEER): Row(Source.PEER, _CLOSED, Source.PEER, True),
    (_OPEN, Cause.PEER_BARE): Row(Source.BARE, _CLOSED, Source.NO_CODE, True),
    (_OPEN, Cause.OWN): Row(Source.OWN, _CLOSING, _NOTHING, False),
    (_OPEN, Cause.OWN_AT_ONCE): Row(Source.OWN, _CLOSED, Source.OWN, False),
    (_OPEN, Cause.VIOLATION): Row(Source.VERDICT, _CLOSED, Source.VERDICT, False),
    (_OPEN, Cause.LOST): Row(_NOTHING, _CLOSED, Source.ABNORMAL, False),
    (_CLOSING, Cause.PEER): Row(_NOTHING, _CLOSED, Source.PEER, True),
    (_CLOSING, Cause.PEER_BARE): Row(_NOTHING, _CLOSED, Source.OWN, True),
    (_CLOSING, Cause.VIOLATION): Row(_NOTHING, _CLOSED, Source.VERDICT, False),
    (_CLOSING, Cause.LOST): Row(_NOTHING, _CLOSED, Source.ABNORMAL, False),
}


class Ending(NamedTuple):
    """What the application is told of the end of a connection."""

    code: int
    reason: str
    is_clean: bool
    error: ProtocolError | None = None  # set for a violation


def pack(code: int, reason: str) -> bytes:
    """Return the payload of a close frame; a long reason is cut at a character (RFC 6455 5.5.1)."""
    text = reason.encode()
    if len(text) > MAX_REASON:
        text = text[:MAX_REASON].decode(errors="ignore").encode()
    return struct.pack("!H", code) + text


def payload_of(sent: Source, code: int, reason: str) -> bytes:
    """Return the payload of the close frame that a row of TABLE sends.

    The answer to the peer's frame carries its code, not its reason (RFC 6455 5.5.1).
    """
    if sent is _BARE:
        return b""
    return pack(code, "" if sent is _PEER else reason)


def unpack(payload: bytes) -> tuple[int, str]:
    """Return code and reason of a close frame's payload; (1005, "") when it is empty.

    ProtocolError 1002 for one byte or a code that must not be sent, 1007 for a bad reason.
    """
    if not payload:
        return NO_CODE, ""
    if len(payload) == 1:
        raise ProtocolError(1002, "close frame with one byte")
    code = payload[0] << 8 | payload[1]
    if not is_sendable_close_code(code):
        raise ProtocolError(1002, f"close frame with code {code}")
    try:
        return code, payload[2:].decode()
    except UnicodeDecodeError:
        raise ProtocolError(1007, "close reason is not UTF-8") from None


def check(code: int, reason: str) -> None:
    """Refuse what a close frame of ours cannot carry: UsageError 213."""
    if not is_sendable_close_code(code):
        raise UsageError(f"close code {code} cannot be sent", code=213)
    if len(reason.encode()) > MAX_REASON:
        raise UsageError(f"a close reason may have {MAX_REASON} bytes of UTF-8", code=213)
