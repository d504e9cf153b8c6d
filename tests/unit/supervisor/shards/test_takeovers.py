"""Takeovers: their steps, and what happens when one of the two dies or is late."""

import json
from dataclasses import replace
from typing import Any

import pytest

from shardws import ids
from shardws.census import Census
from shardws.routing.identity import incarnation
from shardws.settings import Settings
from shardws.wire import messages
from shardws_supervisor.plan import plan as plans
from shardws_supervisor.shards.slots import ShardProcess, Slot, SlotTable, State
from shardws_supervisor.shards.takeovers import (
    MOVE_GRACE,
    MOVE_SECONDS,
    SWITCH_SECONDS,
    Takeovers,
    is_served,
)
from shardws_supervisor.system.backoff import Backoff, Policy

NODE = 3


def plan() -> plans.Plan:
    made = plans.read(Settings(), lambda: pytest.fail("no application is needed"), ())
    return replace(made, node=NODE)


class World:
    """Two slots, and what was asked of whom."""

    def __init__(self) -> None:
        self.census = Census(rows=4, capacity=8)
        self.takeovers = Takeovers(self, self.census)
        self.table = SlotTable()
        self.done: list[tuple[Any, ...]] = []
        for index in range(2):
            self.table.add(Slot(index, Backoff(Policy(), lambda: 0.5)))

    def ready(self, slot: int) -> ShardProcess:
        generation = self.table[slot].next_generation()
        assert generation is not None
        process = self.table[slot].begin(generation, 100 + slot * 10 + generation, 0.0, 30.0)
        process.move(State.READY, 0.0)
        return process

    def tell(self, process: ShardProcess, kind: int, *fields: Any) -> None:
        self.done.append((messages.BY_NUMBER[kind].name, process.pid, *fields))

    def announce(self) -> None:
        self.done.append(("announce",))

    def stops_accepting(self, process: ShardProcess) -> None:
        self.done.append(("stops accepting", process.pid))

    def drain_rest(self, process: ShardProcess, plan: plans.Plan, now: float) -> None:
        process.move(State.DRAINING, now)
        self.done.append(("drain", process.pid))

    def begin(self, source: ShardProcess, target: ShardProcess) -> None:
        self.takeovers.begin(source, target, "reload", plan(), 10.0)

    def moved(self, process: ShardProcess, moved: int, now: float = 11.0, **left: int) -> None:
        body = json.dumps({"moved": moved, "left": left}).encode()
        self.takeovers.moved(process, body, now)

    def take(self) -> list[tuple[Any, ...]]:
        done, self.done = self.done, []
        return done

    def own(self, process: ShardProcess) -> int:
        return incarnation(NODE, process.slot, process.generation)


def test_the_source_drains_only_when_nobody_sends_to_it_any_more() -> None:
    world = World()
    source, target = world.ready(0), world.ready(0)
    world.begin(source, target)
    name, pid, *who = world.take()[1]
    assert (name, pid, source.state) == ("TAKEOVER", source.pid, State.MOVING)
    assert who == [target.row, target.generation, target.pid, int(MOVE_SECONDS * 1000), "reload"]
    world.takeovers.switched(source, 10.5)  # too early: it means nothing
    assert world.take() == []
    world.moved(source, 5, tls=2)
    assert target.adopted == {world.own(source)}
    assert world.take() == [("announce",)]
    world.takeovers.switched(source, 11.5)
    assert world.take() == [("drain", source.pid)]
    assert world.takeovers.report() == {
        "takeovers": 1,
        "moved_connections": 5,
        "unmoved_connections": {"tls": 2},
    }


def test_incarnations_move_on_as_long_as_one_of_their_connections_lives() -> None:
    world = World()
    first, second = world.ready(0), world.ready(0)
    world.begin(first, second)
    page = world.census.page(second.row)
    page.enter(ids.pack(NODE, 0, 200, 5))  # of a process long before
    world.moved(first, 1)
    assert second.adopted == {world.own(first), incarnation(NODE, 0, 200)}
    assert is_served(NODE, 0, 200, [first, second])
    world.takeovers.switched(first, 12.0)
    world.table[0].end(first, 12.5)
    third = world.ready(0)
    world.begin(second, third)
    world.census.page(third.row).enter(ids.pack(NODE, 0, 200, 5))
    world.moved(second, 1)
    assert not second.adopted
    assert third.adopted == {world.own(second), incarnation(NODE, 0, 200)}


def test_without_a_moved_connection_nobody_has_to_look_elsewhere() -> None:
    world = World()
    source, target = world.ready(0), world.ready(0)
    world.begin(source, target)
    world.take()
    world.moved(source, 0, tls=9)
    assert target.adopted == frozenset()
    assert world.take() == [("drain", source.pid)]


@pytest.mark.parametrize("is_moved", [False, True])
def test_a_source_that_is_late_drains(is_moved: bool) -> None:
    world = World()
    source, target = world.ready(0), world.ready(0)
    world.begin(source, target)
    due = 10.0 + MOVE_SECONDS + MOVE_GRACE
    if is_moved:
        world.moved(source, 1, 11.0)
        due = 11.0 + SWITCH_SECONDS
    world.take()
    assert world.takeovers.ends() == [due]
    world.takeovers.expire(due - 0.1)
    assert world.take() == []
    world.takeovers.expire(due)
    assert world.take() == [("drain", source.pid)]
    world.moved(source, 7, due + 1)  # its late report changes nothing
    assert world.take() == []


def test_a_successor_that_dies_leaves_the_rest_to_the_drain() -> None:
    world = World()
    source, target = world.ready(0), world.ready(0)
    world.begin(source, target)
    world.take()
    assert world.takeovers.target_of(source) is target
    world.table[0].end(target, 10.5)
    world.takeovers.ended(target, 10.5)
    assert world.take() == [("drain", source.pid)]
    assert world.takeovers.target_of(source) is None


def test_a_source_that_dies_is_forgotten() -> None:
    world = World()
    source, target = world.ready(0), world.ready(0)
    world.begin(source, target)
    world.take()
    world.table[0].end(source, 10.5)
    world.takeovers.ended(source, 10.5)
    world.takeovers.expire(1e9)
    assert world.take() == []
    assert target.state is State.READY


def test_a_takeover_waits_for_one_that_gives_to_its_source() -> None:
    """Connections that arrive after it has handed over its own would be cut."""
    world = World()
    removed, middle, last = world.ready(1), world.ready(0), world.ready(0)
    world.begin(removed, middle)
    world.take()
    world.begin(middle, last)
    world.begin(middle, last)  # asked for at every turn of a reload
    assert world.take() == []
    world.moved(removed, 1)
    assert middle.state is State.READY
    world.takeovers.switched(removed, 12.0)
    assert [entry[0] for entry in world.take()] == [
        "announce",
        "drain",
        "stops accepting",
        "TAKEOVER",
    ]


def test_a_target_that_hands_over_itself_names_the_one_to_give_to_next() -> None:
    world = World()
    removed, middle, last = world.ready(1), world.ready(0), world.ready(0)
    world.begin(middle, last)
    world.begin(removed, middle)
    world.moved(middle, 1)
    assert removed.state is State.READY, "one source at a time"
    world.take()
    world.takeovers.switched(middle, 12.0)
    name, pid, *who = world.take()[2]
    assert (name, pid, who[2]) == ("TAKEOVER", removed.pid, last.pid)


def test_what_had_moved_when_the_source_died_or_was_late_is_found_at_the_target() -> None:
    for ends in ("dies", "is late"):
        world = World()
        source, target = world.ready(0), world.ready(0)
        world.begin(source, target)
        world.census.page(target.row).enter(ids.pack(NODE, 0, source.generation, 5))
        world.take()
        if ends == "dies":
            world.table[0].end(source, 10.5)
            world.takeovers.ended(source, 10.5)
        else:
            world.takeovers.expire(1e9)
            assert world.take() == [("announce",), ("drain", source.pid)]
        assert target.adopted == {world.own(source)}


def test_a_takeover_that_waits_gives_up_when_its_target_has_gone() -> None:
    world = World()
    removed, middle, last = world.ready(1), world.ready(0), world.ready(0)
    world.begin(removed, middle)
    world.begin(middle, last)
    world.moved(removed, 1)
    last.move(State.STOPPING, 11.5)
    world.take()
    world.takeovers.switched(removed, 12.0)
    assert world.take() == [("drain", removed.pid), ("drain", middle.pid)]
