"""The Python body of the codec: frames in, frames out.

Owns the layout of a frame (RFC 6455 5.2) as a server sees it; knows no session and no wsproto.
`_frames.c` is the other body of the same contract, `codec` picks one of the two, and
tests/unit/protocol/test_frames.py runs each case through both.

    byte 0   FIN 80 | RSV1 40 | RSV2 20 | RSV3 10 | opcode 0F
    byte 1   MASK 80 | length 0-125, or 126: two bytes follow, or 127: eight bytes follow
    then     masking key, 4 bytes, on every frame of a client; none on ours

An ordinary frame is what wsproto would surely accept as a whole message: FIN, no RSV bit, text or
binary, masked, its length in the shortest form, within the limit, complete, and valid as UTF-8 when
it is text. `parse` takes the run of those and stops in front of anything else.
"""

import codecs
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

# (kind, payload, eom): kind 1 text, 2 binary, 8 close, 9 ping, 10 pong
Item: TypeAlias = tuple[int, bytes, bool]
# (first byte, payload) of a frame to send
Frame: TypeAlias = tuple[int, bytes]

BODY: Final = "python"

# Measured on CPython 3.11: one int XOR is faster below, four translates of a quarter each above.
XOR_BELOW: Final = 640
XOR_TABLES: Final = tuple(bytes(a ^ b for a in range(256)) for b in range(256))


def unmask(data: bytes, start: int, stop: int, key: bytes) -> bytes:
    """Return data[start:stop] XORed with the four bytes of `key`, repeated (RFC 6455 5.3).

    ValueError when the range is not within the data or the key is not four bytes.
    """
    size = stop - start
    if len(key) != 4 or start < 0 or size < 0 or stop > len(data):
        raise ValueError("range or key")
    if size < XOR_BELOW:
        mask = int.from_bytes((key * ((size + 3) >> 2))[:size])
        return (int.from_bytes(data[start:stop]) ^ mask).to_bytes(size)
    plain = bytearray(data[start:stop])
    for lane in range(4):
        plain[lane::4] = plain[lane::4].translate(XOR_TABLES[key[lane]])
    return bytes(plain)


def parse(data: bytes, max_size: int, start: int = 0) -> tuple[list[Item], int]:
    """Return the ordinary frames from `start` on, and the position of the first byte not taken.

    ValueError when `start` is outside the data.
    """
    items: list[Item] = []
    at = start
    end = len(data)
    if not 0 <= start <= end:
        raise ValueError("start is outside the data")
    while end - at >= 6:
        first = data[at]
        if first != FIN_TEXT and first != FIN_BINARY:
            break
        size = data[at + 1] - 0x80
        if 0 <= size < 126:
            body = at + 6
        elif size == 126:
            body = at + 8
            size = data[at + 2] << 8 | data[at + 3]
            if size < 126:
                break
        elif size == 127:
            body = at + 14
            size = int.from_bytes(data[at + 2 : at + 10])
            if size < 65536:
                break
        else:
            break
        stop = body + size
        if stop > end or size > max_size:
            break
        payload = unmask(data, body, stop, data[body - 4 : body])
        if first == FIN_TEXT:
            try:
                payload.decode()
            except UnicodeDecodeError:
                break
        items.append((first & 0x0F, payload, True))
        at = stop
    return items, at


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
        parts.append(header(first, len(payload)))
        parts.append(payload)
    return b"".join(parts)


class Filler:
    """The payload of one ordinary frame that arrives in pieces: unmasked and checked as it comes.

    The Python body grows a bytearray, so that an announced length alone takes no memory, and copies
    once at the end; the C body fills the final bytes object.
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

    def finish(self) -> bytes:
        """Return the payload; ValueError while bytes are missing or inside a character."""
        if self.missing:
            raise ValueError("bytes are missing")
        if self._decoder is not None:
            self._decoder.decode(b"", True)
        return bytes(self._buffer)
