"""The Python implementation of the codec: frames in, frames out.

Owns the layout of a frame (RFC 6455 5.2) as a server sees it; knows no session and no wsproto.
`_frames.c` is the other implementation of the same contract, `codec` picks one of the two, and
tests/unit/protocol/test_frames.py runs each case through both.

    byte 0   FIN 80 | RSV1 40 | RSV2 20 | RSV3 10 | opcode 0F
    byte 1   MASK 80 | length 0-125, or 126: two bytes follow, or 127: eight bytes follow
    then     masking key, 4 bytes, on every frame of a client; none on ours

An ordinary frame is what wsproto would surely accept as a whole message: FIN, no RSV bit, text or
binary, masked, its length in the shortest form, within the limit, complete, and valid as UTF-8 when
it is text. `parse` takes the run of those, and of pings and pongs between them, and stops in front
of anything else. `continuations` does the same inside a message that comes in fragments. Both stop
after `limit` items as well: what one call may do is bounded, whatever lies in the buffer.
"""

import codecs
import sys
from collections.abc import Callable
from itertools import repeat
from struct import Struct
from typing import Final, TypeAlias

TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA

FIN: Final = 0x80
RSV1: Final = 0x40
FIN_TEXT: Final = FIN | TEXT
FIN_BINARY: Final = FIN | BINARY
FIN_PING: Final = FIN | PING
FIN_PONG: Final = FIN | PONG

MASKED: Final = 0x80
SHORT_HEADER: Final = 6  # bytes of a header whose length is in its second byte, the key included
MAX_CONTROL: Final = 125  # bytes of a control frame's payload (RFC 6455 5.5)

# (kind, payload, eom): kind 1 text, 2 binary, 8 close, 9 ping, 10 pong
Item: TypeAlias = tuple[int, bytes, bool]
# (first byte, payload) of a frame to send
Frame: TypeAlias = tuple[int, bytes]
# Of an opening request: where it ends, host, origin, key, sub-protocols, extensions
Head: TypeAlias = tuple[int, str, str, str, str, str]

IMPLEMENTATION: Final = "python"
CONTRACT: Final = 4  # one more whenever arguments or results of a function change
NO_LIMIT: Final = sys.maxsize

# Measured on CPython 3.11: one int XOR is faster below, four translates of a quarter each above.
XOR_BELOW: Final = 640
XOR_TABLES: Final = tuple(bytes(a ^ b for a in range(256)) for b in range(256))
# A key as a little-endian number, times REPEAT[n], is the key n times.
REPEAT: Final = tuple(sum(1 << 32 * at for at in range(n)) for n in range(XOR_BELOW // 4 + 2))

from_bytes: Final = int.from_bytes

# By the second byte of a frame, for masked ones of up to 125 bytes: what reads its first byte, key
# (as a little-endian number) and masked payload; sizes of the payload, of the frame, and of the
# payload in whole words; the factor that repeats the key.
Short: TypeAlias = tuple[Callable[[bytes, int], tuple[int, int, bytes]], int, int, int, int]
NOT_SHORT: Final[tuple[Short | None, ...]] = (None,)
SHORT: Final[tuple[Short | None, ...]] = (
    *(NOT_SHORT * 0x80),
    *(
        (
            Struct(f"<BxI{size}s").unpack_from,
            size,
            size + 6,
            (size + 3) & ~3,
            REPEAT[(size + 3) >> 2],
        )
        for size in range(126)
    ),
    *(NOT_SHORT * 2),
)

SENT: Final = (FIN_TEXT, FIN_BINARY, TEXT, BINARY, 0, FIN, FIN | CLOSE, FIN | PING, FIN | PONG)
HEADERS: Final = {first: tuple(bytes((first, size)) for size in range(126)) for first in SENT}


def unmask(data: bytes, start: int, stop: int, key: bytes) -> bytes:
    """Return data[start:stop] XORed with the four bytes of `key`, repeated (RFC 6455 5.3).

    ValueError when the range is not within the data or the key is not four bytes.
    """
    size = stop - start
    if len(key) != 4 or start < 0 or size < 0 or stop > len(data):
        raise ValueError("range or key")
    if size < XOR_BELOW:
        words = (size + 3) >> 2
        mask = from_bytes(key, "little") * REPEAT[words]
        plain = from_bytes(data[start:stop], "little") ^ mask
        return plain.to_bytes(words << 2, "little")[:size]
    lanes = bytearray(data[start:stop])
    for lane in range(4):
        lanes[lane::4] = lanes[lane::4].translate(XOR_TABLES[key[lane]])
    return bytes(lanes)


def parse(
    data: bytes, max_size: int, start: int = 0, limit: int = NO_LIMIT
) -> tuple[list[Item], int, int]:
    """Return the run of ordinary frames, pings and pongs from `start` on.

    (items, position of the first byte not taken, how many of the items are pings or pongs). The run
    ends after `limit` items at the latest. A message has `max_size` bytes at most, a ping or pong
    125. ValueError when `start` is outside the data.
    """
    items: list[Item] = []
    controls = 0
    at = start
    end = len(data)
    if not 0 <= start <= end:
        raise ValueError("start is outside the data")
    last = end - 6
    for _ in repeat(None, max(0, limit)):  # half of what counting it down costs
        if at > last:
            break
        short = SHORT[data[at + 1]]
        if short is not None:
            read, size, whole, padded, factor = short
            stop = at + whole
            if stop > end or (size > max_size and data[at] < FIN_PING):
                break
            first, key, masked = read(data, at)
            plain = from_bytes(masked, "little") ^ key * factor
            payload = plain.to_bytes(padded, "little")[:size]
        else:
            first = data[at]
            if first not in (FIN_TEXT, FIN_BINARY):
                break
            payload, stop = _long(data, at, max_size)
            if not stop:
                break
        if first == FIN_BINARY:
            items.append((BINARY, payload, True))
        elif first == FIN_TEXT and (payload.isascii() or _is_text(payload)):
            items.append((TEXT, payload, True))
        elif first in (FIN_PING, FIN_PONG):
            items.append((first & 0x0F, payload, True))
            controls += 1
        else:
            break
        at = stop
    return items, at, controls


def continuations(
    data: bytes, room: int, start: int = 0, limit: int = NO_LIMIT
) -> tuple[list[bytes], int, bool]:
    """Return the run of continuation frames from `start` on, as the next of a message in progress.

    (payloads, position of the first byte not taken, whether the last one taken ends the message).
    The run ends after `limit` frames, behind one with FIN, and in front of anything that is not a
    continuation frame
    without RSV bits, masked, its length in the shortest form, complete, and within `room`, the
    bytes that all together may have. Text is not checked: a character may go over the edge.
    ValueError when `start` is outside the data.
    """
    payloads: list[bytes] = []
    at = start
    end = len(data)
    if not 0 <= start <= end:
        raise ValueError("start is outside the data")
    last = end - 6
    for _ in repeat(None, max(0, limit)):  # half of what counting it down costs
        if at > last:
            break
        short = SHORT[data[at + 1]]
        if short is not None:
            read, size, whole, padded, factor = short
            stop = at + whole
            if stop > end or size > room:
                break
            first, key, masked = read(data, at)
            plain = from_bytes(masked, "little") ^ key * factor
            payload = plain.to_bytes(padded, "little")[:size]
        else:
            first = data[at]
            if first & ~FIN:
                break
            payload, stop = _long(data, at, room)
            if not stop:
                break
        if first & ~FIN:
            break
        payloads.append(payload)
        room -= len(payload)
        at = stop
        if first:
            return payloads, at, True
    return payloads, at, False


def _is_text(payload: bytes) -> bool:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True


def _long(data: bytes, at: int, max_size: int) -> tuple[bytes, int]:
    """Return the payload of a masked frame of over 125 bytes, and the position behind it.

    (b"", 0) when it is another frame, its length is not in the shortest form, or above `max_size`,
    or it is not whole.
    """
    form = data[at + 1]
    if form == 0xFE:
        body, least = at + 8, 126
        size = data[at + 2] << 8 | data[at + 3]
    elif form == 0xFF:
        body, least = at + 14, 65536
        size = from_bytes(data[at + 2 : at + 10], "big")
    else:
        return b"", 0
    stop = body + size
    if not least <= size <= max_size or stop > len(data):
        return b"", 0
    if size < XOR_BELOW:
        words = (size + 7) >> 2
        masked = from_bytes(data[body - 4 : stop], "little")
        plain = masked ^ (masked & 0xFFFF_FFFF) * REPEAT[words]
        return plain.to_bytes(words << 2, "little")[4 : size + 4], stop
    return unmask(data, body, stop, data[body - 4 : body]), stop


def header(first: int, size: int) -> bytes:
    """Return the header of one of our frames, for a payload of `size` bytes sent behind it."""
    if size < 126:
        return bytes((first, size))
    if size < 65536:
        return bytes((first, 126, size >> 8, size & 0xFF))
    return bytes((first, 127)) + size.to_bytes(8)


def join(frames: list[Frame]) -> bytes:
    """Return the frames, unmasked as a server's are, one behind the other."""
    parts: list[bytes] = []
    for first, payload in frames:
        size = len(payload)
        if size < 126 and first in HEADERS:
            parts.append(HEADERS[first][size])
        else:
            parts.append(header(first, size))
        parts.append(payload)
    return b"".join(parts)


def close_payload(data: bytes) -> bytes | None:
    """Return the payload of a close frame that is all of `data`; None for anything else."""
    size = len(data) - SHORT_HEADER
    if not 0 <= size <= MAX_CONTROL or data[0] != FIN | CLOSE or data[1] != MASKED | size:
        return None
    return unmask(data, SHORT_HEADER, len(data), data[2:SHORT_HEADER])


def head(
    _data: bytes, _max_header_bytes: int, _max_line_bytes: int, _max_headers: int
) -> Head | None:
    """Return None: no opening request is recognised here, `handshake` reads them all.

    In C an ordinary one is, when it is whole and within the limits; None for every other.
    """
    return None


class Filler:
    """The payload of one ordinary frame that arrives in pieces: unmasked and checked as it comes.

    The Python implementation grows a bytearray, so that an announced length alone takes no memory,
    and copies once at the end; the C implementation fills the final bytes object.
    """

    __slots__ = ("_buffer", "_decoder", "_key", "missing")

    def __init__(self, kind: int, size: int, key: bytes) -> None:
        if size < 0 or len(key) != 4:
            raise ValueError("size or key")
        self.missing = size
        self._key = key
        self._buffer = bytearray()
        self._decoder = codecs.getincrementaldecoder("utf-8")() if kind == TEXT else None

    def feed(self, data: bytes, start: int) -> int:
        """Take what is missing from data[start:]; return the position behind it.

        ValueError when text cannot become valid UTF-8 any more.
        """
        if not 0 <= start <= len(data):
            raise ValueError("start is outside the data")
        stop = min(len(data), start + self.missing)
        piece = unmask(data, start, stop, self._key)
        turn = (stop - start) & 3
        self._key = self._key[turn:] + self._key[:turn]
        self.missing -= stop - start
        self._buffer += piece
        if self._decoder is not None:
            self._decoder.decode(piece)
        return stop

    def taken(self) -> bytes:
        """Return the payload bytes that are here."""
        return bytes(self._buffer)

    def finish(self) -> bytes:
        """Return the payload; ValueError while bytes are missing or inside a character."""
        if self.missing:
            raise ValueError("bytes are missing")
        if self._decoder is not None:
            self._decoder.decode(b"", True)
        return bytes(self._buffer)
