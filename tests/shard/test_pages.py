"""Which web pages may connect: by their origin, its scheme, and the host name they ask for."""

import asyncio
import logging

import pytest

from shardws import WebSocketOpenRequest, WebSocketServer
from tests.shard.raw_client import response_status
from tests.shard.server_fixture import DEADLINE_S, EventRecorder, listening, new_server, run
from tests.shard.tls_server_fixture import client_context, tls_server
from tests.upgrade_request import upgrade_request

OPENED, FORBIDDEN, MISDIRECTED = b"HTTP/1.1 101", b"HTTP/1.1 403", b"HTTP/1.1 421"


async def ask(server: WebSocketServer, host: str, *headers: bytes, is_tls: bool = False) -> bytes:
    """Return the first 12 bytes of the answer to a request for `host`."""
    context = client_context() if is_tls else None
    reader, writer = await asyncio.open_connection("127.0.0.1", server.local_port, ssl=context)
    request = upgrade_request(*headers)
    writer.write(request.replace(b"Host: a", b"Host: " + host.encode()))
    line = await asyncio.wait_for(reader.readline(), DEADLINE_S)
    writer.close()
    return line[:12]


@pytest.mark.parametrize(
    ("setting", "host", "origin", "answer"),
    [
        ("auto", "localhost:9001", "http://localhost:9001", OPENED),
        ("auto", "127.0.0.1", "http://127.0.0.1", OPENED),
        ("auto", "[::1]:9001", "http://[::1]:9001", OPENED),
        ("auto", "evil.example:9001", "http://evil.example:9001", MISDIRECTED),
        ("auto", "evil.example", "", OPENED),  # a program: no page is without Origin
        ("", "evil.example", "http://evil.example", OPENED),
        ("*", "evil.example", "http://evil.example", OPENED),
        ("loopback,*.example.com", "app.example.com", "http://app.example.com", OPENED),
        ("loopback,*.example.com", "localhost", "", OPENED),
        ("*.example.com", "localhost", "", MISDIRECTED),
        ("*.example.com", "evil.example", "", MISDIRECTED),
    ],
)
def test_allowed_hosts(
    setting: str, host: str, origin: str, answer: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """A page whose own name was made to lead to this host (DNS rebinding) was answered with 101."""
    caplog.set_level(logging.INFO, "shardws")

    async def main() -> None:
        server = new_server()
        server.allowed_hosts = setting
        headers = [b"Origin: " + origin.encode()] if origin else []
        async with listening(server):
            assert await ask(server, host, *headers) == answer

    run(main())
    name = host.partition(":")[0]
    line = f": 421 the host {name!r} is not in AllowedHosts"
    refused = [record for record in caplog.records if line in record.getMessage()]
    if answer == MISDIRECTED and ":" not in host:
        assert len(refused) == 1


@pytest.mark.parametrize("changed", [{"local_host": "0.0.0.0"}, {"trusted_proxies": "127.0.0.1"}])
def test_a_server_that_others_reach_has_names_of_its_own(changed: dict[str, str]) -> None:
    async def main() -> None:
        server = new_server()
        for name, value in changed.items():
            setattr(server, name, value)
        async with listening(server):
            assert await ask(server, "app.example", b"Origin: http://app.example") == OPENED

    run(main())


@pytest.mark.parametrize(
    ("origin", "answer"),
    [(b"https://127.0.0.1", OPENED), (b"http://127.0.0.1", FORBIDDEN), (b"null", FORBIDDEN)],
)
def test_over_tls_only_an_https_page_is_of_the_same_host(
    origin: bytes, answer: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """An http page, which anybody on its way can change, could open wss to its host."""
    caplog.set_level(logging.INFO, "shardws")

    async def main() -> None:
        server = tls_server()
        async with listening(server):
            headers = (b"Origin: " + origin,)
            assert await ask(server, "127.0.0.1", *headers, is_tls=True) == answer

    run(main())
    lines = [record.getMessage() for record in caplog.records if "refused" in record.getMessage()]
    assert len(lines) == (answer == FORBIDDEN)
    assert all(repr(origin.decode()) in line and "AllowedOrigins" in line for line in lines)


@pytest.mark.parametrize(
    ("told", "origin", "answer"),
    [
        (b"X-Forwarded-Proto: https", b"https://app.example", OPENED),
        (b"X-Forwarded-Proto: https", b"http://app.example", FORBIDDEN),
        (b"X-Forwarded-Proto: http", b"http://app.example", OPENED),
        (b"Forwarded: for=203.0.113.7;proto=https", b"http://app.example", FORBIDDEN),
        (b"X: y", b"http://app.example", OPENED),
        (b"X: y", b"https://app.example", OPENED),
    ],
)
def test_behind_a_proxy_the_scheme_is_the_one_it_tells(
    told: bytes, origin: bytes, answer: bytes
) -> None:
    async def main() -> None:
        server = new_server()
        server.trusted_proxies = "127.0.0.1"
        async with listening(server):
            assert await ask(server, "app.example", told, b"Origin: " + origin) == answer

    run(main())


def test_a_client_s_word_on_its_scheme_counts_nothing() -> None:
    async def main() -> None:
        server = tls_server()
        async with listening(server):
            headers = (b"X-Forwarded-Proto: http", b"Origin: http://127.0.0.1")
            assert await ask(server, "127.0.0.1", *headers, is_tls=True) == FORBIDDEN

    run(main())


@pytest.mark.parametrize("origin", [b"file://", b"null"])
def test_files_can_be_let_in(origin: bytes) -> None:
    async def main() -> None:
        server = new_server()
        server.allowed_origins = "same,file://,null"
        async with listening(server):
            assert await ask(server, "127.0.0.1", b"Origin: " + origin) == OPENED
        server.allowed_origins = ""
        async with listening(server):
            assert await ask(server, "127.0.0.1", b"Origin: " + origin) == FORBIDDEN

    run(main())


def test_headers_are_read_in_the_event_in_the_view_and_in_a_snapshot() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = new_server()

        def on_open(e: WebSocketOpenRequest) -> None:
            recorder.note("open", e.headers.get("x-role"), "cookie" in e.headers)

        server.on_web_socket_open_request = on_open
        server.on_connected = lambda e: recorder.note("connected", e.connection_id)
        async with listening(server):
            fields = (b"X-Role: user", b"x-ROLE: admin", b"X-Note: a\x85Cookie: s=1")
            _, writer = await asyncio.open_connection("127.0.0.1", server.local_port)
            writer.write(upgrade_request(*fields))
            ((_, identity),) = await recorder.wait_for("connected")
            assert recorder.events[0] == ("open", "user", False)
            view, snapshot = server.connections[identity], await server.connection(identity)
            assert view.headers == snapshot.headers
            assert snapshot.headers.get_all("X-Role") == ["user", "admin"]
            assert snapshot.headers["x-note"] == "a\x85Cookie: s=1"
            writer.close()

    run(main())


def test_lines_about_strangers_are_some_a_second_and_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """620 bad requests filled a pipe that nobody read; the counters count them all."""
    caplog.set_level(logging.INFO, "shardws")

    async def main() -> None:
        server = new_server()
        server.allowed_clients = "10.0.0.0/8"
        async with listening(server):
            for _ in range(40):
                assert (await response_status(server)).startswith(FORBIDDEN)

    run(main())
    lines = [record.getMessage() for record in caplog.records if record.name == "shardws.shard"]
    refused = [line for line in lines if line.startswith("refused ")]
    (rest,) = [line for line in lines if line.startswith("clients refused with 403: and ")]
    assert len(refused) < 40
    assert len(refused) + int(rest.split()[5]) == 40
