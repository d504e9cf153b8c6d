"""shared_memory: found again by its descriptor, and what refuses that."""

import os

import pytest

from shardws.census import Census
from shardws.shared_memory import SharedMemory
from shardws.stats import CONNECTED, Stats


def test_it_is_found_again_by_its_descriptor() -> None:
    one = Stats(2)
    one.row(3)[CONNECTED] = 7
    other = Stats(2, os.dup(one.memory.fileno()))
    assert other.row(3)[CONNECTED] == 7
    other.row(3)[CONNECTED] = 8
    assert one.total(CONNECTED) == 8


def test_so_is_a_census() -> None:
    one = Census(rows=2, capacity=3)
    cell = one.page(1).enter(5, fd=9)
    other = Census(2, 3, os.dup(one.memory.fileno()))
    assert other.collect(1) == [5]
    assert cell == 1


@pytest.mark.parametrize("slots", [1, 3])
def test_another_size_is_refused(slots: int) -> None:
    one = Stats(2)
    with pytest.raises(ValueError, match="bytes, not"):
        Stats(slots, os.dup(one.memory.fileno()))


def test_another_layout_is_refused() -> None:
    one = Stats(2)
    one.memory.bytes[:8] = bytes(8)
    with pytest.raises(ValueError, match="begins with"):
        Stats(2, os.dup(one.memory.fileno()))


def test_the_mapping_stays_when_the_descriptor_is_closed() -> None:
    memory = SharedMemory("test", 8)
    file = memory.fileno()
    memory.close()
    memory.close()
    memory.bytes[0] = 1
    assert memory.fileno() == -1
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(file)
