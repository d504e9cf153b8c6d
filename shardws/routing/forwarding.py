"""Messages of peers that are passed on to another process, until their outcomes are known.

Owns the outcomes that are open, in the order in which each peer's messages came. The peer learns of
a failure by the number of its own message, and its SYNC is answered when all before it is settled:
so a send has one outcome, whichever way it went. Nothing is called back for a success; `settle` is
called when a link has news.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from shardws.outcomes import SETTLED, LaterSend, Outcome, SendOutcome
from shardws.routing.inbound_link import InboundLink
from shardws.routing.ledger import PendingSend
from shardws.routing.streams import ignore

MAX_FORWARDED: Final = 8192  # open outcomes of all peers; below what a ledger keeps of failures

Fail = Callable[[InboundLink, int, Outcome, int], None]  # link, connection id, outcome, number
Synced = Callable[[InboundLink, int], None]
# The number of the message or the token of a SYNC, connection id, the send (None: a SYNC), and
# whether its failure is reported.
Entry = tuple[int, int, SendOutcome | None, bool]


class HeldSend(LaterSend):
    """A send that waits in this process first, and then has the outcome of the one it becomes."""

    __slots__ = ()

    def future(self) -> asyncio.Future[Outcome]:
        """Return a future for the outcome, of which nothing is known yet."""
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiters.append(future)
        return future

    def follow(
        self, send: SendOutcome, settled: Callable[[], None], instead: Outcome | None = None
    ) -> None:
        """Take the outcome of `send`, or `instead`, when it is known; then call `settled`."""
        outcome = send.outcome
        if outcome is not None:
            self.settle(outcome if instead is None else instead)
        else:
            assert isinstance(send, PendingSend | HeldSend)  # nothing else is pending

            def end(known: Outcome) -> None:
                self.settle(known if instead is None else instead)
                settled()

            send.future().add_done_callback(lambda done: end(done.result()))


class Forwarding:
    """The open outcomes of what was passed on."""

    def __init__(self, fail: Fail, synced: Synced) -> None:
        self._refused: set[int] = set()  # ids that were FULL for want of a place here
        self._fail = fail
        self._synced = synced
        self.open: dict[InboundLink, deque[Entry]] = {}  # in the order of each peer's messages
        self._size = 0

    @property
    def is_idle(self) -> bool:
        return not self.open

    @property
    def is_full(self) -> bool:
        return self._size >= MAX_FORWARDED

    def refuse(self, connection_id: int) -> SendOutcome:
        """Return the outcome of what has no place; `take_refused` names it when there is one."""
        self._refused.add(connection_id)
        return SETTLED[Outcome.FULL]

    def take_refused(self) -> list[int]:
        """Return what was refused, when there is room again."""
        if not self._refused or self._size > MAX_FORWARDED // 2:
            return []
        refused = sorted(self._refused)
        self._refused.clear()
        return refused

    def add(
        self,
        inbound: InboundLink,
        number: int,
        connection_id: int,
        send: SendOutcome,
        *,
        is_reported: bool = True,
    ) -> None:
        """Note what became of a peer's message; a failure is reported unless it does not matter."""
        outcome = send.outcome
        if outcome is not None:
            if is_reported and not outcome.is_success:
                self._fail(inbound, connection_id, outcome, number)
            return
        send.if_failed(ignore)
        self._append(inbound, (number, connection_id, send, is_reported))

    def sync(self, inbound: InboundLink, token: int) -> None:
        """Take a SYNC of a peer that has something open: it is answered behind that."""
        waiting = reversed(self.open[inbound])
        last = next((send for _, _, send, _ in waiting if send is not None), None)
        if isinstance(last, PendingSend):
            last.ask()
        self._append(inbound, (token, 0, None, False))

    def _append(self, inbound: InboundLink, entry: Entry) -> None:
        self.open.setdefault(inbound, deque()).append(entry)
        self._size += 1

    def settle(self) -> None:
        """Report what is known by now."""
        for inbound in list(self.open):
            self._settle(inbound)

    def _settle(self, inbound: InboundLink) -> None:
        # Looked up each time: a report may break a link, which settles or drops what is here.
        while waiting := self.open.get(inbound):
            number, connection_id, send, is_reported = waiting[0]
            outcome = send.outcome if send is not None else Outcome.QUEUED
            if outcome is None:
                return
            waiting.popleft()
            self._size -= 1
            if not waiting:
                del self.open[inbound]
            if send is None:
                self._synced(inbound, number)
            elif is_reported and not outcome.is_success:
                self._fail(inbound, connection_id, outcome, number)

    def forget(self, incarnation: int) -> None:
        """A peer's link is gone: nobody is told any more."""
        for inbound in [one for one in self.open if one.incarnation == incarnation]:
            self._size -= len(self.open.pop(inbound))
