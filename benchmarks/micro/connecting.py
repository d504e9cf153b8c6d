"""The scenario of a connection's life: TCP, both handshakes, and the end.

The clients are sockets of the same process, as many at a time as a batch has, each with as few
calls as there can be; what they cost is in the count. The kernel is not: it runs no instructions of
the process.
"""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import uvloop

from shardws import Connected, Disconnected, WebSocketServer

TURNS_LIMIT: Final = 10_000  # of the server for one step of a batch
MOST: Final = 4096
REQUEST: Final = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
CLOSE: Final = b"\x88\x82\x00\x00\x00\x00\x03\xe8"  # 1000, masked with zeros
REPLY: Final = b"\x88\x02\x03\xe8"


@contextmanager
def connecting(per_batch: int) -> Iterator[Callable[[int], None]]:
    """Connects, opens and closes `per_batch` connections in a batch; both handlers are set."""
    loop = uvloop.new_event_loop()
    server = WebSocketServer()
    server.local_host = "127.0.0.1"
    opened: list[Connected] = []
    gone: list[Disconnected] = []
    server.on_connected = opened.append
    server.on_disconnected = gone.append

    async def listen() -> None:
        server.listening = True
        await asyncio.sleep(0)

    def turn_until(told: list[Connected] | list[Disconnected]) -> None:
        for _ in range(TURNS_LIMIT):
            if len(told) == per_batch:
                return
            loop.call_soon(loop.stop)
            loop.run_forever()
        raise TimeoutError(f"{len(told)} of {per_batch} connections")

    loop.run_until_complete(listen())
    address = "127.0.0.1", server.local_port

    def run(batches: int) -> None:
        for _ in range(batches):
            opened.clear()
            gone.clear()
            clients = [socket.socket() for _ in range(per_batch)]
            for client in clients:
                client.connect(address)
                client.send(REQUEST)
            turn_until(opened)
            for client in clients:
                assert client.recv(MOST).startswith(b"HTTP/1.1 101")
                client.send(CLOSE)
            turn_until(gone)
            for client in clients:
                assert client.recv(MOST) == REPLY
                client.close()

    try:
        yield run
    finally:
        loop.run_until_complete(server.shutdown_complete())
        loop.close()
