"""Confirms the last messages of a burst on a link, though nobody waits for them.

Owns the timer. When the peer dies, what it had not confirmed is UNREACHABLE; without this, the last
messages of a burst would stay unconfirmed until something else is sent.
"""

import asyncio
from typing import Final

from shardws.routing.ledger import Ledger

TAIL_SECONDS: Final = 0.05


class Tail:
    """Asks for a confirmation TAIL_SECONDS after a flush, one at a time."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ledger: Ledger) -> None:
        self._loop = loop
        self._ledger = ledger
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_waiting(self) -> bool:
        return self._timer is not None

    def flushed(self) -> None:
        """Messages were written that no SYNC may follow."""
        if self._timer is None and self._ledger.has_tail:
            self._timer = self._loop.call_later(TAIL_SECONDS, self.confirm)

    def confirm(self) -> None:
        """Ask now, or later while another reply is pending."""
        self._timer = None
        ledger = self._ledger
        if ledger.is_confirmed and ledger.has_tail:
            ledger.want_all()
        else:
            self.flushed()

    def cancel(self) -> None:
        """The link is down."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
