"""WebSocket: one client, as its route sees it.

Owns what the client has sent and the route has not read yet, and when the route ends. Messages that
nobody waits for are kept up to a bound; then the connection's data is held back (AcceptData), so
that reading its socket stops, until all of them were read.

    PENDING    the route has not decided yet
    ACCEPTING  the 101 response is on its way
    OPEN       Connected
    GONE       Disconnected, or it never opened

The end is told once: `async for` ends where it waits; whatever else the route awaits is cancelled.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Generator
from typing import Any, Final, Protocol

from shardws import arguments
from shardws.app.opening import Acceptance, Opening
from shardws.app.refusal import Fields, Refuse, lines_of
from shardws.app.request import Query, cookies_of, split_target
from shardws.app.routes import Parameters
from shardws.errors import NoSuchConnection, StateError, UsageError
from shardws.headers import Headers
from shardws.outcomes import QUEUED, Outcome, SendOutcome
from shardws.server import WebSocketServer

PENDING: Final = 0
ACCEPTING: Final = 1
OPEN: Final = 2
GONE: Final = 3

# What is kept of one client unread; the last message may go beyond.
MOST_UNREAD: Final = 64
MOST_UNREAD_BYTES: Final = 64 * 1024

Message = str | bytes
Bytes = bytes | bytearray | memoryview
Data = str | Bytes


class Host(Protocol):
    """What a WebSocket needs of its application."""

    @property
    def server(self) -> WebSocketServer: ...
    @property
    def loop(self) -> asyncio.AbstractEventLoop: ...
    @property
    def send(self) -> Callable[[int, Bytes], SendOutcome]: ...
    @property
    def send_text(self) -> Callable[[int, str], SendOutcome]: ...
    def outlived(self, connection_id: int, task: "asyncio.Task[None]") -> None:
        """Note that a client has left and its route still runs."""


class WebSocket:
    """A client of a route.

    `async for message in ws` gives its messages, str for text and bytes for binary, and ends when
    the client has left. Until `accept` the route may refuse the client (`Refuse`); reading or
    sending accepts by itself.
    """

    __slots__ = (
        "__weakref__",
        "_data",
        "_headers",
        "_held",
        "_host",
        "_opening",
        "_room",
        "_state",
        "_target",
        "_task",
        "_unread",
        "_unread_bytes",
        "_waiter",
        "_was_told",
        "close_code",
        "close_reason",
        "id",
        "path_params",
        "subprotocol",
        "user",
    )

    def __init__(
        self, host: Host, connection_id: int, target: str, params: Parameters, opening: Opening
    ) -> None:
        self.id: Final = connection_id
        self.path_params: Final = params
        self.subprotocol = ""  # chosen by `accept`
        self.user: Any = None  # the application's, on this shard
        self.close_code = 0  # when it has left: RFC 6455 7.4, 1006 without a close frame
        self.close_reason = ""
        self._host = host
        self._target = target
        self._headers: Headers | None = None
        self._data: dict[str, Any] | None = None
        self._opening: Opening | None = opening
        self._state = PENDING
        self._task: asyncio.Task[None] | None = None
        self._waiter: asyncio.Future[Message | None] | None = None
        self._unread: deque[Message] | None = None
        self._unread_bytes = 0
        self._held = False
        self._room: asyncio.Event | None = None
        self._was_told = False

    # -- the request -------------------------------------------------------------------------

    @property
    def path(self) -> str:
        """The path of the request, as sent."""
        return split_target(self._target)[0]

    @property
    def query(self) -> Query:
        """The query parameters, decoded."""
        return Query(split_target(self._target)[1])

    @property
    def headers(self) -> Headers:
        """The header of the opening request.

        NoSuchConnection (1117) when it is read for the first time after the client has left.
        """
        if self._headers is None:
            view = self._host.server.connections[self.id]
            self._headers = Headers(view.request_headers)
        return self._headers

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies of the opening request."""
        return cookies_of(self.headers)

    @property
    def data(self) -> dict[str, Any]:
        """A place for values of the application, on this shard."""
        if self._data is None:
            self._data = {}
        return self._data

    @property
    def is_open(self) -> bool:
        """Whether it was accepted and has not left."""
        return self._state == OPEN

    # -- opening -----------------------------------------------------------------------------

    async def accept(self, subprotocol: str = "", headers: Fields = ()) -> None:
        """Open the WebSocket; return when it is open.

        `subprotocol` must be one that the client offers, else UsageError (213). StateError (211)
        when that was decided before; NoSuchConnection (1117) when the client has left meanwhile.
        """
        if self._state != PENDING or self._opening is None:
            raise StateError("this client was decided on already")
        offered = [one.strip(" \t") for one in self._opening.sub_protocols.split(",")]
        if subprotocol and subprotocol not in offered:
            raise UsageError(f"the client does not offer sub-protocol {subprotocol!r}", code=213)
        acceptance = Acceptance(subprotocol, lines_of(headers))
        self.subprotocol = subprotocol
        self._state = ACCEPTING
        self._opening.decide(acceptance)
        await self._opening.is_over.wait()
        if self._state == GONE:
            self._note_told()
            raise NoSuchConnection(self.id)

    async def be_open(self) -> None:
        """Accept, unless that was done; return when it is open, or never will be."""
        if self._state == PENDING:
            with contextlib.suppress(NoSuchConnection):
                await self.accept()
        elif self._opening is not None:
            await self._opening.is_over.wait()

    def opened(self) -> None:
        """Become open: Connected is fired."""
        opening, self._opening = self._opening, None
        self._state = OPEN
        if opening is not None:
            opening.is_over.set()
            for group in opening.groups:
                self.join(group)

    def refuse(self, refusal: Refuse) -> bool:
        """Answer the request with a refusal; False when it was accepted already."""
        if self._state != PENDING or self._opening is None:
            return False
        self._opening.decide(refusal)
        self._state = GONE
        return True

    # -- receiving ---------------------------------------------------------------------------

    def __aiter__(self) -> "WebSocket":
        return self

    async def __anext__(self) -> Message:
        while True:
            unread = self._unread
            if unread:
                message = unread.popleft()
                self._unread_bytes -= len(message)
                if self._held and not unread:
                    self._hold(False)
                return message
            if self._state == GONE:
                self._note_told()
                raise StopAsyncIteration
            if self._state != OPEN:
                await self.be_open()
                continue
            if self._waiter is not None:
                raise StateError("another task waits for a message of this client already")
            waiter: asyncio.Future[Message | None] = self._host.loop.create_future()
            self._waiter = waiter
            try:
                given = await waiter
            finally:
                self._waiter = None
            if given is not None:
                return given

    async def receive(self) -> str | bytes:
        """Return the next message; NoSuchConnection (1117) when the client has left."""
        try:
            return await self.__anext__()
        except StopAsyncIteration:
            raise NoSuchConnection(self.id) from None

    def incoming(self, message: Message) -> None:
        """Give the route a message, or keep it."""
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(message)
            return
        if self._unread is None:
            self._unread = deque()
        self._unread.append(message)
        self._unread_bytes += len(message)
        is_full = len(self._unread) >= MOST_UNREAD or self._unread_bytes >= MOST_UNREAD_BYTES
        if is_full and not self._held and self._state == OPEN:
            self._hold(True)

    def _hold(self, wanted: bool) -> None:
        self._held = wanted
        view = self._host.server.connections.get(self.id)
        if view is not None:
            view.accept_data = not wanted

    # -- sending -----------------------------------------------------------------------------

    def send(self, data: Data) -> Awaitable[Outcome]:
        """Send one message: str as text, bytes as binary.

        Awaiting it waits for room in the outgoing queue, then says what became of the message.
        Without await a message that finds the queue full is lost, and reported by `on_error`.
        """
        if self._state < OPEN:
            return Sending(self, data, None)
        host = self._host  # as in `send_now`: this runs for every message
        sent = host.send_text(self.id, data) if isinstance(data, str) else host.send(self.id, data)
        return sent if sent is QUEUED else Sending(self, data, sent)

    def send_now(self, data: Data) -> SendOutcome:
        """Send without waiting for room: FULL says that there is none."""
        if isinstance(data, str):
            return self._host.send_text(self.id, data)
        return self._host.send(self.id, data)

    async def send_when_ready(self, data: Data, sent: SendOutcome | None) -> Outcome:
        """Send as soon as it is open and its queue has room; see `Sending`."""
        if sent is None:
            await self.be_open()
            sent = self.send_now(data)
        while (outcome := await sent) is Outcome.FULL:
            if self._room is None:
                self._room = asyncio.Event()
            await self._room.wait()
            sent = self.send_now(data)
        return outcome

    def ready(self) -> None:
        """Wake the sends that wait for room."""
        room, self._room = self._room, None
        if room is not None:
            room.set()

    # -- groups and the end ------------------------------------------------------------------

    def join(self, group: str) -> SendOutcome:
        """Put this client into a group; before it is open, as soon as it is."""
        if self._opening is not None:
            self._opening.groups.append(arguments.text(group, "a group"))
            return QUEUED
        return self._host.server.join(self.id, group)

    def leave(self, group: str) -> SendOutcome:
        """Take this client out of a group."""
        if self._opening is not None:
            self._opening.groups = [one for one in self._opening.groups if one != group]
            return QUEUED
        return self._host.server.leave(self.id, group)

    def close(self, code: int = 1000, reason: str = "") -> SendOutcome:
        """Close with this code and reason (RFC 6455 7.4); the end is then told as any other.

        UsageError (213) for what no close frame may carry; StateError (211) for a client that was
        not accepted: raise `Refuse`.
        """
        if self._opening is not None:
            raise StateError("this client was not accepted: raise Refuse to turn it away")
        return self._host.server.disconnect(self.id, code, reason)

    def serve(self, task: "asyncio.Task[None]") -> None:
        """Note the task that runs the route."""
        self._task = task

    def ended(self, code: int, reason: str) -> None:
        """The client has left: end the loop that waits for it, or cancel what the route awaits."""
        self.close_code, self.close_reason = code, reason
        self._state = GONE
        opening, self._opening = self._opening, None
        if opening is not None:
            opening.is_over.set()
        self.ready()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
        # In the next turn: the route may be running now, or be about to end its loop.
        self._host.loop.call_soon(self._cancel)

    def _note_told(self) -> None:
        """Note that the route knows of the end; another task may read for it, which does not."""
        self._was_told = self._was_told or asyncio.current_task() is self._task

    def _cancel(self) -> None:
        task = self._task
        if task is None or task.done():
            return
        if not self._was_told:
            task.cancel()
        self._host.outlived(self.id, task)

    def __repr__(self) -> str:
        states = ("pending", "accepting", "open", "gone")
        return f"<WebSocket {self.id} {self.path} {states[self._state]}>"


class Sending:
    """A send that could not be made at once; awaiting it makes it."""

    __slots__ = ("_data", "_sent", "_ws")

    def __init__(self, ws: WebSocket, data: Data, sent: SendOutcome | None) -> None:
        self._ws = ws
        self._data = data
        self._sent = sent  # a failure that is reported when nobody reads it

    def __await__(self) -> Generator[Any, None, Outcome]:
        sent, self._sent = self._sent, None
        return self._ws.send_when_ready(self._data, sent).__await__()
