"""For tests of applications: a server in a thread of the test's process, and a blocking client.

    with testing.serve(app) as client:
        ann = client.connect("/chat/tea?name=Ann")
        ann.send("hello")
        assert ann.receive() == "Ann: hello"

Owns both. The server is one shard on a port that the system picks, with on_start and on_stop, so
what is tested is what serves; messages between shards are not. The client has a protocol
implementation of its own (wsproto), and each of its waits ends with TimeoutError.
"""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import Final

import uvloop
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Message,
    Ping,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)

from shardws.app import App
from shardws.errors import ShardwsError
from shardws.server import WebSocketServer

TIMEOUT_S: Final = 5.0
READ_SIZE: Final = 65536


class Refused(ShardwsError):
    """The server has refused the opening request."""

    default_code = 435

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers  # names in lower case
        self.body = body
        super().__init__(f"refused with status {status}")


class Closed(ShardwsError):
    """The server has closed the connection; what came before was received."""

    default_code = 1120

    def __init__(self, close_code: int, reason: str) -> None:
        self.close_code = close_code  # 1006: without a close frame
        self.reason = reason
        super().__init__(f"closed with {close_code} {reason}")


class ClientWebSocket:
    """An open connection of a client; made by `Client.connect`."""

    def __init__(self, sock: socket.socket, protocol: WSConnection) -> None:
        self.subprotocol = ""
        self.headers: Mapping[str, str] = {}  # of the response, names in lower case
        self._sock = sock
        self._protocol = protocol
        self._events: list[Event] = []
        self._closed: Closed | None = None

    def send(self, data: str | bytes) -> None:
        """Send one message: str as text, bytes as binary. Closed when the connection is over."""
        if self._closed is not None:
            raise self._closed
        message = TextMessage(data) if isinstance(data, str) else BytesMessage(data)
        self.write(message)

    def receive(self) -> str | bytes:
        """Return the next message; Closed when there is none any more, TimeoutError in time."""
        parts: list[str | bytes] = []
        while True:
            event = self.next_event()
            if isinstance(event, Message):
                parts.append(bytes(event.data) if isinstance(event, BytesMessage) else event.data)
                if event.message_finished:
                    return joined(parts)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close, and wait for the server's close frame; what comes before it is dropped."""
        if self._closed is None:
            self.write(CloseConnection(code, reason))
            with contextlib.suppress(Closed):
                while True:
                    self.receive()
        self.abort()

    def abort(self) -> None:
        """End TCP without a close frame."""
        self._sock.close()
        self._closed = self._closed or Closed(1006, "")

    # -- inner -------------------------------------------------------------------------------

    def write(self, event: Event) -> None:
        self._sock.sendall(self._protocol.send(event))

    def next_event(self) -> Event:
        """Return the next event; answers pings and close frames, and raises Closed."""
        if self._closed is not None:
            raise self._closed
        while not self._events:
            try:
                data = self._sock.recv(READ_SIZE)
            except ConnectionError:
                data = b""
            if not data:
                self._closed = Closed(1006, "")
                raise self._closed
            self._protocol.receive_data(data)
            self._events = list(self._protocol.events())
        event = self._events.pop(0)
        if isinstance(event, Ping):
            self.write(event.response())
        elif isinstance(event, CloseConnection):
            with contextlib.suppress(Exception):  # ours was sent before: there is no response
                self.write(event.response())
            self._closed = Closed(event.code, event.reason or "")
            raise self._closed
        return event


def joined(parts: Sequence[str | bytes]) -> str | bytes:
    """Return the whole of a message that came in parts of one type."""
    if isinstance(parts[0], str):
        return "".join([part for part in parts if isinstance(part, str)])
    return b"".join([part for part in parts if isinstance(part, bytes)])


def fields(pairs: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name.decode().lower(): value.decode("latin-1") for name, value in pairs}


class Client:
    """Connects to a server under test."""

    def __init__(self, port: int, timeout: float) -> None:
        self.port: Final = port
        self._timeout = timeout
        self._opened: list[ClientWebSocket] = []

    def connect(
        self,
        target: str = "/",
        *,
        headers: Mapping[str, str] | None = None,
        cookies: Mapping[str, str] | None = None,
        subprotocols: Sequence[str] = (),
    ) -> ClientWebSocket:
        """Open a WebSocket; Refused when the server answers otherwise."""
        sock = socket.create_connection(("127.0.0.1", self.port), self._timeout)
        ws = ClientWebSocket(sock, WSConnection(ConnectionType.CLIENT))
        self._opened.append(ws)
        extra = dict(headers or {})
        if cookies:
            extra["Cookie"] = "; ".join(f"{name}={value}" for name, value in cookies.items())
        request = Request(
            host=f"127.0.0.1:{self.port}",
            target=target,
            subprotocols=list(subprotocols),
            extra_headers=[(name.encode(), value.encode()) for name, value in extra.items()],
        )
        ws.write(request)
        event = ws.next_event()
        if isinstance(event, AcceptConnection):
            ws.subprotocol, ws.headers = event.subprotocol or "", fields(event.extra_headers)
            return ws
        assert isinstance(event, RejectConnection)
        body = b""
        while event.has_body and isinstance(part := ws.next_event(), RejectData):
            body += part.data
            if part.body_finished:
                break
        ws.abort()
        raise Refused(event.status_code, fields(event.headers), body)

    def close(self) -> None:
        """End all connections that are still open."""
        for ws in self._opened:
            ws.abort()


class _Serving:
    """The server's thread."""

    def __init__(self, server: WebSocketServer) -> None:
        self.port: Future[int] = Future()
        self._server = server
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end: asyncio.Event | None = None
        self.thread = threading.Thread(target=self._run, name="shardws-testing", daemon=True)

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._serve())
        except BaseException as error:  # it is raised in the test's thread
            if self.port.done():
                raise
            self.port.set_exception(error)

    async def _serve(self) -> None:
        server = self._server
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        server.local_host, server.local_port = "127.0.0.1", 0
        server.listening = True
        try:
            await server.ready()
            self.port.set_result(server.local_port)
            await self._end.wait()
        finally:
            await server.shutdown_complete()

    def end(self, timeout: float) -> None:
        """Stop the server; TimeoutError when its thread does not end in time."""
        if self._loop is not None and self._end is not None and self.thread.is_alive():
            self._loop.call_soon_threadsafe(self._end.set)
        self.thread.join(timeout)
        if self.thread.is_alive():
            raise TimeoutError(f"the server has not stopped within {timeout:g} s")


@contextlib.contextmanager
def serve(app: App | WebSocketServer, timeout: float = TIMEOUT_S) -> Iterator[Client]:
    """Serve an application until the end of the block; gives a client for it.

    StartError when on_start raises. `timeout` in seconds is for each wait of a client, and twice of
    it for the stop. The same application can be served again afterwards.
    """
    serving = _Serving(app.server if isinstance(app, App) else app)
    serving.thread.start()
    try:
        client = Client(serving.port.result(timeout), timeout)
        try:
            yield client
        finally:
            client.close()
    finally:
        serving.end(2 * timeout)
