"""The connections of the admin server and their limits.

A client that has sent no complete request cannot keep others out: a connection takes one of the
MOST_CLIENTS places only when its request is complete, which must be within HEAD_SECONDS of the
connect. Before that, and after its response was sent, it is in a `Crowd`, whose oldest connection
is closed when it grows too large. Probes have places of their own, so that other requests cannot
make the server look unhealthy.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from typing import Final

from shardws.log import Adapter, cut, logger
from shardws_supervisor.admin.http import (
    LONGEST_HEAD,
    BadRequest,
    Request,
    Response,
    body_length,
    parse,
)

HEAD_SECONDS: Final = 2.0  # from the connect to the end of the request
PATIENCE: Final = 10.0  # seconds from there to the end of the response
LINGER: Final = 1.0  # seconds for the client to close first
MOST_CLIENTS: Final = 64  # requests in progress, probes not counted
MOST_PROBES: Final = 64
MOST_SILENT: Final = 256  # connections without a complete request; each costs a descriptor
MOST_LINGERING: Final = 256  # connections whose response was sent and that do not close

Handler = Callable[[Request], Awaitable[Response]]

TOO_MANY: Final = Response(b"too many clients\n", status=503)
TOO_LONG: Final = Response(b"the request's head is too long\n", status=431)
FAILED: Final = Response(b"internal error\n", status=500)


class Crowd:
    """Connections waiting for their clients; when there are too many, the oldest is closed."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._waiting: dict[asyncio.WriteTransport, None] = {}  # the oldest first

    def enter(self, transport: asyncio.WriteTransport) -> None:
        """Add a connection; the oldest is closed when there are too many."""
        self._waiting[transport] = None
        if len(self._waiting) > self._most:
            oldest = next(iter(self._waiting))
            self.leave(oldest)
            oldest.abort()

    def leave(self, transport: asyncio.WriteTransport) -> None:
        """Remove a connection; no effect when it was removed already."""
        self._waiting.pop(transport, None)


class Server:
    """Responds with what `handler` returns; an exception in it becomes a 500 and a log record.

    `probes` are the paths with places of their own, `posts` those that accept POST and a body.
    """

    def __init__(
        self, handler: Handler, probes: Collection[str] = (), posts: Collection[str] = ()
    ) -> None:
        self._handler = handler
        self._probes = probes
        self._posts = posts
        self._silent = Crowd(MOST_SILENT)
        self._lingering = Crowd(MOST_LINGERING)
        self._answered = {False: 0, True: 0}  # requests in progress, by whether they are probes
        self.log = Adapter(logger("supervisor.admin"))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Handle one connection from accept to close; never raises."""
        transport = writer.transport
        # So that drain() waits until the kernel has it all: a response that is not read times out.
        transport.set_write_buffer_limits(0)
        try:
            await self._serve(reader, writer)
            self._lingering.enter(transport)
            async with asyncio.timeout(LINGER):
                # Closing with unread bytes would reset the connection and lose the response.
                while await reader.read(LONGEST_HEAD):
                    pass
        except (TimeoutError, OSError):
            # It sent nothing in time, reads too slowly, or has gone.
            if transport.get_write_buffer_size():
                transport.abort()
        finally:
            self._silent.leave(transport)
            self._lingering.leave(transport)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read a request and write its response; TimeoutError or OSError when the client fails."""
        request, response = await self._read(reader, writer)
        async with asyncio.timeout(PATIENCE):
            if request is None:
                await _write(writer, response)
            else:
                await self._answer(request, writer)
            self._silent.leave(writer.transport)
        writer.write_eof()

    async def _read(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> tuple[Request | None, Response]:
        """Return the request; or None and the error response when it is invalid."""
        self._silent.enter(writer.transport)
        response = TOO_LONG
        try:
            async with asyncio.timeout(HEAD_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                request = parse(head[:-4], self._posts)
                body = await reader.readexactly(body_length(request.headers))
            self._silent.leave(writer.transport)
            return replace(request, body=body), response
        except BadRequest as error:
            response = error.response()
        except asyncio.LimitOverrunError:
            pass
        except asyncio.IncompleteReadError:
            raise ConnectionResetError from None
        self._tell_refusal(writer, response)
        return None, response

    async def _answer(self, request: Request, writer: asyncio.StreamWriter) -> None:
        """Respond to one request while it holds a place."""
        is_probe = request.path in self._probes
        if self._answered[is_probe] >= (MOST_PROBES if is_probe else MOST_CLIENTS):
            await _write(writer, TOO_MANY)
            return
        self._answered[is_probe] += 1
        try:
            response = await self._handle(request)
            if 400 <= response.status < 500:
                self._tell_refusal(writer, response)
            await _write(writer, response, with_body=request.method != "HEAD")
        finally:
            self._answered[is_probe] -= 1

    async def _handle(self, request: Request) -> Response:
        try:
            return await self._handler(request)
        except Exception:
            self.log.exception("%s failed", cut(request.path))
            return FAILED

    def _tell_refusal(self, writer: asyncio.StreamWriter, response: Response) -> None:
        """Log who was refused and why, rate limited: anyone who reaches the port can cause it."""
        peer = writer.get_extra_info("peername")
        kind = f"admin requests refused with {response.status}"
        text = "refused an admin request from %s: %d %s"
        told = (peer[0] if peer else "?", response.status, cut(response.body.decode().strip()))
        self.log.stranger(kind, logging.INFO, text, *told)


async def _write(
    writer: asyncio.StreamWriter, response: Response, *, with_body: bool = True
) -> None:
    writer.write(response.encode(with_body=with_body))
    await writer.drain()
