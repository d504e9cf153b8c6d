"""One connection of an event loop to a control socket: requests out, replies in the same order.

Owns the connection, what has been asked over it, and the end of it; knows no command. At most
LONGEST_REQUEST bytes are under way (shardws.control.endpoint): what is more waits at the client. A
reply that nobody asked for, or that is none, ends the connection.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final, cast

from shardws.control import failures
from shardws.control.codec import Decoder, Reply
from shardws.control.endpoint import LONGEST_REQUEST, PATIENCE
from shardws.errors import ControlError

IDLE: Final = PATIENCE * 2 / 3  # before the server ends it, with a request of ours on the way


class Request:
    """A line to write, and the answer to come."""

    __slots__ = ("answer", "is_sent", "line")

    def __init__(self, line: bytes, answer: asyncio.Future[Reply]) -> None:
        self.line = line
        self.answer = answer
        self.is_sent = False


class Line(asyncio.Protocol):
    """See the module docstring; `on_room` is called when more may be written, and at the end."""

    def __init__(
        self, path: Path, loop: asyncio.AbstractEventLoop, on_room: Callable[[], None]
    ) -> None:
        self._path = path
        self._loop = loop
        self._on_room = on_room
        self._transport: asyncio.Transport | None = None
        self._asked: deque[Request] = deque()
        self._asked_bytes = 0
        self._decoder = Decoder(path)
        self._has_answered = False
        self._why: ControlError | None = None  # it ends
        self._used = 0.0  # when, by the loop's clock
        self._rest: asyncio.TimerHandle  # from connection_made on

    @property
    def is_open(self) -> bool:
        return self._transport is not None

    def take(self, request: Request) -> bool:
        """Take a request for the next `write`; False when there is no room for it."""
        if self._asked_bytes + len(request.line) > LONGEST_REQUEST:
            return False
        self._asked.append(request)
        self._asked_bytes += len(request.line)
        request.is_sent = True
        return True

    def write(self, lines: list[bytes]) -> None:
        """Write requests that were taken, by one system call."""
        assert self._transport is not None
        self._used = self._loop.time()
        self._transport.write(b"".join(lines))

    @property
    def is_idle(self) -> bool:
        """Whether it is open and no reply is due."""
        return self.is_open and not self._asked

    @property
    def is_busy(self) -> bool:
        """Whether somebody waits for a reply."""
        return any(not request.answer.done() for request in list(self._asked))

    def end(self, why: ControlError | None = None) -> None:
        """Close the connection; what was asked fails for the reason."""
        if self._transport is not None:
            self._why = why
            self._transport.abort()
            self._transport = None
        self._rest.cancel()

    # -- what happens to it (asyncio.Protocol) -------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._used = self._loop.time()
        self._rest_in(IDLE)

    def data_received(self, data: bytes) -> None:
        try:
            for reply in self._decoder.feed(data):
                self._answer(reply)
        except ControlError as error:
            self.end(error)
        else:
            self._on_room()

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self.end()
        why = self._why or failures.gone(self._path, has_answered=self._has_answered)
        for request in self._asked:
            if not request.answer.done():
                answer = ControlError(why.description, code=why.code, was_sent=True)
                request.answer.set_exception(answer)
        self._asked.clear()
        self._on_room()

    def _answer(self, reply: Reply) -> None:
        """Give a reply to who asked first; ControlError when nobody did."""
        if not self._asked:
            raise failures.no_server(self._path)
        request = self._asked.popleft()
        self._asked_bytes -= len(request.line)
        self._has_answered = True
        if not request.answer.done():  # its caller may have given up
            request.answer.set_result(reply)

    def _rest_in(self, seconds: float) -> None:
        self._rest = self._loop.call_later(seconds, self._rest_if_idle)

    def _rest_if_idle(self) -> None:
        """End a connection that nobody needed for IDLE seconds."""
        left = self._used + IDLE - self._loop.time()
        if left > 0 or self._asked:
            self._rest_in(left if left > 0 else IDLE)
        else:
            self.end()
