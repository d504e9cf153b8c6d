"""The mapping of ids to connections."""

import pytest

from shardws.routing.registry import Registry
from tests.unit.routing.shard_cluster import FakeConnection


def test_add_get_remove() -> None:
    registry = Registry()
    one = FakeConnection(1)
    registry.add(one)
    registry.add(one)
    assert (registry.get(1), registry.get(2), len(registry), list(registry)) == (one, None, 1, [1])
    assert registry.snapshot() == [one]
    registry.remove(FakeConnection(1))  # not the one that is there
    assert registry.get(1) is one
    registry.remove(one)
    registry.remove(one)
    assert len(registry) == 0


def test_id_is_not_given_twice() -> None:
    registry = Registry()
    registry.add(FakeConnection(1))
    with pytest.raises(ValueError, match="id 1 is taken"):
        registry.add(FakeConnection(1))


def test_the_newest_come_first() -> None:
    registry = Registry()
    entered = [FakeConnection(number) for number in (3, 1, 2)]
    for one in entered:
        registry.add(one)
    assert registry.newest(2) == [entered[2], entered[1]]
    assert registry.newest(9) == entered[::-1]
    assert registry.newest(0) == []
