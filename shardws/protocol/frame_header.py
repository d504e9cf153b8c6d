"""Where an incoming frame ends and whose it is: the header, as far as the bookkeeping needs it.

Owns the reading of a header (RFC 6455 5.2); knows no session. It gives no verdicts: a header that
is not sound is handed to wsproto, which says what is wrong. It reports as early as wsproto can
tell, so that a broken header is answered at the same byte, however its bytes arrive.
"""

from typing import Final, NamedTuple

from shardws.protocol.frames import CLOSE, FIN, RSV1, header

RSV: Final = 0x70
CONTINUATION: Final = 0x0
DATA_OPCODES: Final = (0x0, 0x1, 0x2)
CONTROL_OPCODES: Final = (0x8, 0x9, 0xA)


class FrameHeader(NamedTuple):
    """A header; when it is not sound, only `size` is meaningful: the bytes that show it."""

    first: int  # FIN, RSV and opcode as they came
    size: int  # bytes of the header itself, the key included
    length: int  # bytes of the payload
    is_sound: bool

    @property
    def opcode(self) -> int:
        return self.first & 0x0F

    @property
    def is_final(self) -> bool:
        return bool(self.first & FIN)

    @property
    def is_compressed(self) -> bool:
        return bool(self.first & RSV1)


def masked(first: int, size: int, key: bytes) -> bytes:
    """Return the header of a client's frame (RFC 6455 5.2)."""
    plain = bytearray(header(first, size))
    plain[1] |= 0x80
    return bytes(plain) + key


def read(data: bytes, at: int, takes_rsv1: bool) -> FrameHeader | None:
    """Return the header at `at`; None while bytes are missing.

    `takes_rsv1`: permessage-deflate was negotiated, so RSV1 may stand on the first frame of a
    message (RFC 7692 6). A sound header is whole, its key included.
    """
    there = len(data) - at
    if there < 2:
        return None
    first, second = data[at], data[at + 1]
    opcode, short = first & 0x0F, second & 0x7F
    if opcode >= CLOSE:
        if opcode not in CONTROL_OPCODES or not first & FIN or short > 125:
            return FrameHeader(first, 2, 0, False)
    elif opcode not in DATA_OPCODES:
        return FrameHeader(first, 2, 0, False)
    size, length, least = 2, short, 0
    if short == 126:
        size, least = 4, 126
    elif short == 127:
        size, least = 10, 65536
    if there < size:
        return None
    if least:
        length = int.from_bytes(data[at + 2 : at + size])
    allowed = RSV1 if takes_rsv1 and opcode in (1, 2) else 0
    if not least <= length < 1 << 63 or first & RSV & ~allowed or not second & 0x80:
        return FrameHeader(first, size, 0, False)
    if there < size + 4:
        return None
    return FrameHeader(first, size + 4, length, True)
