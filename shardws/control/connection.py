"""One connection to a control socket: requests out, answers in, in the same order.

Owns the connection, what has been asked over it, and the end of it; knows no command. At most
LONGEST_REQUEST bytes are under way (shardws.control.endpoint): what is more waits at the client. An
answer that nobody asked for, or that is none, ends the connection.
"""

import asyncio
import json
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, cast

from shardws.control.endpoint import LONGEST_REPLY, LONGEST_REQUEST, MOST_CLIENTS, PATIENCE
from shardws.errors import ControlError, UsageError

IDLE: Final = PATIENCE * 2 / 3  # before the server ends it, with a request of ours on the way

Reply = dict[str, Any]
Data = bytes | bytearray | memoryview


class Request:
    """A line to write, and the answer to come."""

    __slots__ = ("answer", "is_sent", "line")

    def __init__(self, line: bytes, answer: asyncio.Future[Reply]) -> None:
        self.line = line
        self.answer = answer
        self.is_sent = False


def encode(do: str, arguments: dict[str, Any]) -> bytes:
    """Return a request as a line; UsageError (213) when it is none, or too long."""
    try:
        text = json.dumps({"do": do, **arguments}, ensure_ascii=False, separators=(",", ":"))
        line = text.encode() + b"\n"
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"the server cannot be asked that: {error}", code=213) from None
    if len(line) > LONGEST_REQUEST:
        reason = f"a request is at most {LONGEST_REQUEST} bytes, this one has {len(line)}"
        raise UsageError(reason, code=213)
    return line


def octets(data: Data) -> bytes:
    """Return bytes of a buffer; UsageError 213 for all else."""
    try:
        return bytes(memoryview(data))
    except TypeError:
        reason = f"a message is text, bytes or a buffer, not {type(data).__name__}"
        raise UsageError(reason, code=213) from None


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
        self._received = b""
        self._has_answered = False
        self._why = ""  # it ends
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

    def end(self, why: str) -> None:
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
        if b"\n" not in data:
            self._received += data
            if len(self._received) > LONGEST_REPLY:
                self.end(f"the server in {self._path} sent a line without end")
            return
        *lines, self._received = (self._received + data).split(b"\n")
        for line in lines:
            if not self._answer(line):
                self.end(f"what listens in {self._path} is no server of this kind")
                return
        self._on_room()

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self.end("")
        why = self._why or self._gone()
        for request in self._asked:
            if not request.answer.done():
                request.answer.set_exception(ControlError(why, was_sent=True))
        self._asked.clear()
        self._on_room()

    def _answer(self, line: bytes) -> bool:
        """Give an answer to who asked first; False when it is none."""
        try:
            reply = json.loads(line)
        except (ValueError, RecursionError):
            return False
        if not self._asked or not isinstance(reply, dict) or not isinstance(reply.get("ok"), bool):
            return False
        request = self._asked.popleft()
        self._asked_bytes -= len(request.line)
        self._has_answered = True
        if not request.answer.done():  # its caller may have given up
            request.answer.set_result(reply)
        return True

    def _gone(self) -> str:
        if self._has_answered:
            return f"the server in {self._path} has gone"
        return f"the server in {self._path} has gone, or serves {MOST_CLIENTS} clients already"

    def _rest_in(self, seconds: float) -> None:
        self._rest = self._loop.call_later(seconds, self._rest_if_idle)

    def _rest_if_idle(self) -> None:
        """End a connection that nobody needed for IDLE seconds."""
        left = self._used + IDLE - self._loop.time()
        if left > 0 or self._asked:
            self._rest_in(left if left > 0 else IDLE)
        else:
            self.end("it was idle")
