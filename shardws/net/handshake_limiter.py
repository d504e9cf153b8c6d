"""Limits the concurrent TLS handshakes of a shard.

Owns the order in which connections may begin theirs. Two bounds: a handshake takes 34 KiB and more,
so at most `most` run at a time; its first step costs 0.3 to 1 ms of the loop, so BURST begin in one
loop turn, and connected clients wait 3 ms at most when a thousand arrive at once. Waiting
connections are not read, and begin in order of arrival.

Peers that stall must not block others: when the limit is reached and a connection waits, the oldest
handshake is aborted once it is PATIENCE_S old.
"""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

BURST: Final = 8
PATIENCE_S: Final = 3.0


class Waiter(Protocol):
    """A connection that wants to begin its handshake."""

    def proceed(self) -> None:
        """Begin the handshake: a slot is free."""

    def give_up(self, reason: str) -> None:
        """End, and leave the limiter."""


class HandshakeLimiter:
    """The limiter of one shard."""

    def __init__(self, loop: asyncio.AbstractEventLoop, most: int) -> None:
        self.most = most
        self._loop = loop
        self._inside: dict[Waiter, float] = {}  # start times, the oldest first
        self._waiting: dict[Waiter, None] = {}
        self._burst = BURST
        self._turn: asyncio.Handle | None = None

    @property
    def inside(self) -> int:
        """How many handshakes are running."""
        return len(self._inside)

    @property
    def waiting(self) -> int:
        """How many connections wait to begin."""
        return len(self._waiting)

    def enter(self, guest: Waiter) -> bool:
        """Tell whether a connection may begin now; if not, its `proceed` is called later."""
        if self._burst and not self._waiting and len(self._inside) < self.most:
            self._admit(guest)
        else:
            self._waiting[guest] = None
        if self._turn is None:
            self._schedule()
        return guest in self._inside

    def leave(self, guest: Waiter) -> None:
        """Note that a handshake is over, or that its connection no longer waits."""
        self._waiting.pop(guest, None)
        if self._inside.pop(guest, None) is not None and self._waiting:
            self._schedule()

    def _admit(self, guest: Waiter) -> None:
        self._burst -= 1
        self._inside[guest] = self._loop.time()

    def _schedule(self) -> None:
        """Schedule the next run: next turn, or when the oldest handshake has taken too long."""
        if self._turn is not None:
            self._turn.cancel()
        proceed: Callable[[], None] = self._next_turn
        if self._waiting and len(self._inside) >= self.most:
            self._turn = self._loop.call_at(next(iter(self._inside.values())) + PATIENCE_S, proceed)
        else:
            self._turn = self._loop.call_soon(proceed)

    def _next_turn(self) -> None:
        self._turn = None
        self._burst = BURST
        if self._waiting and len(self._inside) >= self.most:
            self._hurry()
        while self._waiting and self._burst and len(self._inside) < self.most:
            guest = next(iter(self._waiting))
            del self._waiting[guest]
            self._admit(guest)
            guest.proceed()
        if self._waiting and self._turn is None:
            self._schedule()

    def _hurry(self) -> None:
        """Abort handshakes that have taken too long, no more than there are waiters."""
        latest = self._loop.time() - PATIENCE_S
        late = [guest for guest, since in self._inside.items() if since <= latest]
        for guest in late[: len(self._waiting)]:
            guest.give_up("the TLS handshake took too long while others waited")
            self._inside.pop(guest, None)
