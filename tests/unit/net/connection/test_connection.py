"""connection: what an idle one costs. Its behaviour is tested with sockets in tests/shard."""

import asyncio
import sys

from shardws.net.connection import Connection


def test_it_is_one_class_of_slots() -> None:
    """It was cut into four classes by inheritance, which no other class shared."""
    assert Connection.__bases__ == (asyncio.Protocol,)
    assert not hasattr(Connection.__new__(Connection), "__dict__")


def test_an_idle_one_takes_288_bytes() -> None:
    assert sys.getsizeof(Connection.__new__(Connection)) <= 288
