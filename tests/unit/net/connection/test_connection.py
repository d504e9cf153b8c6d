"""connection: what an idle one costs. Its behaviour is tested with sockets in tests/shard."""

import sys

from shardws.net.connection import Connection
from shardws.net.pump import Wire


def test_it_is_one_class_of_slots() -> None:
    """It was cut into four classes by inheritance, which no other class shared."""
    assert Connection.__bases__ == (Wire,)
    assert not hasattr(Connection.__new__(Connection), "__dict__")


def test_an_idle_one_takes_384_bytes() -> None:
    assert sys.getsizeof(Connection.__new__(Connection)) <= 384
