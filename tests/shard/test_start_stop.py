"""on_start before the first client, on_stop after the last; a refusal with a body of its own."""

import asyncio
from typing import Any

import pytest

from shardws import ShardwsError, Start, Stop, WebSocketServer
from shardws.errors import EXIT_CANNOT_START, EXIT_FAILED, StartError
from tests.shard.server_fixture import DEADLINE_S, client, listening, new_server, run
from tests.upgrade_request import UPGRADE


@pytest.mark.parametrize("is_async", [False, True], ids=["plain", "async"])
def test_they_enclose_all_clients(is_async: bool) -> None:
    told: list[Any] = []
    server = new_server()

    async def later(e: Start | Stop) -> None:
        await asyncio.sleep(0)
        told.append(e)

    server.on_start = later if is_async else told.append
    server.on_stop = later if is_async else told.append
    server.on_connected = lambda e: told.append("connected")
    server.on_disconnected = lambda e: told.append("disconnected")

    async def main() -> None:
        async with listening(server) as url:
            await client(url)

    run(main())
    assert told == [Start(0), "connected", "disconnected", Stop(0)]


def test_no_client_is_accepted_before_on_start_is_done() -> None:
    server = new_server()
    gate = asyncio.Event()
    told: list[str] = []

    async def on_start(e: Start) -> None:
        await gate.wait()
        told.append("started")

    server.on_start = on_start
    server.on_connected = lambda e: told.append("connected")

    async def main() -> None:
        async with listening(server) as url:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.local_port)
            writer.write(UPGRADE)
            await asyncio.sleep(0)
            gate.set()
            await server.ready()
            await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), DEADLINE_S)
            writer.close()
            ws = await client(url)
            await ws.close()

    run(main())
    assert told == ["started", "connected", "connected"]


async def fail_later(e: Start) -> None:
    await asyncio.sleep(0)
    raise OSError("no database\nyet")


def fail(e: Start) -> None:
    undefined_name  # type: ignore[name-defined]  # noqa: B018, F821


@pytest.mark.parametrize(
    ("handler", "text", "exit_code"),
    [
        (fail_later, "on_start raised OSError: no database yet", EXIT_FAILED),
        (fail, "on_start raised NameError: name 'undefined_name'", EXIT_CANNOT_START),
    ],
)
def test_an_on_start_that_raises_is_a_failed_start(handler: Any, text: str, exit_code: int) -> None:
    server = new_server()
    server.on_start = handler
    server.on_stop = lambda e: pytest.fail("it has not started")

    async def main() -> None:
        server.listening = True
        with pytest.raises(StartError) as error:
            await server.ready()
        assert error.value.description.startswith(text)
        assert "test_start_stop.py:" in error.value.description
        assert "\n" not in error.value.description
        assert error.value.exit_code == exit_code
        assert not server.listening
        await server.shutdown_complete()

    run(main())


def do_events_until_it_fails(server: WebSocketServer) -> None:
    while True:
        server.do_events()


def test_do_events_raises_what_on_start_failed_with() -> None:
    server = new_server()
    server.on_start = fail_later
    server.listening = True
    with pytest.raises(ShardwsError, match="no database"):
        do_events_until_it_fails(server)
    server.do_events()  # once
    server.shutdown()


def test_what_on_stop_raises_is_reported_and_ends_nothing() -> None:
    server = new_server()
    errors: list[str] = []

    def on_stop(e: Stop) -> None:
        raise RuntimeError("too late")

    server.on_stop = on_stop
    server.on_error = lambda e: errors.append(e.description)

    async def main() -> None:
        async with listening(server):
            await server.ready()

    run(main())
    assert errors == ["on_stop: RuntimeError: too late"]


def refusing(status: int, headers: str, body: str | bytes) -> WebSocketServer:
    server = new_server()

    def on_request(e: Any) -> None:
        e.status_code, e.response_headers, e.response_body = status, headers, body

    server.on_web_socket_open_request = on_request
    return server


async def refusal_of(server: WebSocketServer) -> tuple[list[str], bytes]:
    """Return the lines of the head and the body of the response to an opening request."""
    async with listening(server):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.local_port)
        writer.write(UPGRADE)
        answer = await asyncio.wait_for(reader.read(-1), DEADLINE_S)
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return head.decode().split("\r\n"), body


@pytest.mark.parametrize(
    ("status", "headers", "body", "expected", "kind"),
    [
        (401, "", "log in first é", "log in first é".encode(), "text/plain; charset=utf-8"),
        (403, "Content-Type: application/json", b'{"a": 1}', b'{"a": 1}', "application/json"),
        (404, "", "", b"refused by the application\n", "text/plain; charset=utf-8"),
        (304, "", "x", b"", None),
    ],
)
def test_a_refusal_has_the_body_that_the_application_gives(
    status: int, headers: str, body: str | bytes, expected: bytes, kind: str | None
) -> None:
    async def main() -> None:
        lines, found = await refusal_of(refusing(status, headers, body))
        assert lines[0].split()[1] == str(status)
        assert found == expected
        kinds = [line for line in lines if line.lower().startswith("content-type:")]
        assert kinds == ([f"Content-Type: {kind}"] if kind else [])
        assert (f"Content-Length: {len(expected)}" in lines) == (kind is not None)

    run(main())
