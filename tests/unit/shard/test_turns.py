"""turns: one slice each, round robin, and the loop looks at its sockets in between."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from shardws.log import shard_logger
from shardws.shard.turns import TURN_S, Turns


class Loop:
    """A loop that is turned by hand."""

    def __init__(self) -> None:
        self.soon: list[Callable[[], None]] = []

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.soon.append(callback)

    def turn(self) -> None:
        soon, self.soon = self.soon, []
        for callback in soon:
            callback()


class World:
    """A queue of turns whose clock the connections move."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.now = 0.0
        self.turns = Turns(cast(asyncio.AbstractEventLoop, self.loop), shard_logger("shard", 0))
        self.turns._clock = lambda: self.now
        self.took: list[int] = []


class Flooder:
    """A connection with so many slices to work."""

    def __init__(self, world: World, number: int, slices: int, seconds: float = 0.0) -> None:
        self.world = world
        self.id = number
        self.slices = slices
        self.seconds = seconds
        self.is_aborted = False

    def take_turn(self) -> None:
        self.world.took.append(self.id)
        self.world.now += self.seconds
        self.slices -= 1
        if self.slices == -100:
            raise RuntimeError("a fault of ours")
        if self.slices > 0:
            self.world.turns.add(self)

    def abort(self, reason: str = "") -> None:
        self.is_aborted = True


def test_each_has_one_slice_before_any_has_another() -> None:
    world = World()
    for number in (1, 2, 3):
        world.turns.add(Flooder(world, number, 3))
    assert world.took == []
    assert len(world.loop.soon) == 1
    world.loop.turn()
    assert world.took == [1, 2, 3] * 3
    assert not world.turns
    assert world.loop.soon == []


def test_the_loop_looks_at_its_sockets_after_so_long() -> None:
    world = World()
    for number in (1, 2, 3):
        world.turns.add(Flooder(world, number, 2, TURN_S * 0.6))
    turns = []
    while world.loop.soon:
        assert len(world.loop.soon) == 1
        world.loop.turn()
        turns.append(len(world.took))
    assert turns == [2, 4, 6]
    assert world.took == [1, 2, 3, 1, 2, 3]


def test_one_long_slice_is_one_turn_of_the_loop() -> None:
    world = World()
    world.turns.add(Flooder(world, 1, 5, TURN_S * 50))
    for count in range(1, 6):
        world.loop.turn()
        assert world.took == [1] * count


def test_one_that_fails_harms_no_other(caplog: Any) -> None:
    world = World()
    broken = Flooder(world, 1, -99)
    world.turns.add(broken)
    world.turns.add(Flooder(world, 2, 1))
    world.loop.turn()
    assert world.took == [1, 2]
    assert broken.is_aborted
    assert "connection 1 could not be read" in caplog.text


def test_while_paused_nobody_has_a_turn() -> None:
    world = World()
    world.turns.add(Flooder(world, 1, 2))
    world.turns.pause(True)
    world.loop.turn()
    world.turns.add(Flooder(world, 2, 1))
    assert world.took == []
    assert world.loop.soon == []
    world.turns.pause(False)
    world.turns.pause(False)
    assert len(world.loop.soon) == 1
    world.loop.turn()
    assert world.took == [1, 2, 1]


def test_an_interrupt_does_not_stop_the_turns_of_the_others() -> None:
    """Behind a KeyboardInterrupt no turn was ever scheduled again, should the loop be run again."""

    class Interrupted(Flooder):
        def take_turn(self) -> None:
            raise KeyboardInterrupt

    world = World()
    interrupted = Interrupted(world, 1, 1)
    world.turns.add(interrupted)
    world.turns.add(Flooder(world, 2, 1))
    with pytest.raises(KeyboardInterrupt):
        world.loop.turn()
    assert interrupted.is_aborted  # out of the queue, it would have waited for ever
    world.loop.turn()
    assert world.took == [2]
