"""Who may connect: AllowedClients, MaxConnections, ConnectionRequest, clients behind proxies."""

import asyncio
import contextlib
import logging
from collections.abc import Callable

import pytest
from websockets.exceptions import InvalidStatus

from shardws import ConnectionRequest, DataIn, WebSocketServer
from tests.shard.raw_client import response_status
from tests.shard.server_fixture import (
    DEADLINE_S,
    EventRecorder,
    client,
    listening,
    new_server,
    receive,
    run,
    until,
)
from tests.upgrade_request import UPGRADE


def echo(server: WebSocketServer) -> Callable[[DataIn], None]:
    def on_data_in(e: DataIn) -> None:
        server.send(e.connection_id, e.text)

    return on_data_in


@pytest.mark.surface("AllowedClients")
@pytest.mark.parametrize(
    ("setting", "is_allowed"),
    [
        ("*", True),
        ("127.0.0.1", True),
        ("10.0.0.0/8, 127.0.0.0/8", True),
        ("127.0.*", True),
        ("localhost", True),
        ("10.0.0.0/8", False),
        ("::1", False),
        ("192.168.*", False),
        ("*.example.com", False),
    ],
)
def test_clients_connect_by_the_setting(setting: str, is_allowed: bool) -> None:
    async def main() -> None:
        server = new_server()
        server.allowed_clients = setting
        async with listening(server):
            answer = await response_status(server)
            assert answer.startswith(b"HTTP/1.1 101" if is_allowed else b"HTTP/1.1 403"), answer

    run(main())


@pytest.mark.surface("AllowedClients")
def test_the_setting_changes_for_those_that_come_later() -> None:
    async def main() -> None:
        server = new_server()
        async with listening(server) as url:
            ws = await client(url)
            server.allowed_clients = "10.0.0.0/8"
            assert (await response_status(server)).startswith(b"HTTP/1.1 403")
            server.on_data_in = echo(server)
            await ws.send(b"still here")
            assert await receive(ws) == b"still here"
            server.allowed_clients = "localhost"
            assert (await response_status(server)).startswith(b"HTTP/1.1 101")
            await ws.close()

    run(main())


@pytest.mark.surface("ConnectionRequest", "AllowedClients")
@pytest.mark.parametrize("is_async", [False, True])
def test_the_event_comes_first_and_may_overrule_allowed_clients(is_async: bool) -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = new_server()
        server.allowed_clients = "10.0.0.0/8"

        def decide(e: ConnectionRequest) -> None:
            recorder.note("request", e.address, e.port > 0, e.accept)
            e.accept = len(recorder.events) == 1
            with pytest.raises(AttributeError, match="read-only"):
                e.address = "10.0.0.1"

        async def decide_later(e: ConnectionRequest) -> None:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            decide(e)

        server.on_connection_request = decide_later if is_async else decide
        server.on_web_socket_open_request = lambda e: recorder.note("open request")
        server.on_connected = lambda e: recorder.note("connected")
        async with listening(server):
            assert (await response_status(server)).startswith(b"HTTP/1.1 101")
            assert recorder.events == [
                ("request", "127.0.0.1", True, False),
                ("open request",),
                ("connected",),
            ]
            assert (await response_status(server)).startswith(b"HTTP/1.1 403")
            server.on_connection_request = None
            server.allowed_clients = "*"
            assert (await response_status(server)).startswith(b"HTTP/1.1 101")

    run(main())


def test_bytes_that_come_while_the_event_is_decided_on_are_not_lost() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = new_server()
        gate = asyncio.Event()

        async def on_connection_request(e: ConnectionRequest) -> None:
            recorder.note("request")
            await gate.wait()

        server.on_connection_request = on_connection_request
        server.on_data_in = echo(server)
        async with listening(server):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.local_port)
            request = UPGRADE
            writer.write(request[:40])
            await recorder.wait_for("request")
            writer.write(request[40:] + b"\x82\x81\x00\x00\x00\x00x")
            await asyncio.sleep(0)
            gate.set()
            await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), DEADLINE_S)
            assert await asyncio.wait_for(reader.readexactly(3), DEADLINE_S) == b"\x82\x01x"
            writer.close()

    run(main())


def test_a_handler_that_raises_refuses_the_client(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = new_server()

        def on_connection_request(e: ConnectionRequest) -> None:
            raise KeyError("a fault of the application")

        server.on_connection_request = on_connection_request
        server.on_error = lambda e: recorder.note("error", e.connection_id, e.error_code)
        async with listening(server):
            assert (await response_status(server)).startswith(b"HTTP/1.1 500")
            assert await recorder.wait_for("error") == [("error", 0, 436)]

    run(main())
    assert "a fault of the application" in caplog.text


@pytest.mark.surface("MaxConnections", "WebSocketConnectionCount", "ConnectionRequest")
@pytest.mark.parametrize("has_handler", [False, True])
def test_at_the_limit_clients_get_503_whatever_the_event_says(has_handler: bool) -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = new_server()
        server.max_connections = 2

        def on_connection_request(e: ConnectionRequest) -> None:
            recorder.note("request", e.accept)
            e.accept = True

        if has_handler:
            server.on_connection_request = on_connection_request
        server.on_disconnected = lambda e: recorder.note("disconnected")
        async with listening(server) as url:
            clients = [await client(url) for _ in range(2)]
            for _ in range(3):
                with pytest.raises(InvalidStatus) as refused:
                    await client(url)
                assert refused.value.response.status_code == 503
                assert refused.value.response.headers["Retry-After"] == "5"
            assert server.web_socket_connection_count == 2
            await clients[0].close()
            await recorder.wait_for("disconnected")
            third = await client(url)
            assert server.web_socket_connection_count == 2
            if has_handler:
                accepts = [event[1] for event in recorder.events if event[0] == "request"]
                assert accepts == [True, True, False, False, False, True]
            await clients[1].close()
            await third.close()

    run(main())


def test_when_too_many_linger_for_their_503_more_get_no_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("shardws.shard.admission.MOST_TURNED_AWAY", 1)

    async def main() -> None:
        server = new_server()
        server.max_connections = 1
        async with listening(server) as url:
            ws = await client(url)
            lingering, writer = await asyncio.open_connection("127.0.0.1", server.local_port)
            writer.write(UPGRADE)
            assert (await asyncio.wait_for(lingering.readline(), 5)).startswith(b"HTTP/1.1 503")
            with contextlib.suppress(ConnectionResetError):
                assert await response_status(server) == b""
            writer.close()
            await ws.close()

    run(main())


def test_a_denied_client_that_sends_nothing_is_told_so_at_a_short_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("shardws.net.connection.connection.DENIED_S", 0.3)

    async def main() -> None:
        server = new_server()
        server.allowed_clients = "10.0.0.0/8"
        server.default_connection_timeout = 0
        async with listening(server):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.local_port)
            assert (await asyncio.wait_for(reader.readline(), 5)).startswith(b"HTTP/1.1 403")
            writer.close()

    run(main())


@pytest.mark.parametrize("shows", [False, True])
def test_connections_are_logged_on_demand_and_queries_only_if_asked_for(
    shows: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "shardws")

    async def main() -> None:
        recorder = EventRecorder()
        server = new_server()
        server.log_connections = True
        server.log_queries = shows
        server.on_connected = lambda e: recorder.note("connected", e.connection_id)
        server.on_disconnected = lambda e: recorder.note("disconnected")
        async with listening(server) as url:
            ws = await client(f"{url}/path?token=secret")
            await ws.close(4000, "done\nwith")
            await recorder.wait_for("disconnected")
        identity = recorder.events[0][1]
        lines = [record for record in caplog.records if record.name == "shardws.shard"]
        assert [record.connection_id for record in lines] == [identity] * 2  # type: ignore[attr-defined]
        assert [record.shard for record in lines] == [0, 0]  # type: ignore[attr-defined]
        opened, ended = (record.getMessage() for record in lines)
        assert opened.startswith("opened for 127.0.0.1:")
        assert opened.endswith("/path?token=secret" if shows else "/path?...")
        assert ended.endswith("4000 'done\\nwith'")

    run(main())


@pytest.mark.surface("ConnectionRequest", "WebSocketConnectionCount")
@pytest.mark.parametrize("has_handler", [False, True])
def test_who_is_refused_does_not_count_though_the_answer_waits_for_the_request(
    has_handler: bool,
) -> None:
    """It counted as a connection until its request came, or some seconds had passed."""

    async def main() -> None:
        recorder = EventRecorder()
        server = new_server()

        def refuse(e: ConnectionRequest) -> None:
            e.accept = False
            recorder.note("refused")

        if has_handler:
            server.on_connection_request = refuse
        else:
            server.allowed_clients = "192.0.2.1"
        async with listening(server):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.local_port)
            assert server._shard is not None
            shard = server._shard
            await until(lambda: bool(shard.connections))
            assert server.web_socket_connection_count == 0
            writer.write(UPGRADE)
            assert (await asyncio.wait_for(reader.readline(), DEADLINE_S)).startswith(
                b"HTTP/1.1 403"
            )
            writer.close()
            await until(lambda: not shard.connections)
            assert server.web_socket_connection_count == 0

    run(main())
