"""What can be a handler: a function, a coroutine function, an object that can be called."""

from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any

import pytest

from shardws import ShardwsError
from tests.shard.server_fixture import client, listening, new_server, receive, run


def generator(e: Any) -> Iterator[None]:
    yield


async def async_generator(e: Any) -> AsyncIterator[None]:
    yield


class Holder:
    def method(self, e: Any) -> Iterator[None]:
        yield

    def __call__(self, e: Any) -> Iterator[None]:
        yield


class Derived(Holder):
    pass


@pytest.mark.parametrize(
    "handler",
    [
        generator,
        async_generator,
        Holder().method,
        Holder(),
        Derived(),
        partial(generator),
        lambda e: (yield),
    ],
    ids=["plain", "async", "method", "object", "derived", "partial", "lambda"],
)
def test_a_generator_is_no_handler(handler: Any) -> None:
    """Its body never ran, and nobody was told."""
    server = new_server()
    with pytest.raises(ShardwsError, match=r"on_data_in takes a function.*generator") as error:
        server.on_data_in = handler
    assert error.value.code == 213
    assert server.on_data_in is None


def test_objects_that_can_be_called_are_handlers() -> None:
    class Echo:
        def __call__(self, e: Any) -> None:
            server.send(e.connection_id, e.text)

    server = new_server()
    server.on_data_in = Echo()

    async def main() -> None:
        async with listening(server) as url:
            ws = await client(url)
            await ws.send(b"x")
            assert await receive(ws) == b"x"
            await ws.close()

    run(main())
