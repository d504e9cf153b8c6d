"""Outgoing messages as frames: fragmentation by MaxFrameSize, parts of one message, control frames.

Owns the first byte of each frame we send; knows no session. A frame is (first byte, payload), as
`codec.join` takes it. Only the first frame of a message carries its opcode and RSV1 (RFC 6455 5.4,
RFC 7692 6).
"""

from typing import Any, Final

from shardws.errors import UsageError
from shardws.protocol.frames import FIN, Frame

MAX_CONTROL: Final = 125  # RFC 6455 5.5
# Well above LARGE_BYTES of net.connection: below that frames go to `codec.join`, which takes bytes
# alone.
VIEWED_BYTES: Final = 128 * 1024


def split(
    first: int, payload: bytes, max_size: int, is_first: bool = True, is_last: bool = True
) -> list[Frame]:
    """Return a message, or a part of one, as frames of at most `max_size` bytes; 0: one frame.

    `first`: the opcode, with RSV1 when the payload is compressed. Of VIEWED_BYTES and more the
    payloads are views: they are copied once, behind their headers.
    """
    lead = first if is_first else 0
    fin = FIN if is_last else 0
    if not max_size or len(payload) <= max_size:
        return [(lead | fin, payload)]
    whole: Any = payload
    if len(payload) >= VIEWED_BYTES:
        whole = memoryview(payload)
    frames: list[Frame] = [
        (0, whole[at : at + max_size]) for at in range(0, len(payload), max_size)
    ]
    frames[0] = (lead, frames[0][1])
    frames[-1] = (fin, frames[-1][1])
    return frames


def control(kind: int, payload: bytes) -> Frame:
    """Return a ping or pong; UsageError 213 when it is too long (RFC 6455 5.5)."""
    if len(payload) > MAX_CONTROL:
        raise UsageError(f"a ping or pong may have {MAX_CONTROL} bytes", code=213)
    return FIN | kind, payload
