"""A small HTTP/1.1 server for operators and their machines: one request, one answer, closed.

Owns reading a request within its bounds and writing the answer; knows no path. Only GET and HEAD:
nothing can be changed through it. It is not for the public: see admin.py for who may ask.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from shardws.log import logger

LONGEST_HEAD: Final = 16 << 10
PATIENCE: Final = 10.0  # seconds from the connect to the end of the answer
LINGER: Final = 1.0  # seconds for the client to close first
MOST_CLIENTS: Final = 64

log = logger("supervisor.http")


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked; header names in lower case."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class Response:
    """What is answered."""

    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)

    def encode(self, *, with_body: bool) -> bytes:
        """Return the bytes on the wire."""
        fields = {
            "Content-Type": self.content_type,
            "Content-Length": str(len(self.body)),
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "Connection": "close",
            **self.headers,
        }
        lines = [f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}"]
        lines += [f"{name}: {value}" for name, value in fields.items()]
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
        return head + self.body if with_body else head


class BadRequest(Exception):
    """A request that is answered with `status` and closed."""

    def __init__(self, status: int, text: str) -> None:
        self.status = status
        super().__init__(text)


def parse(head: bytes) -> Request:
    """Read a request's head, without the empty line; BadRequest when it is none we take."""
    try:
        first, *rest = head.decode("latin-1").split("\r\n")
        method, target, version = first.split(" ")
        headers = {}
        for line in rest:
            name, mark, value = line.partition(":")
            if not mark or not name or name != name.strip():
                raise ValueError
            headers[name.lower()] = value.strip()
        parts = urlsplit(target)
    except ValueError:
        raise BadRequest(400, "not an HTTP request") from None
    if not version.startswith("HTTP/1."):
        raise BadRequest(505, "HTTP/1.1 only")
    if method not in ("GET", "HEAD"):
        raise BadRequest(405, "only GET and HEAD")
    if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
        raise BadRequest(400, "a request has no body")
    return Request(method, parts.path, dict(parse_qsl(parts.query)), headers)


Handler = Callable[[Request], Awaitable[Response]]


class Server:
    """Answers with what `handler` returns; a handler that raises is a 500 and a log record."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._open = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take one connection from accept to close; never raises."""
        self._open += 1
        try:
            async with asyncio.timeout(PATIENCE):
                if self._open > MOST_CLIENTS:
                    response, with_body = Response(b"too many clients\n", status=503), True
                else:
                    response, with_body = await self._answer(reader)
                writer.write(response.encode(with_body=with_body))
                writer.write_eof()
            async with asyncio.timeout(LINGER):
                # Closing with unread bytes would reset the connection and the answer with it.
                while await reader.read(LONGEST_HEAD):
                    pass
        except (TimeoutError, OSError):
            pass  # it said nothing in time, or has gone
        finally:
            self._open -= 1
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader) -> tuple[Response, bool]:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            request = parse(head[:-4])
        except BadRequest as error:
            return Response(f"{error}\n".encode(), status=error.status), True
        except asyncio.LimitOverrunError:
            return Response(b"the request's head is too long\n", status=431), True
        except asyncio.IncompleteReadError:
            raise ConnectionResetError from None
        try:
            return await self._handler(request), request.method == "GET"
        except Exception:
            log.exception("%s failed", request.path)
            return Response(b"internal error\n", status=500), True
