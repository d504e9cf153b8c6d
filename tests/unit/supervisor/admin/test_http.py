"""http: heads are read strictly and bounded; one request, one answer."""

import asyncio

import pytest

from shardws_supervisor.admin import http
from shardws_supervisor.admin.http import BadRequest, Request, Response, Server, parse

HOST = b"\r\nHost: h:1"


def test_a_request_is_taken_apart() -> None:
    request = parse(b"GET /status?x=1&y=a%20b&z HTTP/1.1\r\nHost: h:1\r\nX-Y: \tz ")
    query = {"x": "1", "y": "a b", "z": ""}
    assert request == Request("GET", "/status", query, {"host": "h:1", "x-y": "z"})


def test_the_older_version_needs_no_host() -> None:
    assert parse(b"GET /livez HTTP/1.0") == Request("GET", "/livez", {}, {})


BAD = {
    "nothing": (b"", 400),
    "garbage": (b"\x16\x03\x01", 400),
    "no version": (b"GET /", 400),
    "two blanks": (b"GET  / HTTP/1.1" + HOST, 400),
    "lower case": (b"get / HTTP/1.1" + HOST, 400),
    "octets in the target": (b"GET /\xff HTTP/1.1" + HOST, 400),
    "bare line feed": (b"GET / HTTP/1.1\nHost: h", 400),
    "folded header": (b"GET / HTTP/1.1\r\nA: b\r\n c" + HOST, 400),
    "blank before the colon": (b"GET / HTTP/1.1\r\nA : b" + HOST, 400),
    "no colon": (b"GET / HTTP/1.1\r\nA" + HOST, 400),
    "zero in a header": (b"GET / HTTP/1.1\r\nA: \x00" + HOST, 400),
    "no host": (b"GET / HTTP/1.1\r\nA: b", 400),
    "two hosts": (b"GET / HTTP/1.1" + HOST + HOST, 400),
    "two secrets": (b"GET / HTTP/1.1\r\nAuthorization: a\r\nAuthorization: b" + HOST, 400),
    "whole address": (b"GET http://h/ HTTP/1.1" + HOST, 400),
    "long query": (b"GET /?" + b"a=1&" * 20 + b" HTTP/1.1" + HOST, 400),
    "other version": (b"GET / HTTP/2.0" + HOST, 505),
    "other method": (b"POST / HTTP/1.1" + HOST, 405),
    "a body": (b"GET / HTTP/1.1\r\nContent-Length: 3" + HOST, 400),
    "a chunked body": (b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked" + HOST, 400),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_not_taken(name: str) -> None:
    head, status = BAD[name]
    with pytest.raises(BadRequest) as caught:
        parse(head)
    assert caught.value.status == status
    assert caught.value.response().status == status


def test_the_methods_are_named() -> None:
    with pytest.raises(BadRequest) as caught:
        parse(b"DELETE / HTTP/1.1" + HOST)
    assert caught.value.response().headers == {"Allow": "GET, HEAD"}


def test_a_response_on_the_wire() -> None:
    response = Response(b"hi", status=404, headers={"X": "y"})
    head, _, body = response.encode(with_body=True).partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "HTTP/1.1 404 Not Found"
    assert {"Content-Length: 2", "Connection: close", "X: y"} <= set(lines)
    assert body == b"hi"
    assert response.encode(with_body=False).endswith(b"\r\n\r\n")


async def exchange(server: Server, data: bytes) -> bytes:
    """Send bytes to a listening server and read to the end."""
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, limit=http.LONGEST_HEAD)
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
    monkeypatch.setattr(http, "PATIENCE", 0.05)
    assert asyncio.run(exchange(Server(greet), b"GET / HT")) == b""


def test_too_many_clients_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MOST_CLIENTS", 0)
    answer = asyncio.run(exchange(Server(greet), b"GET / HTTP/1.1\r\n\r\n"))
    assert answer.startswith(b"HTTP/1.1 503 ")


def test_an_answer_that_nobody_reads_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the kernel does not take within the patience is thrown away with its connection."""
    monkeypatch.setattr(http, "PATIENCE", 0.2)

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
