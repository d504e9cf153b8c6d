"""Joins the frames of one write, and remembers the last block for connections that sent the same.

Comparing two lists of the same tuples takes some 5 ns a frame, joining again is a copy of each. The
last block and its frames are kept until the next one: below LARGE_BYTES each.
"""

from typing import Final

from shardws.protocol import codec
from shardws.protocol.frames import Frame

# In place of a frame's first byte (both below 0): the payload is a finished frame, or the 101
# response.
FRAMED: Final = -1
RAW: Final = -2


class Joiner:
    """Joins frames of which some are finished already; one for each shard."""

    __slots__ = ("_data", "_frames")

    def __init__(self) -> None:
        self._frames: list[Frame] = []
        self._data = b""

    def join(self, frames: list[Frame]) -> bytes:
        """Return the bytes of all frames; the list must not change afterwards."""
        if frames != self._frames:
            join = codec.join
            parts = [frame[1] if frame[0] < 0 else join([frame]) for frame in frames]
            self._frames, self._data = frames, b"".join(parts)
        return self._data
