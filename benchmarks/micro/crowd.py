"""A whole server and many clients: what it needs in user space for one message.

The clients are in a process of their own (`crowd_clients`), which callgrind does not follow. All of
them send before the server looks, so that each batch is the same work.
"""

import asyncio
import os
import select
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Final

import uvloop

from benchmarks.micro.crowd_clients import PAYLOAD
from shardws import App, DataIn, WebSocket, WebSocketServer

CLIENTS: Final = 64
BATCH: Final = 1024  # messages: what the loop needs to start and end is little beside them
LIMIT_S: Final = 300.0  # of all rounds, under callgrind


class Crowd:
    """The process of the clients, told by bytes on its standard input."""

    def __init__(
        self, port: int, sent: int, expected: int, then: Callable[[], object] = lambda: None
    ) -> None:
        """In a round each client sends, and expects, so many; `then` is called in between."""
        words = [sys.executable, "-m", "benchmarks.micro.crowd_clients"]
        env = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
        self._process = subprocess.Popen(
            [*words, str(port), str(CLIENTS), str(sent), str(expected)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env=env,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin.fileno(), self._process.stdout.fileno()
        self._left = 0
        self._then = then
        self._done: asyncio.Future[None] | None = None

    async def opened(self) -> None:
        """Return when all clients are connected."""
        await self._rounds(0)

    async def exchange(self, rounds: int) -> None:
        """Have every client send and receive its messages, so many times."""
        self._send()
        await self._rounds(rounds - 1)

    async def _rounds(self, left: int) -> None:
        """Wait for the end of this round, and of `left` more."""
        loop = asyncio.get_running_loop()
        self._left, self._done = left, loop.create_future()
        loop.add_reader(self._out, self._next)
        try:
            async with asyncio.timeout(LIMIT_S):
                await self._done
        finally:
            loop.remove_reader(self._out)

    def _next(self) -> None:
        assert self._done is not None
        if not os.read(self._out, 1):
            self._done.set_exception(RuntimeError("the clients have ended"))
        elif not self._left:
            self._done.set_result(None)
        else:
            self._left -= 1
            self._send()

    def _send(self) -> None:
        """Return when all have sent."""
        os.write(self._in, b"g")
        select.select([self._out], [], [])  # the loop has made it non-blocking
        os.read(self._out, 1)
        self._then()

    def close(self) -> None:
        """End the process; its clients are lost."""
        self._process.kill()
        self._process.communicate()


@contextmanager
def serving(
    server: WebSocketServer | None = None,
) -> Iterator[tuple[asyncio.AbstractEventLoop, WebSocketServer]]:
    """A server that listens, as in a shard."""
    loop = uvloop.new_event_loop()
    if server is None:
        server = WebSocketServer()
        server.config("BufferMessage=True")
    server.local_host = "127.0.0.1"

    async def listen() -> None:
        server.listening = True
        await server.ready()

    try:
        loop.run_until_complete(listen())
        yield loop, server
        loop.run_until_complete(server.shutdown_complete())
    finally:
        loop.close()


@contextmanager
def crowding(depth: int) -> Iterator[Callable[[int], None]]:
    """A batch is BATCH messages of 125 B, `depth` from each client at a time."""
    rounds = BATCH // (CLIENTS * depth)
    with serving() as (loop, server):

        def on_data_in(e: DataIn) -> None:
            server.send(e.connection_id, e.text)

        server.on_data_in = on_data_in
        with closing(Crowd(server.local_port, depth, depth)) as crowd:
            loop.run_until_complete(crowd.opened())
            yield lambda batches: loop.run_until_complete(crowd.exchange(batches * rounds))


@contextmanager
def crowding_app(depth: int) -> Iterator[Callable[[int], None]]:
    """The same by a route of an App: what the coroutine of each client costs is on top."""
    rounds = BATCH // (CLIENTS * depth)
    app = App(local_port=0)

    @app.route("/")
    async def echo(ws: WebSocket) -> None:
        async for message in ws:
            await ws.send(message)

    with (
        serving(app.server) as (loop, server),
        closing(Crowd(server.local_port, depth, depth)) as crowd,
    ):
        loop.run_until_complete(crowd.opened())
        yield lambda batches: loop.run_until_complete(crowd.exchange(batches * rounds))


@contextmanager
def broadcasting_to_crowd(window: int) -> Iterator[Callable[[int], None]]:
    """A batch is BATCH deliveries of 125 B, `window` messages to all clients at a time."""
    rounds = BATCH // (CLIENTS * window)
    with serving() as (loop, server):

        def broadcast() -> None:
            for _ in range(window):
                server.broadcast(PAYLOAD)

        with closing(Crowd(server.local_port, 0, window, broadcast)) as crowd:
            loop.run_until_complete(crowd.opened())
            yield lambda batches: loop.run_until_complete(crowd.exchange(batches * rounds))
