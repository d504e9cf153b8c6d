"""What dead shards owe is handed over once, to the right heir."""

from typing import Any

from shardws import ids
from shardws.census import Census
from shardws.wire import messages
from shardws_supervisor.backoff import Backoff, Policy
from shardws_supervisor.estates import BATCH, Estates
from shardws_supervisor.slots import Life, Slot, SlotTable, State


class World:
    """Two slots, a census, and what was told to whom."""

    def __init__(self, capacity: int = 8) -> None:
        self.census = Census(rows=4, capacity=capacity)
        self.told: list[tuple[int, list[int]]] = []
        self.estates = Estates(self.census, self.tell)
        self.table = SlotTable()
        for index in range(2):
            self.table.add(Slot(index, Backoff(Policy(), lambda: 0.5)))

    def tell(self, life: Life, kind: int, *fields: Any) -> None:
        assert kind == messages.BEREAVED
        self.told.append((life.slot, memoryview(fields[0]).cast("Q").tolist()))

    def begin(self, slot: int, generation: int) -> Life:
        return self.table[slot].begin(generation, 100 + slot, 0.0, 30.0)

    def die(self, life: Life, *serials: int) -> None:
        page = self.census.page(life.row)
        for serial in serials:
            page.enter(serial)
        self.table[life.slot].end(life, 1.0)
        self.estates.ended(life, node=3)
        self.estates.settle(self.table)


def test_the_successor_is_told_when_it_is_ready() -> None:
    world = World()
    witness = world.begin(1, 0)
    witness.move(State.READY, 0.5)
    world.die(world.begin(0, 0), 5, 9)
    assert world.told == []
    successor = world.begin(0, 1)
    world.estates.settle(world.table)
    assert world.told == []
    successor.move(State.READY, 2.0)
    world.estates.settle(world.table)
    world.estates.settle(world.table)
    assert world.told == [(0, [ids.pack(3, 0, 0, 5), ids.pack(3, 0, 0, 9)])]


def test_a_slot_that_is_given_up_leaves_to_any_ready_shard() -> None:
    world = World()
    witness = world.begin(1, 0)
    witness.move(State.READY, 0.5)
    world.die(world.begin(0, 0), 7)
    world.table.remove(0)
    world.estates.settle(world.table)
    assert world.told == [(1, [ids.pack(3, 0, 0, 7)])]


def test_nothing_is_told_of_a_shard_that_ended_in_order() -> None:
    world = World()
    witness = world.begin(1, 0)
    witness.move(State.READY, 0.5)
    world.die(world.begin(0, 0))
    assert world.told == []


def test_many_ids_come_in_messages_of_bounded_size() -> None:
    world = World(capacity=BATCH + 1)
    world.die(world.begin(0, 0), *range(1, BATCH + 2))
    successor = world.begin(0, 1)
    successor.move(State.READY, 2.0)
    world.estates.settle(world.table)
    assert [len(batch) for _, batch in world.told] == [BATCH, 1]


def test_a_quarantined_slot_leaves_to_any_ready_shard() -> None:
    world = World()
    witness = world.begin(1, 0)
    witness.move(State.READY, 0.5)
    world.die(world.begin(0, 0), 7)
    assert world.told == []
    world.table[0].rest = State.QUARANTINED
    world.estates.settle(world.table)
    assert world.told == [(1, [ids.pack(3, 0, 0, 7)])]


def test_at_the_end_a_shard_that_drains_is_told() -> None:
    world = World()
    witness = world.begin(1, 0)
    witness.move(State.READY, 0.5)
    witness.move(State.DRAINING, 0.6)
    world.die(world.begin(0, 0), 7)
    assert world.told == []
    world.estates.settle(world.table, is_ending=True)
    assert world.told == [(1, [ids.pack(3, 0, 0, 7)])]
    world.estates.close()  # nothing is left
