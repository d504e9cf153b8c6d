"""A TLSTransport between a fake TCP transport and a fake Connection, and a client for it."""

import asyncio
import contextlib
import functools
import ssl
from collections.abc import Callable
from typing import Any, cast

import trustme

from shardws.net.connection import Connection
from shardws.net.connection.extras import Extras
from shardws.net.handshake_limiter import HandshakeLimiter
from shardws.net.tls import TLSTransport
from shardws.net.tlsflow import TLSFlow
from shardws.tls import contexts, selftest
from shardws.tls.config import TLSConfig
from shardws.tls.endings import Ending
from shardws.tls.engine import TLSEngine

CALLS = selftest.choose().calls
AUTHORITY = trustme.CA(key_type=trustme.KeyType.ECDSA)
LEAF = AUTHORITY.issue_cert("a.example", key_type=trustme.KeyType.ECDSA)
CONTEXT = contexts.build(TLSConfig(cert_store=LEAF.private_key_and_cert_chain_pem.bytes()))


@functools.cache
def client_context(version: str) -> ssl.SSLContext:
    """Return a client's context that trusts our authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    AUTHORITY.configure_trust(context)
    context.maximum_version = ssl.TLSVersion[version]
    return context


class FakeHandle:
    """In place of asyncio.Handle and TimerHandle."""

    def __init__(self, call: Callable[[], None]) -> None:
        self.call = call

    def cancel(self) -> None:
        self.call = lambda: None


class FakeLoop:
    """Keeps what is to run in the next turn."""

    def __init__(self) -> None:
        self.calls: list[FakeHandle] = []

    def time(self) -> float:
        return 0.0

    def call_soon(self, call: Callable[[], None]) -> FakeHandle:
        self.calls.append(FakeHandle(call))
        return self.calls[-1]

    def call_at(self, due: float, call: Callable[[], None]) -> FakeHandle:
        return FakeHandle(call)  # the clock stands still

    def turn(self) -> None:
        calls, self.calls = self.calls, []
        for call in calls:
            call.call()


class FakeTCPTransport:
    """A transport of TCP that keeps what is written."""

    def __init__(self) -> None:
        self.sent = b""
        self.is_reading = True
        self.has_eof = False
        self.is_aborted = self.is_closed = False
        self.limits: tuple[int | None, int | None] | None = None
        self.writes = 0

    def write(self, data: bytes) -> None:
        assert not self.has_eof, "uvloop raises at a write after write_eof"
        self.sent += data
        self.writes += 1

    def take(self) -> bytes:
        sent, self.sent = self.sent, b""
        return sent

    def write_eof(self) -> None:
        self.has_eof = True

    def ended(self) -> bool:
        return self.has_eof

    def reads(self) -> bool:
        return self.is_reading

    def abort(self) -> None:
        self.is_aborted = True

    def close(self) -> None:
        self.is_closed = True

    def is_closing(self) -> bool:
        return self.is_aborted or self.is_closed

    def pause_reading(self) -> None:
        self.is_reading = False

    def resume_reading(self) -> None:
        self.is_reading = True

    def get_write_buffer_size(self) -> int:
        return 17

    def set_write_buffer_limits(self, high: int | None, low: int | None) -> None:
        self.limits = high, low

    def get_extra_info(self, name: str, default: Any) -> Any:
        return {"peername": ("192.0.2.1", 5)}.get(name, default)


class FakeConnection:
    """In place of the Connection: records its calls."""

    def __init__(self) -> None:
        self.received = b""
        self.reason: str | None = None
        self.is_lost = False
        self.turns = 0  # that it awaited
        self.is_held = False
        self.pauses: list[bool] = []
        self.extras: Extras | None = None
        self.on_data: Callable[[bytes], None] = lambda data: None
        self.transport: TLSTransport | None = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data
        self.on_data(data)

    def await_turn(self) -> None:
        assert self.transport is not None
        self.turns += 1
        self.transport.pause_reading()

    def broken(self, reason: str) -> None:
        self.reason = reason
        assert self.transport is not None
        self.transport.write_eof()

    def told(self) -> str | None:
        return self.reason

    def connection_lost(self, error: Exception | None) -> None:
        self.is_lost = True

    def pause_writing(self) -> None:
        self.pauses.append(True)

    def resume_writing(self) -> None:
        self.pauses.append(False)

    def extra(self) -> Extras:
        self.extras = self.extras or Extras()
        return self.extras


class StubGuard:
    """A Guard that notes everything and decides as the test says."""

    def __init__(self, most: int = 100, **options: bool) -> None:
        self.loop = cast(asyncio.AbstractEventLoop, FakeLoop())
        self.gate = HandshakeLimiter(self.loop, most)
        self.options = options
        self.told_lines: list[str] = []
        self.endings: list[Ending] = []
        self.chosen: TLSFlow | None = None
        self.is_judging = False
        self.steps: list[Callable[[], None]] | None = None  # a list: they wait in it

    def engine(self, connection: Connection) -> TLSEngine:
        return TLSEngine(CONTEXT, CALLS, **self.options)  # type: ignore[arg-type]

    def in_order(self, step: Callable[[], None]) -> None:
        if self.steps is None:
            step()
        else:
            self.steps.append(step)

    def choose(self, wire: TLSFlow) -> None:
        self.chosen = wire

    def shaken(self, wire: TLSFlow) -> None:
        if self.is_judging:
            wire.wait()

    def told(self, connection: Connection, lines: list[str]) -> None:
        self.told_lines += lines

    def ended(self, wire: TLSFlow, ending: Ending) -> None:
        self.endings.append(ending)

    def turn(self) -> None:
        cast(FakeLoop, self.loop).turn()


class TLSFixture:
    """A TLSTransport between a client and a fake Connection."""

    def __init__(self, guard: StubGuard | None = None, version: str = "TLSv1_3") -> None:
        self.guard = guard or StubGuard()
        self.connection = FakeConnection()
        self.tcp = FakeTCPTransport()
        self.transport = TLSTransport(self.guard, cast(Connection, self.connection))
        self.transport.connection_made(cast(asyncio.Transport, self.tcp))
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.client = client_context(version).wrap_bio(
            self._in, self._out, server_hostname="a.example"
        )
        self.has_ended = False

    def handshake(self) -> "TLSFixture":
        for _ in range(4):
            with contextlib.suppress(ssl.SSLWantReadError):
                self.client.do_handshake()
            self.exchange()
        return self

    def exchange(self) -> None:
        """Bring what each side has said to the other."""
        data = self._out.read()
        if data and self.tcp.is_reading:
            self.transport.data_received(data)
        self._in.write(self.tcp.take())

    def encrypt(self, data: bytes) -> bytes:
        """Return the records of data from the client."""
        self.client.write(data)
        return self._out.read()

    def decrypted(self) -> bytes:
        """Return what the client reads; `has_ended` tells whether a close_notify came behind it."""
        self._in.write(self.tcp.take())
        found = b""
        try:
            while piece := self.client.read(65536):
                found += piece
        except ssl.SSLWantReadError:
            return found
        except ssl.SSLZeroReturnError:
            pass
        self.has_ended = True
        return found

    def close_notify(self) -> bytes:
        with contextlib.suppress(ssl.SSLWantReadError):
            self.client.unwrap()
        return self._out.read()
