"""announcements: names that come and go cost one message of each kind in a turn."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

from shardws.routing.announcements import MOST_PENDING, Announcements
from shardws.wire.codec import Decoder
from shardws.wire.messages import INTEREST, NEWS_TOLD, SHARD


class Link:
    def __init__(self) -> None:
        self.is_up = True
        self.frames: list[bytes] = []

    def reply(self, frame: bytes) -> None:
        self.frames.append(frame)

    def take(self) -> list[tuple[bool, str]]:
        """Return what was told of groups since the last call."""
        frames, self.frames = self.frames, []
        return [(told[1], told[2]) for told in decoded(frames)]


def decoded(frames: list[bytes]) -> list[tuple[Any, ...]]:
    return Decoder(1 << 20, SHARD).feed(b"".join(frames))


class World:
    def __init__(self) -> None:
        self.soon: list[Callable[[], object]] = []
        self.links = {1: Link(), 2: Link()}
        loop = cast(asyncio.AbstractEventLoop, self)
        self.announcements = Announcements(loop, self.links)

    def call_soon(self, callback: Callable[[], object]) -> None:
        self.soon.append(callback)

    def turn(self) -> None:
        soon, self.soon = self.soon, []
        for callback in soon:
            callback()


def test_members_are_told_at_once_and_none_in_the_next_turn() -> None:
    world = World()
    world.announcements.has_members("a")
    assert world.links[1].take() == world.links[2].take() == [(True, "a")]
    world.announcements.has_none("a")
    assert world.links[1].take() == []
    world.turn()
    assert world.links[1].take() == world.links[2].take() == [(False, "a")]


def test_a_name_that_comes_and_goes_costs_two_messages_in_a_turn() -> None:
    """Each join and leave was a message to each peer, and filled the links."""
    world = World()
    for _ in range(1000):
        world.announcements.has_members("a")
        world.announcements.has_none("a")
    assert len(world.soon) == 1
    world.turn()
    assert world.links[1].take() == [(True, "a"), (False, "a")]
    world.announcements.has_none("a")
    world.announcements.has_members("a")
    world.turn()
    assert world.links[1].take() == []


def test_who_publishes_to_nobody_is_told_once_in_a_turn() -> None:
    world = World()
    for _ in range(1000):
        world.announcements.has_none_for("a", 1)
    world.announcements.has_none_for("a", 3)  # its link is gone
    world.turn()
    assert (world.links[1].take(), world.links[2].take()) == ([(False, "a")], [])
    world.announcements.has_none_for("a", 1)
    world.announcements.has_members("a")
    world.turn()
    assert world.links[1].take() == world.links[2].take() == [(True, "a")]
    world.announcements.has_none("a")
    world.announcements.has_none_for("a", 1)
    world.turn()
    assert world.links[1].take() == [(False, "a")]


def test_what_is_pending_is_bounded() -> None:
    world = World()
    for number in range(MOST_PENDING + 1):
        world.announcements.has_none(f"group {number}")
    assert len(world.links[1].take()) == MOST_PENDING
    world.turn()
    assert world.links[1].take() == [(False, f"group {MOST_PENDING}")]


def test_a_new_link_hears_of_groups_whose_end_is_not_told() -> None:
    """Should a member join again in the same turn, nothing is said."""
    world = World()
    world.announcements.has_none("left")
    world.announcements.has_none_for("never", 1)
    told = decoded(world.announcements.news(["here", "left"]))
    assert told == [(INTEREST, True, "here"), (INTEREST, True, "left"), (NEWS_TOLD,)]
    world.links[2].is_up = False
    world.turn()
    assert world.links[2].take() == []
