"""Keeping watch over idle connections: one timer wheel, and the rule for pings.

Owns neither clock nor connections: time is an argument, the wheel hands back what it was given.

The wheel is a ring of lists, one for each tick. An entry costs 8 bytes of a list, where a timer
handle of the event loop costs 200 and a heap operation. Entries are not removed: the owner of an
item compares its real deadline when the item comes out, and adds it again if that lies ahead. So a
deadline that moves with every message costs nothing until the old one passes.

The rule: after `interval` seconds without a byte from the peer a ping; after `timeout` more
seconds without a byte the peer is dead. Any byte counts as life, so a peer in the middle of a long
upload, whose pong stands behind it, is not given up. Nor is one that reads slowly: a ping behind
megabytes cannot be answered yet, and as long as those go down (`Ahead`) the time begins again.
"""

import enum
import struct
from dataclasses import dataclass
from typing import Final, Generic, NamedTuple, TypeVar

T = TypeVar("T")

# Up to a quarter of the interval earlier, never later: an idle timeout of something in between is
# usually set just above our interval.
JITTER: Final = 0.25
_SPREAD: Final = 2654435761  # 2**32 / golden ratio: neighbouring ids end up far apart (Knuth 6.4)
_TOKEN: Final = struct.Struct(">d")


class Wheel(Generic[T]):
    """A timer wheel of `slots` ticks of `tick` seconds; nothing comes out before it is due.

    Except what is due beyond the horizon of `slots * tick` seconds: that comes out there.
    """

    __slots__ = ("_last", "_slots", "_tick")

    def __init__(self, now: float, tick: float = 0.25, slots: int = 512) -> None:
        if tick <= 0 or slots < 1:
            raise ValueError("a wheel needs a tick above 0 and one slot at least")
        self._tick = tick
        self._slots: list[list[T]] = [[] for _ in range(slots)]
        self._last = int(now / tick)  # the tick that was handed out last

    def add(self, item: T, due: float) -> None:
        """Enter `item`; it comes out at the first tick at or after `due`, in seconds of the clock.

        What is due already comes out at the next tick.
        """
        last = self._last
        slots = self._slots
        ahead = due / self._tick - last
        if ahead >= len(slots):
            ahead = len(slots)  # also for infinity
        elif ahead < 1:
            ahead = 1
        number = int(ahead)
        slots[(last + number + (number < ahead)) % len(slots)].append(item)

    def advance(self, now: float) -> list[T]:
        """Return what became due since the last call, in order of ticks.

        A clock that jumped hours ahead costs one turn of the wheel; one that went back, nothing.
        """
        last = self._last
        current = int(now / self._tick)
        if current <= last:
            return []
        slots = self._slots
        size = len(slots)
        self._last = current
        due: list[T] = []
        for number in range(last + 1, min(current, last + size) + 1):
            position = number % size
            if slots[position]:
                due += slots[position]
                slots[position] = []
        return due


class Action(enum.IntEnum):
    """What a connection's owner has to do."""

    WAIT = 0
    PING = 1
    GIVE_UP = 2


class Step(NamedTuple):
    """An action, and when to ask again, in seconds of the clock."""

    action: Action
    again_at: float  # infinity: never


NEVER: Final = Step(Action.WAIT, float("inf"))


@dataclass(frozen=True, slots=True)
class Keepalive:
    """When to ping and when to give up, in seconds; an interval of 0 sends no pings.

    A timeout of 0 never gives up: the pings only keep the way open.
    """

    interval: float = 20.0
    timeout: float = 20.0

    @property
    def least_quiet(self) -> float:
        """Seconds after a byte in which no ping is due, whoever the peer is."""
        return self.interval * (1 - JITTER) if self.interval else NEVER.again_at

    def step(
        self, now: float, heard: float, ping_at: float, seed: int, ping_from: float = 0.0
    ) -> Step:
        """Decide for one connection; `seed` (its id) spreads pings of peers that came together.

        `heard`: when its last byte came. `ping_at`: when the ping without pong was queued, 0 for
        none. `ping_from`: when its timeout began, if that was later (see Ahead).
        After PING the caller sends a ping with `token(now)` and remembers `ping_at = now`.
        """
        if not self.interval:
            return NEVER
        is_waiting = ping_at > 0 and heard <= ping_at
        if is_waiting and self.timeout:
            deadline = max(ping_at, ping_from) + self.timeout
            return Step(Action.GIVE_UP if now >= deadline else Action.WAIT, deadline)
        spread = (seed * _SPREAD & 0xFFFFFFFF) / 0x100000000
        due = (ping_at if is_waiting else heard) + self.interval * (1 - JITTER * spread)
        if now < due:
            return Step(Action.WAIT, due)
        return Step(Action.PING, now + (self.timeout or self.interval))


class Ahead:
    """The bytes in front of a ping: while they go down, the peer lives.

    Counted by what the peer's kernel has acknowledged since the connection began. The peer itself
    may still have them in front of it: that cannot be seen.
    """

    __slots__ = ("_acknowledged", "_end")

    def __init__(self, acknowledged: int, unacknowledged: int) -> None:
        """`unacknowledged`: bytes under way, the ping's own included, right after it was queued."""
        self._acknowledged = acknowledged
        self._end = acknowledged + unacknowledged

    @classmethod
    def restored(cls, acknowledged: int, end: int) -> "Ahead":
        """Return what `state` is of, in another process."""
        return cls(acknowledged, end - acknowledged)

    @property
    def state(self) -> tuple[int, int]:
        """What is acknowledged, and what will be when the ping is."""
        return self._acknowledged, self._end

    def has_moved(self, acknowledged: int) -> bool:
        """Whether the ping came nearer to its peer since the last call, or reached it."""
        before, self._acknowledged = self._acknowledged, acknowledged
        return before < self._end and acknowledged > before


def token(ping_at: float) -> bytes:
    """Return the payload of the ping that leaves at `ping_at`."""
    return _TOKEN.pack(ping_at)


def round_trip(payload: bytes, ping_at: float, now: float) -> float | None:
    """Return the seconds a ping took to be answered; None for a pong nobody asked for.

    RFC 6455 5.5.3 allows unsolicited pongs, and a late one may answer a ping before the last.
    """
    if ping_at <= 0 or payload != _TOKEN.pack(ping_at):
        return None
    return max(0.0, now - ping_at)
