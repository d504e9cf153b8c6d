"""What can be a handler: a function, a coroutine function, an object that can be called."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any

import pytest
import uvloop
from websockets.asyncio.client import ClientConnection

from shardws import ShardwsError
from tests.shard.server_fixture import DEADLINE_S, client, listening, new_server, receive, run
from tests.upgrade_request import UPGRADE


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


def test_an_interrupt_in_a_turn_ends_that_client_alone() -> None:
    """Its connection had left the queue of turns and was not read again, nor ever told ended."""

    def on_data_in(e: Any) -> None:
        if e.text == b"interrupt":
            raise KeyboardInterrupt
        server.send(e.connection_id, e.text)

    async def begin() -> tuple[asyncio.StreamReader, asyncio.StreamWriter, ClientConnection]:
        server.listening = True
        other = await client(f"ws://127.0.0.1:{server.local_port}")
        reader, writer = await asyncio.open_connection("127.0.0.1", server.local_port)
        writer.write(UPGRADE)
        await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), DEADLINE_S)
        return reader, writer, other

    async def interrupt() -> None:
        in_parts = b"\x01\x81\0\0\0\0x\x80\x80\0\0\0\0"
        writer.write(in_parts * 500 + b"\x81\x89\0\0\0\0interrupt")  # more than one slice
        await asyncio.sleep(DEADLINE_S)

    async def end() -> None:
        await asyncio.wait_for(reader.read(-1), DEADLINE_S)
        await other.send("alive")
        assert await receive(other) == b"alive"
        assert ended == [(1006, "an internal error of the server")]
        writer.close()
        await asyncio.wait_for(server.shutdown_complete(), DEADLINE_S)

    ended: list[tuple[int, str]] = []
    server = new_server()
    server.on_data_in = on_data_in
    server.on_disconnected = lambda e: ended.append(e[1:])
    loop = uvloop.new_event_loop()
    reader, writer, other = loop.run_until_complete(begin())
    with pytest.raises(KeyboardInterrupt):
        loop.run_until_complete(interrupt())
    loop.run_until_complete(end())
    loop.close()
