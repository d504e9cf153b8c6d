"""A server in a process whose allocations fail one after the other, beside clients of it.

In each round one client connects, says something and leaves, while one allocation fails within the
turns of the data path: the first in the first round, the second in the next, until a round has no
more. A healthy client is echoed to in every round. Prints what was counted, as JSON.

"untold" are those who got Connected and no Disconnected, "twice" those who got one twice.
"""

import asyncio
import contextlib
import json
import logging
import socket
import sys
from collections.abc import Callable
from typing import Any, Final

import uvloop

from shardws import Connected, DataIn, Disconnected, WebSocketServer
from tests.memory_failures import MOST, one_fails
from tests.unit.protocol.client_frames import close, frame
from tests.upgrade_request import UPGRADE

DEADLINE_S: Final = 20.0
TURNS: Final = 4  # of the loop, after a client has said something
SAID: Final[dict[str, list[bytes]]] = {
    "opening": [UPGRADE],
    "echo": [UPGRADE, frame(0x82, b"m" * 300)],
    "ping": [UPGRADE, frame(0x89, b"ping")],
    "fragments": [UPGRADE, frame(0x02, b"one") + frame(0x80, b"two")],
    "closing": [UPGRADE, close(1000)],
    "violation": [UPGRADE, frame(0x81, b"\xff")],
    "leaving": [UPGRADE, b""],
}


class Rounds:
    """The server, its counts, and the healthy client."""

    def __init__(self, said: list[bytes]) -> None:
        self.said = said
        self.loop = asyncio.get_running_loop()
        # By serial number of the connection; a list would allocate while it grows.
        self.connected, self.disconnected = bytearray(MOST), bytearray(MOST)
        server = self.server = WebSocketServer()
        server.local_host = "127.0.0.1"
        server.on_connected = self.on_connected
        server.on_disconnected = self.on_disconnected
        server.on_data_in = self.echo
        server.listening = True
        shard: Any = server._shard
        self.shard = shard
        self.turn: Callable[[], None] = shard.pump.turn
        self.number = -1  # of the allocation that is to fail, -1 none
        self.failed = False
        self.loop.remove_reader(self.shard.pump.fileno())
        self.loop.add_reader(self.shard.pump.fileno(), self.turn_without)

    def on_connected(self, event: Connected) -> None:
        self.connected[event.connection_id] += 1

    def on_disconnected(self, event: Disconnected) -> None:
        self.disconnected[event.connection_id] += 1

    def echo(self, event: DataIn) -> None:
        self.server.send(event.connection_id, event.text)

    def turn_without(self) -> None:
        """A turn of the pump in which one allocation fails, once a round."""
        number, self.number = self.number, -1
        if number < 0:
            self.turn()
        else:
            self.failed = one_fails(number, self.turn)

    async def run(self) -> dict[str, Any]:
        self.healthy = await self.connect()
        await self.receive(self.healthy, UPGRADE, b"\r\n\r\n")
        rounds = 0
        for number in range(MOST):
            async with asyncio.timeout(DEADLINE_S):
                await self.round(number)
            if not self.failed:
                rounds = number
                break
        pairs = list(zip(self.connected, self.disconnected, strict=True))
        return {
            "rounds": rounds,
            "healthy": pairs[1] == (1, 0),
            "untold": pairs.count((1, 0)) - 1,
            "twice": sum(max(pair) > 1 for pair in pairs),
            "connections": len(self.shard.connections),
            "registered": len(self.shard.registry),
        }

    async def round(self, number: int) -> None:
        client = await self.connect()
        *before, last = self.said
        with contextlib.suppress(OSError):
            for data in before:
                await self.receive(client, data, b"\r\n\r\n")
        self.failed, self.number = False, number
        with contextlib.suppress(OSError):
            if last:
                await self.loop.sock_sendall(client, last)
            else:
                client.close()
            for _ in range(TURNS):
                await asyncio.sleep(0)
        self.number = -1
        client.close()
        healthy = await self.receive(self.healthy, frame(0x82, b"alive"), b"alive")
        assert healthy == b"\x82\x05alive"
        while len(self.shard.connections) > 1:  # noqa: ASYNC110  no event tells of it
            await asyncio.sleep(0)

    async def connect(self) -> socket.socket:
        client = socket.socket()
        client.setblocking(False)
        await self.loop.sock_connect(client, ("127.0.0.1", self.server.local_port))
        return client

    async def receive(self, client: socket.socket, data: bytes, end: bytes) -> bytes:
        """Send, and read to the end of the answer."""
        await self.loop.sock_sendall(client, data)
        found = b""
        while not found.endswith(end):
            more = await self.loop.sock_recv(client, 4096)
            if not more:
                raise ConnectionResetError
            found += more
        return found


async def main(name: str) -> None:
    counts = await Rounds(SAID[name]).run()
    print(json.dumps(counts), flush=True)


if __name__ == "__main__":
    logging.disable()  # a line for each failure
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(sys.argv[1]))
