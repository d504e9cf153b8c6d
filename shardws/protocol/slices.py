"""A slice: what a session does in one go before other connections have their turn.

Owns the bounds, and the rule for floods of frames that carry nothing. A slice ends when one of its
bounds is reached; what was read and not worked is the rest, which waits for the connection's next
turn. A single message may exceed the bytes: it is then the last of its slice.

    items      at most `limit`, which follows the time that handlers take (see `paced`)
    units      FRAME for each frame header, more for what costs more
    bytes      of payload after inflating; uncompressed ones are bounded by the read they came in

Pings, pongs and empty fragments cost a peer nothing to make and tell an application nothing. A
session forgives BURST of them at once and RATE a second; beyond that it is a storm (1008).
Fragments that carry a byte are bounded by their message, and an empty last one ends a message.
"""

from typing import Final

from shardws.protocol.frames import Item

ITEMS: Final = 64
FIRST_ITEMS: Final = 16  # of a session whose handlers are not known yet
SECONDS: Final = 0.001
BYTES: Final = 256 * 1024
UNITS: Final = 256
# In the time of a plain frame, some 1 us: inflating a message; a piece fed to wsproto.
INFLATED: Final = 4
FALLBACK: Final = 16

BURST: Final = 1000
RATE: Final = 100.0  # a second


class Slice:
    """What one slice has made so far, and how much it may still do."""

    __slots__ = ("controls", "empty", "items", "limit", "room", "units")

    def __init__(self, limit: int, items: list[Item] | None = None, controls: int = 0) -> None:
        """`items`, of which `controls` are pings or pongs: what the fast lane has taken already."""
        self.items: list[Item] = [] if items is None else items
        self.limit = limit
        self.units = UNITS - len(self.items)
        self.room = BYTES
        self.controls = controls
        self.empty = 0  # fragments without a byte that do not end their message

    @property
    def is_full(self) -> bool:
        """Whether the rest has to wait for the next turn."""
        return self.units <= 0 or self.room <= 0 or len(self.items) >= self.limit

    @property
    def left(self) -> int:
        """How many more frames may be taken that make an item each; else `units` says it."""
        return max(0, min(self.units, self.limit - len(self.items)))

    @property
    def nothings(self) -> int:
        """Frames so far that count towards a storm."""
        return self.controls + self.empty


def paced(limit: int, count: int, seconds: float) -> int:
    """Return the limit of the next slice after one of `count` items took so many seconds."""
    if seconds > SECONDS:
        return max(1, int(count * SECONDS / seconds))
    return min(ITEMS, limit * 2)


def calm_at(before: float, count: int, now: float) -> float:
    """Return when `count` more frames without content will be forgiven.

    `before` is what this returned last, 0.0 at first. See `is_storm`.
    """
    return max(before, now) + count / RATE


def is_storm(calm: float, now: float) -> bool:
    """Whether more frames without content came than are forgiven."""
    return calm - now > (BURST + 0.5) / RATE  # half a frame for what floats lose
