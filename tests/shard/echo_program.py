"""An echo server in a process of its own: prints its port, ends with its standard input.

Every 37th message is answered by a coroutine, so that its connection is held meanwhile.
"""

import asyncio
import itertools
import sys
from collections.abc import Awaitable

import uvloop

from shardws import DataIn, WebSocketServer
from shardws.net import pump


async def serve() -> None:
    server = WebSocketServer()
    server.local_host = "127.0.0.1"
    server.buffer_message = True
    numbers = itertools.count()

    async def later(e: DataIn) -> None:
        await asyncio.sleep(0)
        server.send(e.connection_id, e.text)

    def on_data_in(e: DataIn) -> Awaitable[None] | None:
        if next(numbers) % 37 == 0:
            return later(e)
        server.send(e.connection_id, e.text)
        return None

    server.on_data_in = on_data_in
    server.listening = True
    print(server.local_port, pump.IMPLEMENTATION, flush=True)
    end = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin, end.set)
    await end.wait()
    asyncio.get_running_loop().remove_reader(sys.stdin)
    await server.shutdown_complete()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())
