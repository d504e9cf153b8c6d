"""The two kinds of message that leave in parts: a stream, and one of announced length.

Owns what is known of one such message; `multipart` sends them.
"""

import codecs
from typing import Final

from shardws.events import FORMAT_TEXT
from shardws.interfaces import Source
from shardws.outcomes import LaterSend, Outcome

PIECE_BYTES: Final = 64 * 1024
LARGEST_FRAME: Final = 1 << 20


def piece_bytes(max_frame_size: int) -> int:
    """Return how much of a stream is read at a time: whole frames."""
    if not 0 < max_frame_size <= LARGEST_FRAME:
        return PIECE_BYTES
    return max(1, PIECE_BYTES // max_frame_size) * max_frame_size


class Stream:
    """A message that is read from its source piece by piece."""

    __slots__ = ("_decoder", "held", "is_first", "kind", "result", "source")

    def __init__(self, kind: int, source: Source, result: LaterSend) -> None:
        self.kind = kind
        self.source = source
        self.result = result
        self.is_first = True  # nothing of it has left
        self.held: bytes | None = None  # a piece, until the next read tells if it is the last
        self._decoder = codecs.getincrementaldecoder("utf-8")() if kind == FORMAT_TEXT else None

    def check(self, piece: bytes, is_last: bool) -> None:
        """Raise UnicodeDecodeError for text that is not UTF-8: the client would fail on it."""
        if self._decoder is not None:
            self._decoder.decode(piece, is_last)

    def end(self, outcome: Outcome) -> None:
        """Release the source and settle the outcome of the send."""
        self.source.finish(outcome)
        self.result.settle(outcome)


class Announced:
    """A message of a known length, sent in parts."""

    __slots__ = ("kind", "size", "taken")

    def __init__(self, size: int) -> None:
        self.size = size  # bytes
        self.taken = 0
        self.kind = 0  # of its first part
