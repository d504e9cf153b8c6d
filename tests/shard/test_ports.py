"""Whose a port is: alone, shared, taken, and to be had again."""

import asyncio
import socket
from typing import Any

import pytest

from shardws import ShardwsError, WebSocketServer
from shardws.net import portlock, sockets
from tests.shard.server_fixture import client, listening, new_server, receive, run


def echo(server: WebSocketServer, identity: int, data: bytes) -> None:
    server.send(identity, data)


@pytest.mark.surface("BindExclusively", "LocalPort", "Listening")
def test_an_exclusive_port_is_nobody_elses_and_another_may_be_shared() -> None:
    async def main() -> None:
        first, second = new_server(), new_server()
        async with listening(first):
            second.local_port = first.local_port
            for is_exclusive in (True, False):
                second.bind_exclusively = is_exclusive
                with pytest.raises(ShardwsError) as error:
                    second.listening = True
                assert error.value.code == 10048
        first.bind_exclusively = second.bind_exclusively = False
        first.local_port = 0
        async with listening(first):
            second.local_port = first.local_port
            async with listening(second):
                assert second.local_port == first.local_port

    run(main())


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port


@pytest.mark.parametrize("is_given", [True, False])
def test_an_exclusive_port_is_locked_while_it_is_listened_on(is_given: bool) -> None:
    """A supervisor that has bound the port, but whose shards do not listen yet, was not noticed."""

    async def main() -> None:
        server = new_server()
        if is_given:
            port = server.local_port = free_port()
            with portlock.take(f"127.0.0.1:{port}"):
                with pytest.raises(ShardwsError, match=f"127.0.0.1:{port}: .*in use") as error:
                    server.listening = True
                assert error.value.code == 10048
                assert not server.listening
        async with listening(server):
            place = f"127.0.0.1:{server.local_port}"
            with pytest.raises(ShardwsError, match="in use"):
                portlock.take(place)
            server.listening = False
            portlock.take(place).close()

    run(main())


def test_a_shared_port_is_not_locked() -> None:
    async def main() -> None:
        server = new_server()
        server.bind_exclusively = False
        async with listening(server):
            portlock.take(f"127.0.0.1:{server.local_port}").close()

    run(main())


def test_a_port_that_somebody_takes_between_bind_and_listen_is_an_error_of_the_model(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It was a bare OSError; Linux lets two sockets bind a port as long as neither listens."""

    async def main() -> None:
        server = new_server()
        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)

            def open_port(*arguments: Any, **options: Any) -> sockets.Port:
                port = real(*arguments, **options)
                other.bind(port.sock.getsockname())
                other.listen()
                return port

            real = sockets.open_port
            monkeypatch.setattr(sockets, "open_port", open_port)
            with pytest.raises(ShardwsError) as error:
                server.listening = True
            monkeypatch.undo()
            place = f"127.0.0.1:{other.getsockname()[1]}"
            assert error.value.code == 10048
            assert error.value.description == f"cannot listen on {place}: the address is in use"
            assert not server.listening
            portlock.take(place).close()  # the failed start let go of it
        async with listening(server) as url:
            await client(url)

    run(main())


@pytest.mark.surface("Listening", "LocalPort")
def test_connections_stay_when_listening_ends_and_the_port_can_be_had_again() -> None:
    async def main() -> None:
        server = new_server()
        server.on_data_in = lambda e: echo(server, e.connection_id, e.text)
        async with listening(server) as url:
            ws = await client(url)
            port = server.local_port
            server.listening = False
            assert not server.listening
            assert server.local_port == 0
            with pytest.raises(OSError, match="refused"):
                await asyncio.open_connection("127.0.0.1", port)
            await ws.send(b"still here")
            assert await receive(ws) == b"still here"
            server.local_port = port
            server.listening = True
            other = await client(f"ws://127.0.0.1:{port}")
            await other.send(b"me too")
            assert await receive(other) == b"me too"

    run(main())
