"""A client whose route has not accepted it yet: what is decided, and what waits for that.

Owns the two steps: the verdict, which the opening request is answered with, and the opening itself,
which may still fail when the client has left meanwhile.
"""

import asyncio
from dataclasses import dataclass

from shardws.app.refusal import Refuse


@dataclass(frozen=True, slots=True)
class Acceptance:
    """The verdict to accept."""

    subprotocol: str
    headers: str  # lines


class Opening:
    """Between the opening request and Connected, or the end."""

    __slots__ = ("groups", "is_over", "sub_protocols", "verdict")

    def __init__(self, loop: asyncio.AbstractEventLoop, sub_protocols: str) -> None:
        self.sub_protocols = sub_protocols  # offered, comma separated
        self.verdict: asyncio.Future[Acceptance | Refuse] = loop.create_future()
        self.is_over = asyncio.Event()  # it is open, or never will be
        self.groups: list[str] = []  # joined before it is open

    def decide(self, verdict: Acceptance | Refuse) -> None:
        """Answer the request; only the first verdict counts."""
        if not self.verdict.done():
            self.verdict.set_result(verdict)
