"""Generates streams that a client might send, valid, odd and broken, from a source of bytes.

The source is a random generator or a fuzzer's input, so that both make the same kinds of stream.
"""

import random
import zlib
from typing import Protocol

from tests.unit.protocol.client_frames import close, frame

TEXTS = (
    "",
    "a",
    "hello",
    "grüße",
    "日本語",
    "😀",
    "\x7f\x80\u07ff\u0800\uffff\U0010ffff",
    "x" * 130,
)
BAD_TEXTS = (b"\xff", b"a\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\x80", b"\xe2\x82")
FIRSTS = (0x81, 0x82, 0x01, 0x02, 0x00, 0x80, 0x88, 0x89, 0x8A, 0xC1, 0xC2, 0x41, 0xC0, 0xA1, 0x83)
CODES = (1000, 1001, 1002, 1004, 1005, 1011, 1014, 1015, 1016, 3000, 4999, 5000, 0)


class Source(Protocol):
    """Where choices come from; `random.Random` is one."""

    def randrange(self, stop: int, /) -> int: ...
    def randbytes(self, size: int, /) -> bytes: ...


class Input:
    """The bytes of a fuzzer as a Source; zeros when they are used up."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def randbytes(self, size: int, /) -> bytes:
        found = self.data[self.at : self.at + size].ljust(size, b"\0")
        self.at += size
        return found

    def randrange(self, stop: int, /) -> int:
        return int.from_bytes(self.randbytes(2)) % stop


def compress(plain: bytes) -> bytes:
    """A compressed message without takeover."""
    packer = zlib.compressobj(wbits=-15)
    return (packer.compress(plain) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]


def payload(source: Source) -> bytes:
    """Text, almost text, or anything."""
    choice = source.randrange(8)
    if choice < 4:
        return TEXTS[source.randrange(len(TEXTS))].encode()
    if choice == 4:
        return TEXTS[source.randrange(len(TEXTS))].encode() + BAD_TEXTS[source.randrange(6)]
    return source.randbytes(source.randrange(300 if choice == 7 else 20))


def message(source: Source, is_compressed: bool) -> bytes:
    """A whole message in one to four frames, or many, perhaps with control frames between them."""
    body = payload(source)
    kind = 1 + source.randrange(2)
    if is_compressed:
        body, kind = compress(body), kind | 0x40
    parts = 1 + source.randrange(4) if source.randrange(4) else 1 + len(body)
    size = len(body) // parts + 1
    stream = b""
    for part in range(parts):
        fin = 0x80 if part == parts - 1 else 0
        piece = body[part * size : (part + 1) * size]
        stream += frame((0 if part else kind) | fin, piece, source.randbytes(4))
        if not fin and not is_compressed and not source.randrange(4):
            stream += frame(0x89 + source.randrange(2), source.randbytes(source.randrange(4)))
    return stream


def odd_frame(source: Source) -> bytes:
    """A frame that need not fit."""
    form = (None, None, 2, 8)[source.randrange(4)]
    body = payload(source)[: 125 if form is None else 65535]
    return frame(FIRSTS[source.randrange(len(FIRSTS))], body, source.randbytes(4), form)


def stream(source: Source, is_compressed: bool) -> bytes:
    """A few messages and other things, perhaps with a few bytes changed, cut or put in."""
    data = b""
    for _ in range(1 + source.randrange(6)):
        choice = source.randrange(10)
        if choice < 5:
            data += message(source, is_compressed and choice < 3)
        elif choice < 7:
            data += frame(0x89 + source.randrange(2), source.randbytes(source.randrange(9)))
        elif choice == 7:
            data += odd_frame(source)
        elif choice == 8 and not source.randrange(2):
            data += close(CODES[source.randrange(len(CODES))], TEXTS[source.randrange(5)])
        elif choice == 9:
            data += source.randbytes(source.randrange(6))
    return mutated(source, data)


def mutated(source: Source, data: bytes) -> bytes:
    """Change nothing in half of the cases."""
    changed = bytearray(data)
    for _ in range(max(0, source.randrange(6) - 2)):
        if not changed:
            break
        at = source.randrange(len(changed))
        choice = source.randrange(4)
        if choice == 0:
            changed[at] ^= 1 << source.randrange(8)
        elif choice == 1:
            changed[at] = source.randrange(256)
        elif choice == 2:
            del changed[at : at + 1 + source.randrange(4)]
        else:
            changed[at:at] = source.randbytes(1 + source.randrange(4))
    return bytes(changed)


def cuts(source: Source) -> list[int]:
    """Sizes of reads: one read, single bytes, or anything."""
    choice = source.randrange(4)
    if choice == 0:
        return []
    if choice == 1:
        return [1]
    return [1 + source.randrange(40) for _ in range(1 + source.randrange(5))]


def seeded(seed: int) -> random.Random:
    return random.Random(seed)
