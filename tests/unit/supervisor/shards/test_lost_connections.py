"""The lost connections of a dead shard are reported once, to the right shard."""

from typing import Any

from shardws import ids
from shardws.census import Census
from shardws.wire import messages
from shardws_supervisor.shards.lost_connections import BATCH, LostConnections
from shardws_supervisor.shards.slots import ShardProcess, Slot, SlotTable, State
from shardws_supervisor.system.backoff import Backoff, Policy


class World:
    """Two slots, a census, and what was told to whom."""

    def __init__(self, capacity: int = 8) -> None:
        self.census = Census(rows=4, capacity=capacity)
        self.told: list[tuple[int, list[int]]] = []
        self.lost_connections = LostConnections(self.census, self.tell)
        self.table = SlotTable()
        for index in range(2):
            self.table.add(Slot(index, Backoff(Policy(), lambda: 0.5)))

    def tell(self, process: ShardProcess, kind: int, *fields: Any) -> None:
        assert kind == messages.LOST_CONNECTIONS
        self.told.append((process.slot, memoryview(fields[0]).cast("Q").tolist()))

    def begin(self, slot: int, generation: int) -> ShardProcess:
        return self.table[slot].begin(generation, 100 + slot, 0.0, 30.0)

    def die(self, process: ShardProcess, *serials: int) -> None:
        page = self.census.page(process.row)
        for serial in serials:
            page.enter(ids.pack(3, process.slot, process.generation, serial))
        self.table[process.slot].end(process, 1.0)
        self.lost_connections.ended(process)
        self.lost_connections.settle(self.table)


def test_the_successor_is_told_when_it_is_ready() -> None:
    world = World()
    state = world.begin(1, 0)
    state.move(State.READY, 0.5)
    world.die(world.begin(0, 0), 5, 9)
    assert world.told == []
    successor = world.begin(0, 1)
    world.lost_connections.settle(world.table)
    assert world.told == []
    successor.move(State.READY, 2.0)
    world.lost_connections.settle(world.table)
    world.lost_connections.settle(world.table)
    assert world.told == [(0, [ids.pack(3, 0, 0, 5), ids.pack(3, 0, 0, 9)])]


def test_a_slot_that_is_given_up_leaves_to_any_ready_shard() -> None:
    world = World()
    state = world.begin(1, 0)
    state.move(State.READY, 0.5)
    world.die(world.begin(0, 0), 7)
    world.table.remove(0)
    world.lost_connections.settle(world.table)
    assert world.told == [(1, [ids.pack(3, 0, 0, 7)])]


def test_nothing_is_told_of_a_shard_that_ended_in_order() -> None:
    world = World()
    state = world.begin(1, 0)
    state.move(State.READY, 0.5)
    world.die(world.begin(0, 0))
    assert world.told == []


def test_many_ids_come_in_messages_of_bounded_size() -> None:
    world = World(capacity=BATCH + 1)
    world.die(world.begin(0, 0), *range(1, BATCH + 2))
    successor = world.begin(0, 1)
    successor.move(State.READY, 2.0)
    world.lost_connections.settle(world.table)
    assert [len(batch) for _, batch in world.told] == [BATCH, 1]


def test_a_quarantined_slot_leaves_to_any_ready_shard() -> None:
    world = World()
    state = world.begin(1, 0)
    state.move(State.READY, 0.5)
    world.die(world.begin(0, 0), 7)
    assert world.told == []
    world.table[0].rest = State.QUARANTINED
    world.lost_connections.settle(world.table)
    assert world.told == [(1, [ids.pack(3, 0, 0, 7)])]


def test_at_the_end_a_shard_that_drains_is_told() -> None:
    world = World()
    state = world.begin(1, 0)
    state.move(State.READY, 0.5)
    state.move(State.DRAINING, 0.6)
    world.die(world.begin(0, 0), 7)
    assert world.told == []
    world.lost_connections.settle(world.table, is_ending=True)
    assert world.told == [(1, [ids.pack(3, 0, 0, 7)])]
    world.lost_connections.close()  # nothing is left
