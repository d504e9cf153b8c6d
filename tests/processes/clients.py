"""Clients of the process tests that watch for a close, never answer, or connect again and again."""

import json
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.processes.conftest import DEADLINE, RunningServer, eventually
from tests.upgrade_request import UPGRADE


def close_code(client: ClientConnection) -> int:
    """Read to the end and return the code the client was closed with; 1006 without one."""
    try:
        while True:
            client.recv(timeout=DEADLINE)
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else 1006


def read_greeting(sock: socket.socket) -> dict[str, Any]:
    """Read the response to UPGRADE and the application's first message; return the latter."""
    received = b""
    while not received.endswith(b"}"):
        piece = sock.recv(4096)
        assert piece, f"the server ended: {received!r}"
        received += piece
    greeting: dict[str, Any] = json.loads(received[received.index(b"{") :])
    return greeting


def open_silent(
    server: RunningServer, shard: int | None = None
) -> tuple[socket.socket, dict[str, Any]]:
    """Open a WebSocket that answers to nothing; return its socket and its greeting.

    With a shard: connect until the kernel chooses that one. The caller closes the socket.
    """
    for _ in range(200):
        sock = socket.create_connection((server.host, server.port), DEADLINE)
        sock.sendall(UPGRADE)
        greeting = read_greeting(sock)
        if shard is None or greeting["shard"] == shard:
            return sock, greeting
        sock.close()
    pytest.fail(f"200 connects and none on shard {shard}")


class ConnectLoop(threading.Thread):
    """Connects again and again; `refused` lists what a client must never see."""

    def __init__(self, server: RunningServer) -> None:
        super().__init__(daemon=True)
        self.server = server
        self.served = 0
        self.refused: list[str] = []
        self.stop = threading.Event()

    def run(self) -> None:
        while not self.stop.is_set():
            try:
                with connect(self.server.url, open_timeout=DEADLINE, close_timeout=2) as client:
                    client.recv(timeout=DEADLINE)
                    self.served += 1
            except ConnectionClosed:
                self.served += 1  # it was connected, and told to come back
            except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
                self.refused.append(repr(error))


def refused_during(server: RunningServer, act: Callable[[], None], loops: int = 3) -> list[str]:
    """Return what went wrong for clients that connect all the time while `act` runs."""
    clients = [ConnectLoop(server) for _ in range(loops)]
    for client in clients:
        client.start()
    eventually(lambda: all(client.served for client in clients))
    act()
    wanted = [max(5, client.served + 2) for client in clients]  # connects that began after it
    eventually(lambda: all(c.served >= many for c, many in zip(clients, wanted, strict=True)))
    for client in clients:
        client.stop.set()
        client.join(DEADLINE)
        assert not client.is_alive()
    return [error for client in clients for error in client.refused]
