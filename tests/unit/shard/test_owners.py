"""Whose connection an id is: by arithmetic and shared memory, without asking."""

import pytest

from shardws import ids
from shardws.shard import owners
from shardws.shard.context import ShardContext
from shardws.stats import GENERATION, PID, SERIAL, Stats


@pytest.fixture
def context() -> ShardContext:
    """Shard 0 of two, both in generation 2; shard 1 has given 10 ids and replaced generation 1."""
    stats = Stats(2)
    row = stats.row(ids.row_of(1, 2))
    row[PID], row[GENERATION], row[SERIAL] = 4711, 2, 10
    stats.row(ids.row_of(1, 1))[SERIAL] = 10  # vacant: its pid is 0
    return ShardContext(0, 2, 5, "nonce", 1, stats)


@pytest.mark.parametrize(
    ("parts", "slot"),
    [
        ((5, 1, 2, 1), 1),
        ((5, 1, 2, 10), 1),
        ((5, 1, 2, 11), None),  # it has given no such id yet
        ((5, 1, 1, 3), None),  # its process is gone
        ((5, 1, 4, 3), None),  # a generation that has not come
        ((5, 0, 2, 3), None),  # our own
        ((5, 2, 2, 3), None),  # no such slot
        ((6, 1, 2, 3), None),  # another node
    ],
)
def test_an_id_names_a_shard_that_serves(
    context: ShardContext, parts: tuple[int, int, int, int], slot: int | None
) -> None:
    assert owners.other_shard(ids.pack(*parts), context) == slot


@pytest.mark.parametrize("given", [0, -1, ids.MAX_ID + 1, None, "x", 1.5])
def test_what_is_no_id_is_of_nobody(context: ShardContext, given: object) -> None:
    assert owners.other_shard(given, context) is None


def test_the_advice_names_what_to_await() -> None:
    assert "`await server.connection(77)`" in owners.advice(77, 1)
    assert "set_connection(77" in owners.advice(77, 1)
