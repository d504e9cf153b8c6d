"""limits: what the descriptors allow."""

import resource
from collections.abc import Callable

import pytest

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


SCRIPT = """
import resource
from shardws_supervisor.system import limits
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (100, hard))
assert limits.raise_descriptor_limit() == hard, "raised"
assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
assert limits.raise_descriptor_limit() == hard, "raised before"
"""


def test_the_soft_limit_is_raised_to_the_hard_one(run_script: Callable[[str], str]) -> None:
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[1] > 100
    run_script(SCRIPT)


def test_what_connections_take_of_memory() -> None:
    plain = limits.memory_needed(100_000, 4, is_tls=False)
    assert 200 << 20 < plain < 400 << 20
    assert limits.memory_needed(100_000, 4, is_tls=True) > 10 * (plain - (4 * 14 << 20))
