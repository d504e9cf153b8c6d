"""What other shards hear of the groups that have members here.

Owns the messages INTEREST. That a group has members is told at once, in front of whatever may make
a peer publish to it. That it has none is told in the next turn of the loop: names that come and go
cost one message of each kind in a turn, however often they do. Meanwhile peers send a few messages
to nobody, which harms nothing.
"""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Final, Protocol

from shardws.wire.codec import encode
from shardws.wire.messages import INTEREST, NEWS_TOLD

MOST_PENDING: Final = 4096  # names; beyond that they are told at once
EVERYONE: Final = None
_NOBODY: Final[set[int]] = set()


class NewsLink(Protocol):
    """A link, as what is said of groups needs it."""

    @property
    def is_up(self) -> bool: ...
    def reply(self, frame: bytes) -> None: ...


class Announcements:
    """The INTEREST messages of one shard; see the module docstring."""

    __slots__ = ("_is_scheduled", "_links", "_loop", "_pending")

    def __init__(self, loop: asyncio.AbstractEventLoop, links: Mapping[int, NewsLink]) -> None:
        self._loop = loop
        self._links = links
        self._is_scheduled = False
        # Groups without members -> the peers that are to hear it.
        self._pending: dict[str, set[int] | None] = {}

    def has_members(self, group: str) -> None:
        """The first member of a group joined here."""
        if self._pending.pop(group, _NOBODY) is EVERYONE:
            return  # peers have not heard that the last one left
        self._tell(encode(INTEREST, True, group), EVERYONE)

    def has_none(self, group: str) -> None:
        """The last member of a group left."""
        self._schedule()
        self._pending[group] = EVERYONE

    def has_none_for(self, group: str, incarnation: int) -> None:
        """A peer published to a group that has no members here."""
        self._schedule()
        peers = self._pending.setdefault(group, set())
        if peers is not EVERYONE:
            peers.add(incarnation)

    def news(self, names: Iterable[str]) -> list[bytes]:
        """Return what a new link must say first, `names` being the groups with members.

        With the groups whose last member has just left: should one join again, nothing is said.
        """
        just_left = [group for group, peers in self._pending.items() if peers is EVERYONE]
        groups = [encode(INTEREST, True, group) for group in dict.fromkeys([*names, *just_left])]
        return [*groups, encode(NEWS_TOLD)]

    def _schedule(self) -> None:
        if len(self._pending) >= MOST_PENDING:
            self._tell_pending()
        if not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon(self._tell_pending)

    def _tell_pending(self) -> None:
        self._is_scheduled = False
        pending, self._pending = self._pending, {}
        for group, peers in pending.items():
            self._tell(encode(INTEREST, False, group), peers)

    def _tell(self, frame: bytes, peers: Iterable[int] | None) -> None:
        links = self._links
        told = list(links) if peers is EVERYONE else [peer for peer in peers if peer in links]
        for peer in told:
            link = links.get(peer)
            if link is not None and link.is_up:  # one that is not up yet begins with `news`
                link.reply(frame)
