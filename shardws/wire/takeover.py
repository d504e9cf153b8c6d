"""The frames between a process that gives its connections away and the one that takes them.

Owns their layout and bounds. Sans-IO. The channel is a Unix stream socket of its own, for one
takeover:

    from the giver    GREETING    who it is, and why it gives; the descriptor of the claim
                      BATCH       how many records follow; the descriptors of all of them
                      RECORD      one record (wire.record), in the order of the descriptors
    from the taker    VERDICTS    one for each record of the batch, in their order

    length u32 of what follows the kind | kind u8 | fields

little-endian. Descriptors come with the first byte of their frame. One batch is under way at a
time. WireError for what no peer would send.

The claim is an eventfd that holds 1 while a batch is nobody's: the taker reads it before it takes
the batch, the giver before it takes the batch back. The one who reads it first has the connections,
also when the other dies at that moment, or has not looked for a long time.
"""

import enum
import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

from shardws.errors import WireError
from shardws.wire import record

VERSION: Final = 1
MOST_RECORDS: Final = 250  # of a batch; the kernel passes 253 descriptors in a message (SCM_MAX_FD)

GREETING: Final = 1
BATCH: Final = 2
RECORD: Final = 3
VERDICTS: Final = 4

_HEAD: Final = struct.Struct("<IB")
_GREETING: Final = struct.Struct("<HHHHIB")  # version, node, slot, generation, pid, length of cause
_COUNT: Final = struct.Struct("<H")
LONGEST_TEXT: Final = 64

# Kind, and most bytes of its fields.
_LIMITS: Final = {
    GREETING: _GREETING.size + 2 * LONGEST_TEXT,
    BATCH: _COUNT.size,
    RECORD: record.LARGEST,
    VERDICTS: MOST_RECORDS,
}


class Verdict(enum.IntEnum):
    """What becomes of a record at the taker."""

    TAKEN = 0
    UNREADABLE = 1  # of another version, or broken
    DESCRIPTOR = 2  # its descriptor did not arrive: the taker has none left
    FULL = 3  # the taker has no room
    REFUSED = 4  # its id is taken, or nobody may find it there


class Greeting(NamedTuple):
    """Who gives its connections away."""

    node: int
    slot: int
    generation: int
    pid: int
    cause: str  # net.connection.resumed.Cause
    boot_nonce: str


Frame = tuple[int, bytes]


def frame(kind: int, body: bytes = b"") -> bytes:
    """Return one frame."""
    return _HEAD.pack(len(body), kind) + body


def greet(greeting: Greeting) -> bytes:
    """Return the frame that a giver begins with."""
    cause = greeting.cause.encode()
    fixed = _GREETING.pack(VERSION, *greeting[:4], len(cause))
    return frame(GREETING, fixed + cause + greeting.boot_nonce.encode())


def read_greeting(body: bytes) -> Greeting:
    """Return what a GREETING says; WireError."""
    version = int.from_bytes(body[: _COUNT.size], "little")
    if version != VERSION:
        raise WireError(f"takeover version {version}, this is version {VERSION}")
    try:
        _, node, slot, generation, pid, size = _GREETING.unpack_from(body)
        rest = body[_GREETING.size :].decode("ascii")
    except (struct.error, UnicodeDecodeError) as error:
        raise WireError(f"a greeting that cannot be read: {error}") from None
    return Greeting(node, slot, generation, pid, rest[:size], rest[size:])


def begin_batch(count: int) -> bytes:
    """Return the frame that the descriptors of `count` records come with."""
    return frame(BATCH, _COUNT.pack(count))


def read_count(body: bytes) -> int:
    """Return how many records follow a BATCH; WireError."""
    count = int.from_bytes(body, "little")
    if len(body) != _COUNT.size or not 0 < count <= MOST_RECORDS:
        raise WireError(f"a batch of {count} records")
    return count


def answer(verdicts: Sequence[Verdict]) -> bytes:
    """Return the frame that answers a batch."""
    return frame(VERDICTS, bytes(verdicts))


def read_verdicts(body: bytes, count: int) -> list[Verdict]:
    """Return the verdicts on a batch of `count` records; WireError."""
    try:
        verdicts = [Verdict(value) for value in body]
    except ValueError:
        raise WireError("an unknown verdict") from None
    if len(verdicts) != count:
        raise WireError(f"{len(verdicts)} verdicts on {count} records")
    return verdicts


class Decoder:
    """Bytes of one direction to frames; `kinds` are those that the other end may send."""

    __slots__ = ("_data", "_kinds")

    def __init__(self, *kinds: int) -> None:
        self._kinds = kinds
        self._data = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """Return the frames that `data` completes; WireError, then nothing more may be fed."""
        self._data += data
        frames: list[Frame] = []
        position = 0
        while len(self._data) - position >= _HEAD.size:
            length, kind = _HEAD.unpack_from(self._data, position)
            if kind not in self._kinds or length > _LIMITS[kind]:
                raise WireError(f"a frame of kind {kind} and {length} bytes")
            end = position + _HEAD.size + length
            if end > len(self._data):
                break
            frames.append((kind, bytes(self._data[position + _HEAD.size : end])))
            position = end
        del self._data[:position]
        return frames
