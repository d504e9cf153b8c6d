"""A small HTTP/1.1 server for operators and their machines: one request, one answer, closed.

Owns reading a request within its bounds and writing the answer; knows no path. Only GET and HEAD:
nothing can be changed through it. It is not for the public: see access.py for who may ask.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qsl

from shardws.log import logger

LONGEST_HEAD: Final = 16 << 10
MOST_FIELDS: Final = 16  # of a query
METHODS: Final = ("GET", "HEAD")
REQUEST_LINE: Final = re.compile(r"([A-Z]{1,20}) ([!-~]+) HTTP/([0-9]\.[0-9])")
HEADER: Final = re.compile(r"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):([^\x00-\x08\x0a-\x1f\x7f]*)")
SINGLE: Final = frozenset({"host", "authorization", "content-length"})
PATIENCE: Final = 10.0  # seconds from the connect to the end of the answer
LINGER: Final = 1.0  # seconds for the client to close first
MOST_CLIENTS: Final = 64

log = logger("supervisor.admin")


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

    def __init__(self, status: int, text: str, headers: dict[str, str] | None = None) -> None:
        self.status = status
        self.headers = headers or {}
        super().__init__(text)

    def response(self) -> Response:
        """Return the answer."""
        return Response(f"{self}\n".encode(), status=self.status, headers=self.headers)


def parse(head: bytes) -> Request:
    """Read a request's head, without the empty line; BadRequest when it is none we take.

    Strict, as RFC 9112 lets a server be: visible ASCII in the target, no folded or repeated Host,
    Host present (3.2), origin-form only (3.2.1), no body.
    """
    first, *rest = head.decode("latin-1").split("\r\n")
    line = REQUEST_LINE.fullmatch(first)
    if line is None:
        raise BadRequest(400, "not an HTTP request")
    method, target, version = line.groups()
    if version not in ("1.0", "1.1"):
        raise BadRequest(505, "HTTP/1.1 only")
    if not target.startswith("/"):
        raise BadRequest(400, "a target begins with /")
    if method not in METHODS:
        raise BadRequest(405, "only GET and HEAD", {"Allow": ", ".join(METHODS)})
    headers = _headers(rest)
    if "host" not in headers and version == "1.1":
        raise BadRequest(400, "no Host")
    if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
        raise BadRequest(400, "a request has no body")
    path, _, query = target.partition("?")
    try:
        fields = dict(parse_qsl(query, keep_blank_values=True, max_num_fields=MOST_FIELDS))
    except ValueError:
        raise BadRequest(400, f"a query has at most {MOST_FIELDS} fields") from None
    return Request(method, path, fields, headers)


def _headers(lines: list[str]) -> dict[str, str]:
    """Return the fields by lower-case name; BadRequest for what is none, or a second Host."""
    headers: dict[str, str] = {}
    for line in lines:
        field = HEADER.fullmatch(line)
        if field is None:
            raise BadRequest(400, "not a header")
        name, value = field[1].lower(), field[2].strip(" \t")
        if name in SINGLE and name in headers:
            raise BadRequest(400, f"{name} is there twice")
        headers[name] = value
    return headers


Handler = Callable[[Request], Awaitable[Response]]


class Server:
    """Answers with what `handler` returns; a handler that raises is a 500 and a log record."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._open = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take one connection from accept to close; never raises."""
        self._open += 1
        # So that drained means that the kernel has it all: an answer that is not read has an end.
        writer.transport.set_write_buffer_limits(0)
        try:
            async with asyncio.timeout(PATIENCE):
                if self._open > MOST_CLIENTS:
                    response, with_body = Response(b"too many clients\n", status=503), True
                else:
                    response, with_body = await self._answer(reader)
                writer.write(response.encode(with_body=with_body))
                await writer.drain()
            writer.write_eof()
            async with asyncio.timeout(LINGER):
                # Closing with unread bytes would reset the connection and the answer with it.
                while await reader.read(LONGEST_HEAD):
                    pass
        except (TimeoutError, OSError):
            # It said nothing in time, reads too slowly, or has gone.
            if writer.transport.get_write_buffer_size():
                writer.transport.abort()
        finally:
            self._open -= 1
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader) -> tuple[Response, bool]:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            request = parse(head[:-4])
        except BadRequest as error:
            return error.response(), True
        except asyncio.LimitOverrunError:
            return Response(b"the request's head is too long\n", status=431), True
        except asyncio.IncompleteReadError:
            raise ConnectionResetError from None
        try:
            return await self._handler(request), request.method == "GET"
        except Exception:
            log.exception("%s failed", request.path)
            return Response(b"internal error\n", status=500), True
