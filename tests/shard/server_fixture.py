"""A server of one shard on the test's own loop, a recorder of its events, and clients for it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import uvloop
from websockets.asyncio.client import ClientConnection, connect

from shardws import WebSocketServer

DEADLINE_S = 10.0


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run a test's coroutine on uvloop, within a deadline."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.wait_for(main, DEADLINE_S * 3))


def running_loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


def new_server() -> WebSocketServer:
    server = WebSocketServer()
    server.local_host = "127.0.0.1"
    return server


@contextlib.asynccontextmanager
async def listening(server: WebSocketServer) -> AsyncIterator[str]:
    """Let the server listen on a port of the system's choice; yields its URL."""
    server.listening = True
    try:
        yield f"ws://127.0.0.1:{server.local_port}"
    finally:
        done = server.shutdown_complete()
        await asyncio.wait_for(done, DEADLINE_S)


async def client(url: str, **options: Any) -> ClientConnection:
    return await asyncio.wait_for(connect(url, compression=None, **options), DEADLINE_S)


async def receive(connection: ClientConnection) -> str | bytes:
    return await asyncio.wait_for(connection.recv(), DEADLINE_S)


async def until(what: Callable[[], bool]) -> None:
    """Let the loop turn until something is true that no event tells of."""
    async with asyncio.timeout(DEADLINE_S):
        while not what():  # noqa: ASYNC110  what it looks at is not made to be waited for
            await asyncio.sleep(0.005)


class EventRecorder:
    """Collects events in their order, and lets a test wait for one."""

    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []
        self._changed = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()

    def note(self, *event: Any) -> None:
        self.events.append(event)
        task = asyncio.get_running_loop().create_task(self._notify())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    def named(self, name: str) -> list[tuple[Any, ...]]:
        """Return the events called `name` so far."""
        return [event for event in self.events if event[0] == name]

    def count(self, name: str) -> int:
        return len(self.named(name))

    async def wait_for(self, name: str, count: int = 1) -> list[tuple[Any, ...]]:
        """Return the events called `name` once there are `count` of them."""
        async with self._changed:
            await asyncio.wait_for(
                self._changed.wait_for(lambda: self.count(name) >= count), DEADLINE_S
            )
        return self.named(name)
