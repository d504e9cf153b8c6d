"""shutdown: the client sees the end although another process holds the socket."""

import os
import socket
from typing import Any

import pytest

from shardws.net.shutdown import shut_down


class Transport:
    def __init__(self, sock: Any) -> None:
        self.sock = sock

    def get_extra_info(self, name: str, default: Any) -> Any:
        return self.sock if name == "socket" else default


@pytest.fixture
def pair() -> Any:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
    ):
        ours, _ = server.accept()
        with ours:
            yield ours, client


def test_a_copy_does_not_hold_the_connection(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, client = pair
    copy = os.dup(ours.fileno())
    ours.sendall(b"last words")
    shut_down(Transport(ours))
    assert ours.fileno() >= 0  # whoever owns it closes it
    ours.close()
    client.settimeout(5)
    assert client.recv(100) == b"last words"
    assert client.recv(100) == b""
    os.close(copy)


def test_there_may_be_nothing_to_end(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, client = pair
    shut_down(Transport(None))
    client.close()
    ours.shutdown(socket.SHUT_RDWR)
    shut_down(Transport(ours))
    ours.close()
    shut_down(Transport(ours))
