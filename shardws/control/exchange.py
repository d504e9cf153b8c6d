"""What an asyncio client has under way in one event loop of one process.

Owns the requests that wait to be written, and the opening of the connection; the connection itself
is connection.Line's. It ends with its loop: `asyncio.run` closes the async generators of a loop
before the loop, and one of them is ours. What belongs to a loop that has gone, or to the process
we were forked from, cannot be ended that way: `leave` ends it by its descriptor.
"""

import asyncio
import contextlib
import os
import socket
from collections import deque
from collections.abc import AsyncGenerator
from typing import Final

from shardws.control import failures
from shardws.control.connection import Line, Request
from shardws.control.location import PAUSE, Location, has_ended
from shardws.errors import ControlError, Refused, StateError

MOST_WAITING: Final = 16 << 20  # bytes of requests that wait to be written


class Exchange:
    """See the module docstring; made inside its loop."""

    def __init__(self, location: Location, timeout: float) -> None:
        self._location = location
        self._timeout = timeout
        self._loop = asyncio.get_running_loop()
        self._pid = os.getpid()
        self._sock: socket.socket | None = None
        self._line: Line | None = None
        self._opening: asyncio.Task[None] | None = None
        self._waiting: deque[Request] = deque()
        self._waiting_bytes = 0
        self._is_flushing = False
        self._is_closed = False
        self._end_of_loop: AsyncGenerator[None, None] | None = None

    @property
    def is_here(self) -> bool:
        """Whether it belongs to the running loop and this process."""
        return self._loop is asyncio.get_running_loop() and self._pid == os.getpid()

    def ask(self, line: bytes) -> Request:
        """Take a request; Refused (135) when too much waits, ControlError when its loop ends."""
        if self._is_closed:
            raise failures.closed()
        if self._waiting_bytes + len(line) > MOST_WAITING:
            raise Refused("too many requests wait for the server", code=135)
        request = Request(line, self._loop.create_future())
        self._waiting.append(request)
        self._waiting_bytes += len(line)
        self._wake()
        return request

    def late(self, *, was_sent: bool) -> ControlError:
        """Return what is raised when the time is up."""
        return failures.silent(self._location.path, self._timeout, was_sent=was_sent)

    # -- its end -------------------------------------------------------------------------------

    def close(self) -> None:
        """End; requests under way raise ControlError. Idempotent."""
        if self._pid != os.getpid():
            self._let_go_of_copy()
            return
        self._is_closed = True
        if self._loop.is_closed():
            self._shut_down()
            return
        if self._opening is not None:
            self._opening.cancel()
        self._fail_waiting(failures.closed())
        if self._line is not None:
            self._line.end(failures.closed())

    def leave(self) -> None:
        """Give up, from another loop or process; StateError while requests are under way."""
        if self._pid != os.getpid():
            self._let_go_of_copy()
            return
        if not self._loop.is_closed() and self._is_busy:
            what = "requests of another event loop are under way: a client serves one at a time"
            raise StateError(what)
        self._shut_down()

    @property
    def _is_busy(self) -> bool:
        is_waiting = any(not request.answer.done() for request in list(self._waiting))
        return is_waiting or (self._line is not None and self._line.is_busy)

    def _shut_down(self) -> None:
        """End the connection for the server; a loop that still runs sees its end as well."""
        if self._sock is not None:
            with contextlib.suppress(OSError):
                self._sock.shutdown(socket.SHUT_RDWR)

    def _let_go_of_copy(self) -> None:
        """Close a forked child's copy of the connection, and leave the parent's alone.

        The number stays in use, for its transport closes it again; nor may that transport be asked:
        it would take the number out of the epoll that it shares with the parent.
        """
        if self._sock is not None and self._sock.fileno() >= 0:
            null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
            os.dup2(null, self._sock.fileno(), inheritable=False)
            os.close(null)

    async def _close_with_loop(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            self.close()

    # -- requests on their way ---------------------------------------------------------------

    def _wake(self) -> None:
        """See to it that what waits is written: once in a loop turn, after opening if need be."""
        if self._line is not None and self._line.is_open:
            if not self._is_flushing:
                self._is_flushing = True
                self._loop.call_soon(self._flush)
        elif self._opening is None and not self._is_closed:
            self._opening = self._loop.create_task(self._reopen())

    def _flush(self) -> None:
        self._is_flushing = False
        line = self._line
        if line is not None and line.is_idle and self._sock is not None and has_ended(self._sock):
            line.end()  # the loop has not seen it yet
        if line is None or not line.is_open:
            if self._waiting:
                self._wake()
            return
        batch = []
        while self._waiting:
            first = self._waiting[0]
            is_wanted = not first.answer.done()  # given up by its caller: never written
            if is_wanted and not line.take(first):
                break
            self._waiting.popleft()
            self._waiting_bytes -= len(first.line)
            if is_wanted:
                batch.append(first.line)
        if batch:
            line.write(batch)

    def _fail_waiting(self, error: ControlError) -> None:
        for request in self._waiting:
            if not request.answer.done():
                request.answer.set_exception(ControlError(error.description, code=error.code))
        self._waiting.clear()
        self._waiting_bytes = 0

    # -- the connection ------------------------------------------------------------------------

    async def _reopen(self) -> None:
        try:
            await self.open()
        except ControlError as error:
            self._fail_waiting(error)
        finally:
            self._opening = None
        self._flush()

    async def open(self) -> None:
        """Connect; ControlError when no server runs, or after the deadline."""
        if self._end_of_loop is None:
            self._end_of_loop = self._close_with_loop()
            await anext(self._end_of_loop)
        try:
            async with asyncio.timeout(self._timeout):
                self._line = await self._connect()
        except TimeoutError:
            raise self.late(was_sent=False) from None

    async def _connect(self) -> Line:
        # No event tells of room in a backlog.
        while (sock := self._location.dial()) is None:  # noqa: ASYNC110
            await asyncio.sleep(PAUSE)
        path = self._location.path
        assert path is not None
        try:
            _, line = await self._loop.create_unix_connection(
                lambda: Line(path, self._loop, self._flush), sock=sock
            )
        except BaseException:
            sock.close()
            raise
        self._sock = sock
        return line
