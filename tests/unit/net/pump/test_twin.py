"""The pump in Python: writes end the turn, a crowd's come later, one that fails harms no other."""

from typing import Any, cast

import pytest

from shardws.net.pump.twin import CROWD, CROWD_PER_TURN, CROWD_SECONDS, Pump, Wire
from shardws.stats import Stats


class Loop:
    """A loop that is turned by hand, with a clock that is set."""

    def __init__(self) -> None:
        self.now = 0.0
        self.soon: list[Any] = []

    def time(self) -> float:
        return self.now

    def call_soon(self, callback: Any) -> None:
        self.soon.append(callback)

    def turn(self) -> None:
        soon, self.soon = self.soon, []
        for callback in soon:
            callback()


class Connection:
    def __init__(self, number: int) -> None:
        self.id = number
        self.flushed = 0
        self.is_broken = False
        self.is_aborted = False

    def flush(self) -> None:
        if self.is_broken:
            raise TypeError("no bytes")
        self.flushed += 1

    def abort_wire(self) -> None:
        self.is_aborted = True


class World:
    def __init__(self, count: int) -> None:
        self.loop = Loop()
        self.errors: list[BaseException] = []
        self.pump = Pump(
            row=Stats(1).row(0),
            call_soon=self.loop.call_soon,
            time=self.loop.time,
            on_error=lambda wire, error: self.errors.append(error),
        )
        self.connections = [Connection(number) for number in range(count)]
        self.add(*self.connections)

    def add(self, *connections: Connection) -> None:
        for connection in connections:
            self.pump.mark_dirty(cast(Wire, connection))

    def turns(self) -> int:
        """Turn the loop until nothing is left to do; return how often."""
        turned = 0
        while self.loop.soon:
            self.loop.turn()
            turned += 1
        return turned


@pytest.mark.parametrize(
    ("count", "turns"), [(1, 1), (CROWD - 1, 1), (CROWD, 1 + CROWD // CROWD_PER_TURN), (1000, 32)]
)
def test_each_is_written_once_and_a_crowd_later(count: int, turns: int) -> None:
    world = World(count)
    assert world.turns() == turns
    assert {one.flushed for one in world.connections} == {1}


def test_the_next_crowd_waits_anew() -> None:
    world = World(1000)
    assert world.turns() == 32
    world.add(*world.connections)
    assert world.turns() == 32
    assert {one.flushed for one in world.connections} == {2}


def test_who_comes_meanwhile_is_written_with_the_others() -> None:
    world = World(CROWD)
    world.loop.turn()
    late = Connection(9999)
    world.add(late)
    assert len(world.loop.soon) == 1
    world.turns()
    assert late.flushed == 1


def test_slow_turns_are_not_waited_for() -> None:
    """What else the loop has to do in them must not hold up a crowd."""
    world = World(1000)
    world.loop.turn()
    world.loop.now = CROWD_SECONDS
    assert world.turns() == 1
    assert world.connections[0].flushed == 1


def test_one_that_cannot_be_written_ends_alone() -> None:
    world = World(3)
    world.connections[1].is_broken = True
    world.turns()
    assert [one.flushed for one in world.connections] == [1, 0, 1]
    assert [one.is_aborted for one in world.connections] == [False, True, False]
    assert [str(error) for error in world.errors] == ["no bytes"]
