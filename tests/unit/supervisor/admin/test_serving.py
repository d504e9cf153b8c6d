"""serving: one request, one answer; strangers hold no place, and nothing waits for ever."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

import pytest

from shardws_supervisor.admin import serving
from shardws_supervisor.admin.http import LONGEST_HEAD, Request, Response
from shardws_supervisor.admin.serving import Server


async def exchange(server: Server, data: bytes) -> bytes:
    """Send bytes to a listening server and read to the end."""
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, limit=LONGEST_HEAD)
    async with listening:
        reader, writer = await asyncio.open_connection(*listening.sockets[0].getsockname())
        writer.write(data)
        if not data:
            writer.write_eof()
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
    return answer


async def greet(request: Request) -> Response:
    if request.path == "/boom":
        raise RuntimeError("boom")
    return Response(f"you asked for {request.path}\n".encode())


@pytest.mark.parametrize(
    ("data", "start", "end"),
    [
        (b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n", b"HTTP/1.1 200 OK", b"you asked for /a\n"),
        (b"HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n", b"HTTP/1.1 200 OK", b"\r\n\r\n"),
        (b"GET /boom HTTP/1.1\r\nHost: h\r\n\r\n", b"HTTP/1.1 500 ", b"internal error\n"),
        (b"PUT /a HTTP/1.1\r\n\r\n", b"HTTP/1.1 405 ", b"only GET and HEAD\n"),
        (b"GET /" + b"x" * 40_000, b"HTTP/1.1 431 ", b"too long\n"),
        (b"", b"", b""),
    ],
)
def test_one_request_one_answer(data: bytes, start: bytes, end: bytes) -> None:
    answer = asyncio.run(exchange(Server(greet), data))
    assert answer.startswith(start)
    assert answer.endswith(end)


def test_a_client_that_says_nothing_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "HEAD_SECONDS", 0.05)
    assert asyncio.run(exchange(Server(greet), b"GET / HT")) == b""


def test_too_many_clients_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "MOST_CLIENTS", 0)
    answer = asyncio.run(exchange(Server(greet), b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"))
    assert answer.startswith(b"HTTP/1.1 503 ")


def test_an_answer_that_nobody_reads_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the kernel does not take within the patience is thrown away with its connection."""
    monkeypatch.setattr(serving, "PATIENCE", 0.2)

    async def flood(_request: Request) -> Response:
        return Response(b"x" * (32 << 20))

    async def main() -> None:
        ended = asyncio.Event()
        server = Server(flood)

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await server.serve(reader, writer)
            assert writer.transport.is_closing()
            assert not writer.transport.get_write_buffer_size()
            ended.set()

        listening = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with listening:
            reader, writer = await asyncio.open_connection(*listening.sockets[0].getsockname())
            writer.write(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            transport = writer.transport
            assert isinstance(transport, asyncio.ReadTransport)
            transport.pause_reading()
            await asyncio.wait_for(ended.wait(), 20)
            writer.close()
            del reader

    asyncio.run(main())


GET = b"GET /%b HTTP/1.1\r\nHost: h\r\n\r\n"


@contextlib.asynccontextmanager
async def listening(server: Server) -> AsyncIterator[tuple[str, int]]:
    made = await asyncio.start_server(server.serve, "127.0.0.1", 0, limit=LONGEST_HEAD)
    async with made:
        yield made.sockets[0].getsockname()


async def ask(address: tuple[str, int], path: bytes) -> bytes:
    """Return the first line of the answer."""
    reader, writer = await asyncio.open_connection(*address)
    writer.write(GET % path)
    line = await asyncio.wait_for(reader.readline(), 10)
    writer.close()
    return line


def test_silent_connections_hold_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """64 connects that said nothing made /livez 503; the oldest one goes when there are many."""
    monkeypatch.setattr(serving, "MOST_SILENT", 8)
    monkeypatch.setattr(serving, "MOST_CLIENTS", 2)

    async def main() -> None:
        async with listening(Server(greet)) as address:
            silent = []
            for _ in range(20):
                reader, writer = await asyncio.open_connection(*address)
                writer.write(b"GET / HT")
                silent.append((reader, writer))
                assert (await ask(address, b"a")).startswith(b"HTTP/1.1 200")
            for reader, _ in silent[:12]:
                with contextlib.suppress(ConnectionResetError):
                    assert await asyncio.wait_for(reader.read(), 1) == b""
            last, writer = silent[-1]
            writer.write(b"TP/1.1\r\nHost: h\r\n\r\n")
            assert (await last.readline()).startswith(b"HTTP/1.1 200")
            for _, writer in silent:
                writer.close()

    asyncio.run(main())


def test_probes_have_places_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "MOST_CLIENTS", 3)

    async def main() -> None:
        begun, go_on = asyncio.Semaphore(0), asyncio.Event()

        async def handle(request: Request) -> Response:
            if request.path == "/slow":
                begun.release()
                await go_on.wait()
            return Response(b"ok\n")

        async with listening(Server(handle, ("/livez",))) as address:
            slow = [asyncio.ensure_future(ask(address, b"slow")) for _ in range(3)]
            for _ in slow:
                await begun.acquire()
            assert (await ask(address, b"other")).startswith(b"HTTP/1.1 503")
            assert (await ask(address, b"livez")).startswith(b"HTTP/1.1 200")
            go_on.set()
            assert {line[:12] for line in await asyncio.gather(*slow)} == {b"HTTP/1.1 200"}

    asyncio.run(main())


def test_those_who_do_not_close_are_closed_oldest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "MOST_LINGERING", 4)
    monkeypatch.setattr(serving, "LINGER", 60.0)

    async def main() -> None:
        async with listening(Server(greet)) as address:
            lingering = []
            for _ in range(5):
                reader, writer = await asyncio.open_connection(*address)
                writer.write(GET % b"a")
                assert (await reader.read()).endswith(b"you asked for /a\n")
                lingering.append(writer)
            oldest, *others = lingering
            with contextlib.suppress(ConnectionError):
                while True:  # until the reset of the one that was closed arrives
                    oldest.write(b"more")
                    await oldest.drain()
                    await asyncio.sleep(0)
            for writer in others:
                assert not writer.transport.is_closing()
                writer.close()

    asyncio.run(main())


def test_a_request_with_a_body() -> None:
    async def main() -> None:
        async def handle(request: Request) -> Response:
            return Response(request.body)

        server = Server(handle, posts=("/send",))
        head = b"POST /send HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n"
        assert (await exchange(server, head + b"hello")).endswith(b"\r\n\r\nhello")

    asyncio.run(main())


def test_refusals_are_logged_some_a_second(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "shardws")
    server = Server(greet)
    for _ in range(12):
        asyncio.run(exchange(server, b"nonsense\r\n\r\n"))
    lines = [record.getMessage() for record in caplog.records if "refused" in record.getMessage()]
    assert len(lines) >= 10
    assert set(lines) == {"refused an admin request from 127.0.0.1: 400 not an HTTP request"}
