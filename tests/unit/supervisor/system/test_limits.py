"""limits: what the descriptors allow."""

import resource
from collections.abc import Callable

import pytest

from shardws import ids
from shardws.errors import StartError
from shardws.shard.descriptors import OWN
from shardws_supervisor.system import limits


def test_room_is_what_a_shard_does_not_need_itself() -> None:
    room = limits.room_for(1024, 4)
    assert room.per_shard == 1024 - OWN - 4 * limits.PER_PEER
    assert room.whole == 4 * room.per_shard


def test_too_few_descriptors_name_both_numbers() -> None:
    with pytest.raises(StartError, match="RLIMIT_NOFILE is 50, and 2 shards need 72") as caught:
        limits.room_for(50, 2)
    assert caught.value.code == 10024


def test_max_connections_zero_is_as_many_as_fit() -> None:
    room = limits.room_for(1024, 2)
    assert limits.effective_connections(0, room) == room.whole
    assert limits.effective_connections(room.whole, room) == room.whole


def test_more_connections_than_descriptors_are_refused_with_both_numbers() -> None:
    room = limits.room_for(1024, 2)
    with pytest.raises(StartError, match=rf"MaxConnections is 5000.* allows {room.whole} "):
        limits.effective_connections(5000, room)


@pytest.mark.parametrize("descriptors", [1 << 30, 10**8])
def test_a_limit_that_is_none_makes_no_table_of_that_size(descriptors: int) -> None:
    """The default of many containers was ENOMEM, or a table of gigabytes."""
    room = limits.room_for(descriptors, 2)
    assert (room.per_shard, room.whole) == (limits.MOST_PER_SHARD, 2 * limits.MOST_PER_SHARD)
    assert limits.effective_connections(0, room) == room.whole


def test_max_connections_may_ask_for_more_than_our_own_bound() -> None:
    wanted = 3 * limits.MOST_PER_SHARD
    room = limits.room_for(1 << 30, 2, wanted)
    assert limits.effective_connections(wanted, room) == wanted
    assert limits.room_for(1 << 30, 2, 1 << 30).per_shard == ids.SERIALS


SCRIPT = """
import resource
from shardws_supervisor.system import limits
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (100, hard))
assert limits.raise_descriptor_limit() == hard, "raised"
assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
assert limits.raise_descriptor_limit() == hard, "raised before"
"""

UNLIMITED = """
import resource
from shardws_supervisor.system import limits
told, taken = [(100, resource.RLIM_INFINITY)], []
resource.getrlimit = lambda number: told[0]
resource.setrlimit = lambda number, pair: taken.append(pair)
assert limits.raise_descriptor_limit() == limits.MOST_DESCRIPTORS
assert taken == [(limits.MOST_DESCRIPTORS, resource.RLIM_INFINITY)]
told[0] = (1 << 30, 1 << 30)
assert limits.raise_descriptor_limit() == 1 << 30 and len(taken) == 1, "never lowered"
told[0] = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
assert limits.raise_descriptor_limit() == limits.MOST_DESCRIPTORS and len(taken) == 1
"""


def test_an_unlimited_hard_limit_is_not_taken_whole(run_script: Callable[[str], str]) -> None:
    run_script(UNLIMITED)


def test_the_soft_limit_is_raised_to_the_hard_one(run_script: Callable[[str], str]) -> None:
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[1] > 100
    run_script(SCRIPT)


def test_what_connections_take_of_memory() -> None:
    plain = limits.memory_needed(100_000, 4, is_tls=False)
    assert 200 << 20 < plain < 400 << 20
    assert limits.memory_needed(100_000, 4, is_tls=True) > 10 * (plain - (4 * 14 << 20))
