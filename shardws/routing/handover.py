"""The outcome of a message to many while the link to one of the shards is still being dialed.

Owns the count of such links, which report how their dial ended.
"""

from collections.abc import Sequence
from typing import Protocol

from shardws.outcomes import LaterSend, Outcome, Report


class DialedLink(Protocol):
    """A link that is not up yet, and has the message in its queue."""

    handovers: list["Handover"]


class Handover(LaterSend):
    """QUEUED when all of the links are up, UNREACHABLE as soon as one is given up."""

    __slots__ = ("_left",)

    def __init__(self, links: Sequence[DialedLink], report: Report) -> None:
        super().__init__(0, report)
        self._left = len(links)
        for link in links:
            link.handovers.append(self)

    def end_one(self, *, is_lost: bool) -> None:
        """Note how one of the dials ended."""
        self._left -= 1
        if is_lost:
            self.settle(Outcome.UNREACHABLE)
        elif not self._left:
            self.settle(Outcome.QUEUED)


def end_all(handovers: list[Handover], *, is_lost: bool) -> int:
    """Report the end of a link's dial to those that waited for it; return how many there were."""
    waiting = handovers.copy()
    handovers.clear()
    for handover in waiting:
        handover.end_one(is_lost=is_lost)
    return len(waiting)
