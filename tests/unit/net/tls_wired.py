"""A TLSTransport between a stand-in for TCP and one for the Connection, and a client for it."""

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
def trusting(version: str) -> ssl.SSLContext:
    """Return a client's context that trusts our authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    AUTHORITY.configure_trust(context)
    context.maximum_version = ssl.TLSVersion[version]
    return context


class Call:
    """A call to come."""

    def __init__(self, call: Callable[[], None]) -> None:
        self.call = call

    def cancel(self) -> None:
        self.call = lambda: None


class Loop:
    """Keeps what is to run in the next turn."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def time(self) -> float:
        return 0.0

    def call_soon(self, call: Callable[[], None]) -> Call:
        self.calls.append(Call(call))
        return self.calls[-1]

    def call_at(self, due: float, call: Callable[[], None]) -> Call:
        return Call(call)  # the clock stands still

    def turn(self) -> None:
        calls, self.calls = self.calls, []
        for call in calls:
            call.call()


class Raw:
    """A transport of TCP that keeps what is written."""

    def __init__(self) -> None:
        self.sent = b""
        self.is_reading = True
        self.has_eof = False
        self.is_aborted = False
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

    def is_closing(self) -> bool:
        return self.is_aborted

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


class Upper:
    """In place of the Connection: notes what it is told."""

    def __init__(self) -> None:
        self.received = b""
        self.reason: str | None = None
        self.is_lost = False
        self.turns = 0  # that it awaited
        self.pauses: list[bool] = []
        self.extras: Extras | None = None
        self.on_data: Callable[[bytes], None] = lambda data: None
        self.wire: TLSTransport | None = None

    def connection_made(self, transport: Any) -> None:
        self.wire = transport

    def data_received(self, data: bytes) -> None:
        self.received += data
        self.on_data(data)

    def await_turn(self) -> None:
        assert self.wire is not None
        self.turns += 1
        self.wire.pause_reading()

    def broken(self, reason: str) -> None:
        self.reason = reason
        assert self.wire is not None
        self.wire.write_eof()

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


class Stub:
    """A Guard that notes everything and decides as the test says."""

    def __init__(self, most: int = 100, **options: bool) -> None:
        self.loop = cast(asyncio.AbstractEventLoop, Loop())
        self.gate = HandshakeLimiter(self.loop, most)
        self.options = options
        self.told_lines: list[str] = []
        self.endings: list[Ending] = []
        self.chosen: TLSFlow | None = None
        self.is_judging = False

    def engine(self, connection: Connection) -> TLSEngine:
        return TLSEngine(CONTEXT, CALLS, **self.options)  # type: ignore[arg-type]

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
        cast(Loop, self.loop).turn()


class Wired:
    """A TLSTransport between a client and an upper part."""

    def __init__(self, guard: Stub | None = None, version: str = "TLSv1_3") -> None:
        self.guard = guard or Stub()
        self.upper = Upper()
        self.raw = Raw()
        self.wire = TLSTransport(self.guard, cast(Connection, self.upper))
        self.wire.connection_made(cast(asyncio.Transport, self.raw))
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.client = trusting(version).wrap_bio(self._in, self._out, server_hostname="a.example")
        self.has_ended = False

    def shake(self) -> "Wired":
        for _ in range(4):
            with contextlib.suppress(ssl.SSLWantReadError):
                self.client.do_handshake()
            self.pass_on()
        return self

    def pass_on(self) -> None:
        """Bring what each side has said to the other."""
        data = self._out.read()
        if data and self.raw.is_reading:
            self.wire.data_received(data)
        self._in.write(self.raw.take())

    def say(self, data: bytes) -> bytes:
        """Return the records of data from the client."""
        self.client.write(data)
        return self._out.read()

    def heard(self) -> bytes:
        """Return what the client reads; `has_ended` tells whether a close_notify came behind it."""
        self._in.write(self.raw.take())
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

    def bye(self) -> bytes:
        with contextlib.suppress(ssl.SSLWantReadError):
            self.client.unwrap()
        return self._out.read()
