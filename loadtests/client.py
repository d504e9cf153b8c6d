"""A WebSocket client that reports its calls to locust.

Owns one connection (websocket-client, which is blocking and therefore yields under gevent) and
fires `environment.events.request` once for each call. It depends on no locust class and no server
protocol, so it can be used with any server:

    from loadtests.client import WebSocketClient

    class MyUser(locust.User):
        def on_start(self):
            self.client = WebSocketClient(self.environment.events.request)
            self.client.connect("wss://example.org/chat", sslopt={"ca_certs": "ca.pem"})

        @locust.task
        def ask(self):
            self.client.exchange("hello", name="hello")

A failure is fired with its exception, which is then raised: the task decides whether to continue. A
user that is stopped during a call fires nothing.
"""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import websocket
from websocket import ABNF

REQUEST_TYPE = "WS"
TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 3.0
NORMAL_CLOSURE = 1000


class RequestEvent(Protocol):
    """The part of locust's EventHook that is used."""

    def fire(self, **values: Any) -> None: ...


class ConnectionClosed(websocket.WebSocketException):
    """The server closed the connection; holds its code (1005: none was sent) and reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"the server closed: {code} {reason}".rstrip())
        self.code = code
        self.reason = reason


class UnexpectedMessage(Exception):
    """A reply is not the expected one."""


@dataclass
class Measurement:
    """What a measured block may set: its name and the bytes received."""

    name: str
    length: int = 0


class WebSocketClient:
    """One connection; every call is one entry in locust's statistics, of type WS.

    One greenlet may receive while another one sends. Times are milliseconds from the call to its
    return, `response_length` counts payload bytes received (for `send`: sent).
    """

    def __init__(self, request: RequestEvent, *, timeout: float = TIMEOUT_S) -> None:
        self.request = request
        self.timeout = timeout
        self.socket: websocket.WebSocket | None = None

    @property
    def is_connected(self) -> bool:
        return self.socket is not None

    def connect(self, url: str, *, name: str = "connect", **options: Any) -> None:
        """Open ws:// or wss://; `options` are those of websocket.create_connection.

        Raises WebSocketException or OSError.
        """
        options.setdefault("timeout", self.timeout)
        with self.measured(name):
            self.socket = websocket.create_connection(url, **options)

    def send(self, message: str | bytes, *, name: str = "send") -> None:
        """Pass one message to the kernel: the time says little unless it blocks."""
        with self.measured(name) as measurement:
            measurement.length = self.send_quietly(message)

    def recv(self, *, name: str = "recv", timeout: float | None = None) -> str | bytes:
        """Wait for the next message; raises WebSocketException (ConnectionClosed), OSError."""
        with self.measured(name) as measurement:
            message, measurement.length = self.recv_quietly(timeout)
        return message

    def exchange(self, message: str | bytes, *, name: str) -> str | bytes:
        """Send a message and wait for the next one: one entry with the time of the round trip."""
        with self.measured(name) as measurement:
            self.send_quietly(message)
            answer, measurement.length = self.recv_quietly()
        return answer

    def close(self, *, name: str = "close", code: int = NORMAL_CLOSURE) -> None:
        """Do the closing handshake and end TCP; no-op without a connection."""
        if self.socket is None:
            return
        try:
            with self.measured(name):
                self.shake_hands(self.socket, code)
        finally:
            self.drop()

    def drop(self) -> None:
        """End TCP without a closing handshake and without an entry."""
        if self.socket is not None:
            self.socket.shutdown()
            self.socket = None

    def leave(self) -> None:
        """Send a Close frame without waiting for the reply, and end TCP; no entry, no error."""
        if self.socket is not None:
            with contextlib.suppress(websocket.WebSocketException, OSError):
                self.socket.send_close(NORMAL_CLOSURE)
            self.drop()

    # Without an entry: parts of something larger that the caller measures.

    def send_quietly(self, message: str | bytes) -> int:
        """Send one message; its size in bytes."""
        data = message.encode() if isinstance(message, str) else message
        kind = ABNF.OPCODE_TEXT if isinstance(message, str) else ABNF.OPCODE_BINARY
        self.opened().send(data, kind)
        return len(data)

    def recv_quietly(self, timeout: float | None = None) -> tuple[str | bytes, int]:
        """Receive one message; the message and its size in bytes."""
        opened = self.opened()
        opened.settimeout(self.timeout if timeout is None else timeout)
        kind, data = opened.recv_data()
        if kind == ABNF.OPCODE_CLOSE:
            raise closed_by(data)
        return (data.decode() if kind == ABNF.OPCODE_TEXT else data), len(data)

    def opened(self) -> websocket.WebSocket:
        if self.socket is None:
            raise websocket.WebSocketException("not connected")
        return self.socket

    @staticmethod
    def shake_hands(opened: websocket.WebSocket, code: int) -> None:
        """Send our Close frame and read until the server's: messages in flight are skipped."""
        opened.settimeout(CLOSE_TIMEOUT_S)
        opened.send_close(code)
        while opened.recv_frame().opcode != ABNF.OPCODE_CLOSE:
            pass

    @contextlib.contextmanager
    def measured(self, name: str) -> Iterator[Measurement]:
        """Time the block and fire one entry, a failure if it raises; exceptions propagate."""
        measurement = Measurement(name)
        start = time.perf_counter()
        try:
            yield measurement
        except Exception as error:
            self.record(measurement, start, error)
            raise
        self.record(measurement, start, None)

    @contextlib.contextmanager
    def failures_as(self, name: str) -> Iterator[None]:
        """Fire an entry only when the block fails; the exception propagates."""
        start = time.perf_counter()
        try:
            yield
        except Exception as error:
            self.record(Measurement(name), start, error)
            raise

    def record(
        self, measurement: Measurement, start: float, exception: Exception | None = None
    ) -> None:
        """Fire an entry that began at `start` (time.perf_counter) and ends now."""
        self.request.fire(
            request_type=REQUEST_TYPE,
            name=measurement.name,
            response_time=(time.perf_counter() - start) * 1000,
            response_length=measurement.length,
            exception=exception,
            context={},
        )


def closed_by(payload: bytes) -> ConnectionClosed:
    """The exception for a close frame's payload (RFC 6455, 5.5.1 and 7.1.5)."""
    if len(payload) < 2:
        return ConnectionClosed(1005, "")
    return ConnectionClosed(
        int.from_bytes(payload[:2], "big"), payload[2:].decode(errors="replace")
    )
