"""IdAllocator rise, run out once, and begin anew with a new process only."""

from shardws import ids
from shardws.shard.context import nobody
from shardws.shard.id_allocator import RESERVE, IdAllocator
from shardws.stats import SERIAL, Stats

BASE = ids.pack(0, 3, 7, 1) - 1


class Told:
    """Counts how often it is told that ids run short."""

    def __init__(self) -> None:
        self.count = 0

    def hear(self) -> None:
        self.count += 1


def test_ids_follow_each_other_also_over_processes() -> None:
    row = Stats(1).row(0)
    first = IdAllocator(row, BASE, nobody)
    assert [first.new_id(), first.new_id()] == [BASE + 1, BASE + 2]
    later = ids.pack(0, 3, 9, 1) - 1
    assert IdAllocator(row, later, nobody).new_id() == later + 3


def test_no_id_is_given_twice_by_one_process() -> None:
    """The serial wrapped to 1, and the id of a living connection was given again."""
    row = Stats(1).row(0)
    serials = IdAllocator(row, BASE, nobody)
    row[SERIAL] = ids.SERIALS - 3
    assert ids.unpack(serials.new_id()).serial == ids.SERIALS - 2
    assert ids.unpack(serials.new_id()).serial == ids.SERIALS - 1
    assert [serials.new_id(), serials.new_id()] == [0, 0]
    assert row[SERIAL] == ids.SERIALS - 1


def test_it_tells_once_that_ids_run_short() -> None:
    row = Stats(1).row(0)
    told = Told()
    serials = IdAllocator(row, BASE, told.hear)
    row[SERIAL] = ids.SERIALS - RESERVE - 2
    serials.new_id()
    assert told.count == 0
    serials.new_id()
    serials.new_id()
    row[SERIAL] = ids.SERIALS - 1
    serials.new_id()
    assert told.count == 1


def test_a_process_that_finds_half_of_the_serials_used_begins_anew() -> None:
    row = Stats(1).row(0)
    row[SERIAL] = ids.SERIALS // 2 + 1
    assert IdAllocator(row, BASE, nobody).new_id() == BASE + 1
    row[SERIAL] = ids.SERIALS // 2
    assert ids.unpack(IdAllocator(row, BASE, nobody).new_id()).serial == ids.SERIALS // 2 + 1
