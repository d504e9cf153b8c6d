"""TLS between a transport and a Connection, with a client of the stdlib and no network."""

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from typing import Any, cast

import pytest
import trustme

from shardws.net.connection import Connection
from shardws.net.extras import Extras
from shardws.net.gate import Gate
from shardws.net.tls import TLSTransport
from shardws.net.tlsflow import SORRY, TLSFlow
from shardws.tls import contexts, selftest
from shardws.tls.config import TLSConfig
from shardws.tls.endings import Ending
from shardws.tls.engine import TLSEngine

CALLS = selftest.choose().calls
AUTHORITY = trustme.CA(key_type=trustme.KeyType.ECDSA)
LEAF = AUTHORITY.issue_cert("a.example", key_type=trustme.KeyType.ECDSA)
CONTEXT = contexts.build(TLSConfig(cert_store=LEAF.private_key_and_cert_chain_pem.bytes()))


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
        self.pauses: list[bool] = []
        self.extras: Extras | None = None
        self.on_data: Callable[[bytes], None] = lambda data: None
        self.wire: TLSTransport | None = None

    def connection_made(self, transport: Any) -> None:
        self.wire = transport

    def data_received(self, data: bytes) -> None:
        self.received += data
        self.on_data(data)

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
        self.gate = Gate(self.loop, most)
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
        context = ssl.create_default_context()
        AUTHORITY.configure_trust(context)
        context.maximum_version = ssl.TLSVersion[version]
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.client = context.wrap_bio(self._in, self._out, server_hostname="a.example")
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


@pytest.fixture(params=["TLSv1_2", "TLSv1_3"])
def wired(request: pytest.FixtureRequest) -> Wired:
    return Wired(version=request.param).shake()


def test_data_passes_both_ways(wired: Wired) -> None:
    wired.wire.data_received(wired.say(b"hello"))
    assert wired.upper.received == b"hello"
    wired.wire.write(b"a")
    wired.wire.write(bytearray(b"b"))
    wired.wire.write(memoryview(b"c" * 40_000))
    assert wired.heard() == b"ab" + b"c" * 40_000


def test_one_write_of_the_connection_is_one_of_the_socket(wired: Wired) -> None:
    before = wired.raw.writes
    wired.wire.write(b"x" * 100_000)
    assert wired.raw.writes == before + 1


def test_what_was_negotiated_stays_with_the_connection(wired: Wired) -> None:
    assert wired.upper.extras is not None
    assert wired.upper.extras.negotiated is not None
    assert wired.upper.extras.negotiated.cipher == wired.client.cipher()[0]  # type: ignore[index]


def test_the_request_that_comes_with_the_end_of_the_handshake_is_not_lost() -> None:
    wired = Wired()
    with contextlib.suppress(ssl.SSLWantReadError):
        wired.client.do_handshake()
    wired.pass_on()
    wired.client.do_handshake()
    wired.wire.data_received(wired.say(b"GET /"))
    assert wired.upper.received == b"GET /"


def test_any_cut_of_the_stream_is_the_same_to_the_connection(wired: Wired) -> None:
    records = wired.say(b"one") + wired.say(b"two" * 9000) + wired.say(b"three")
    for at in range(0, len(records), 999):
        wired.wire.data_received(records[at : at + 999])
    assert wired.upper.received == b"one" + b"two" * 9000 + b"three"


def test_the_peers_close_notify_ends_both_ways(wired: Wired) -> None:
    wired.wire.data_received(wired.say(b"last") + wired.bye())
    assert wired.upper.received == b"last"
    assert wired.upper.told() == "the peer ended the TLS stream"
    assert wired.raw.ended()
    assert wired.guard.endings == []
    assert wired.heard() == b""
    assert wired.has_ended  # our close_notify came back


def test_our_close_sends_close_notify_and_fin_and_reads_on(wired: Wired) -> None:
    wired.wire.write(b"bye")
    wired.wire.pause_reading()
    wired.wire.close()
    assert wired.raw.ended()
    assert wired.raw.reads()
    assert wired.heard() == b"bye"
    assert wired.has_ended
    wired.wire.data_received(wired.say(b"late") + wired.bye())
    wired.wire.write(b"too late")
    wired.wire.close()
    wired.wire.pause_reading()
    assert wired.raw.reads()
    assert not wired.wire.eof_received()
    wired.wire.connection_lost(None)
    assert wired.upper.received == b""
    assert wired.upper.is_lost
    assert wired.guard.endings == []


def test_fin_without_close_notify_is_told(wired: Wired) -> None:
    assert not wired.wire.eof_received()
    assert wired.upper.told() == "the peer closed TCP without ending the TLS stream"
    assert [ending.code for ending in wired.guard.endings] == [283]


def test_a_damaged_record_ends_with_an_alert_and_lingers(wired: Wired) -> None:
    records = bytearray(wired.say(b"hello"))
    records[-1] ^= 1
    more = wired.say(b"more")
    wired.wire.data_received(bytes(records))
    assert wired.upper.received == b""
    assert wired.upper.told() is not None
    assert [ending.code for ending in wired.guard.endings] == [282]
    assert wired.raw.ended()
    assert wired.raw.reads()
    with pytest.raises(ssl.SSLError, match=r"(?i)bad.record.mac"):
        wired.heard()
    wired.wire.data_received(more)
    assert wired.upper.received == b""


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "plain HTTP on the TLS port"),
        (b"\x00\x01\x02" * 20, "TLS handshake failed"),
        (b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00" * 3, "TLS handshake failed"),
    ],
)
def test_noise_before_the_handshake_is_refused_and_told_once(data: bytes, reason: str) -> None:
    wired = Wired()
    wired.wire.data_received(data)
    wired.wire.data_received(data)
    wired.wire.eof_received()
    wired.wire.connection_lost(None)
    assert [ending.code for ending in wired.guard.endings] == [280]
    assert reason in wired.guard.endings[0].description
    assert wired.raw.ended()
    assert wired.guard.gate.inside == 0


def test_a_peer_that_leaves_during_the_handshake_is_told_of_once() -> None:
    wired = Wired()
    with contextlib.suppress(ssl.SSLWantReadError):
        wired.client.do_handshake()
    wired.pass_on()
    assert wired.guard.gate.inside == 1
    wired.wire.connection_lost(ConnectionResetError())
    assert [ending.code for ending in wired.guard.endings] == [280]
    assert wired.guard.gate.inside == 0
    assert wired.upper.is_lost


def test_a_knock_without_a_word_is_nothing_to_tell() -> None:
    """A load balancer that looks whether the port is open."""
    wired = Wired()
    wired.wire.eof_received()
    wired.wire.connection_lost(None)
    assert wired.guard.endings == []
    assert wired.upper.is_lost


def test_an_answer_before_the_end_of_the_handshake_cannot_be_read_and_is_dropped() -> None:
    """The deadline has passed: who stopped halfway does not get more time for its 408."""
    wired = Wired()
    with contextlib.suppress(ssl.SSLWantReadError):
        wired.client.do_handshake()
    wired.pass_on()
    wired.wire.write(b"HTTP/1.1 408 \r\n\r\n")
    wired.wire.write_eof()
    assert wired.raw.ended()
    assert wired.raw.sent == b""
    assert wired.guard.endings == []
    wired.wire.data_received(b"\x16\x03\x01\x00")
    wired.wire.connection_lost(None)
    assert wired.guard.endings == []


def test_a_close_before_the_first_byte_is_a_close() -> None:
    wired = Wired()
    wired.wire.close()
    assert wired.raw.ended()
    wired.wire.data_received(b"\x16\x03\x01\x00")
    assert wired.raw.sent == b""


def test_abort_is_passed_on_and_ends_all() -> None:
    wired = Wired().shake()
    wired.wire.abort()
    assert wired.raw.is_aborted
    assert wired.wire.is_closing()
    wired.wire.resume_reading()
    wired.wire.connection_lost(None)
    wired.wire.abort()
    wired.wire.resume_reading()
    assert wired.guard.endings == []


# -- waiting -------------------------------------------------------------------------------


def test_reading_pauses_with_the_connection(wired: Wired) -> None:
    wired.wire.pause_reading()
    assert not wired.raw.reads()
    wired.wire.resume_reading()
    assert wired.raw.reads()


def test_a_pause_during_the_handshake_holds_the_request_back() -> None:
    """A handler of SSLStatus may take its time: the opening request comes after it."""
    guard = Stub(is_traced=True)
    wired = Wired(guard)
    with contextlib.suppress(ssl.SSLWantReadError):
        wired.client.do_handshake()
    wired.pass_on()
    wired.client.do_handshake()
    wired.wire.pause_reading()
    wired.wire.data_received(wired.say(b"GET /"))
    assert wired.upper.received == b""
    wired.wire.resume_reading()
    assert wired.upper.received == b""  # not from inside the call
    guard.turn()
    assert wired.upper.received == b"GET /"
    assert wired.raw.reads()
    assert "handshake completed" in guard.told_lines


def test_the_choice_may_come_later() -> None:
    guard = Stub(is_choosing=True)
    wired = Wired(guard)
    with contextlib.suppress(ssl.SSLWantReadError):
        wired.client.do_handshake()
    wired.pass_on()
    assert guard.chosen is wired.wire
    assert not wired.raw.reads()
    assert wired.raw.sent == b""
    wired.wire.start(CONTEXT)
    assert wired.raw.reads()
    wired.shake()
    assert wired.wire.is_open
    wired.wire.start(CONTEXT)  # again: nothing
    wired.wire.data_received(wired.say(b"hello"))
    assert wired.upper.received == b"hello"


def test_a_choice_that_fails_ends_with_an_alert() -> None:
    guard = Stub(is_choosing=True)
    wired = Wired(guard)
    with contextlib.suppress(ssl.SSLWantReadError):
        wired.client.do_handshake()
    wired.pass_on()
    wired.wire.refuse(Ending(280, "no such certificate"), SORRY)
    wired.wire.refuse(Ending(280, "again"), SORRY)
    wired.wire.start(CONTEXT)
    assert wired.raw.sent == SORRY
    assert wired.upper.told() == "no such certificate"
    assert [ending.description for ending in guard.endings] == ["no such certificate"]
    wired.pass_on()
    with pytest.raises(ssl.SSLError, match=r"(?i)internal.error"):
        wired.client.do_handshake()


def test_a_verdict_holds_back_what_the_client_sends() -> None:
    guard = Stub()
    guard.is_judging = True
    wired = Wired(guard).shake()
    assert not wired.raw.reads()
    assert wired.wire.is_open
    wired.wire.data_received(wired.say(b"GET /"))
    assert wired.upper.received == b""
    wired.wire.admit()
    guard.turn()
    assert wired.upper.received == b"GET /"
    assert wired.raw.reads()


def test_a_verdict_against_the_client_closes() -> None:
    guard = Stub()
    guard.is_judging = True
    wired = Wired(guard).shake()
    wired.wire.data_received(wired.say(b"GET /"))
    wired.wire.refuse(Ending(281, "no"))
    guard.turn()
    assert wired.upper.received == b""
    assert wired.raw.ended()
    assert wired.raw.reads()
    assert wired.heard() == b""
    assert wired.has_ended


def test_a_client_that_ends_while_it_is_judged_is_followed_afterwards() -> None:
    guard = Stub()
    guard.is_judging = True
    wired = Wired(guard).shake()
    wired.wire.data_received(wired.say(b"GET /") + wired.bye())
    assert wired.upper.told() is None
    wired.wire.admit()
    guard.turn()
    assert wired.upper.received == b"GET /"
    assert wired.upper.told() == "the peer ended the TLS stream"


def test_a_full_gate_makes_the_client_wait_unread() -> None:
    guard = Stub(most=1)
    first, second = Wired(guard), Wired(guard)
    for wired in (first, second):
        with contextlib.suppress(ssl.SSLWantReadError):
            wired.client.do_handshake()
        wired.pass_on()
    assert first.raw.reads()
    assert not second.raw.reads()
    second.wire.data_received(b"")  # what came before a proxy let go of the socket
    first.shake()
    assert first.wire.is_open
    guard.turn()
    assert second.raw.reads()
    second.shake()
    assert second.wire.is_open
    assert guard.gate.inside == 0


def test_a_handshake_that_is_given_up_is_told() -> None:
    guard = Stub()
    wired = Wired(guard)
    with contextlib.suppress(ssl.SSLWantReadError):
        wired.client.do_handshake()
    wired.pass_on()
    wired.wire.give_up("too slow")
    assert guard.endings == [Ending(280, "too slow")]
    assert wired.raw.ended()


# -- the rest of a transport ---------------------------------------------------------------


def test_marks_and_facts_are_those_of_the_socket(wired: Wired) -> None:
    wire = wired.wire
    wire.set_write_buffer_limits(2, 1)
    assert wired.raw.limits == (2, 1)
    assert wire.get_write_buffer_size() == 17
    assert wire.get_extra_info("peername") == ("192.0.2.1", 5)
    assert wire.get_extra_info("nothing", 3) == 3
    assert wire.can_write_eof()
    assert not wire.is_closing()
    wire.pause_writing()
    wire.resume_writing()
    assert wired.upper.pauses == [True, False]


def test_a_lost_transport_answers_still(wired: Wired) -> None:
    wired.wire.connection_lost(None)
    wired.wire.write(b"nowhere")
    wired.wire.close()
    wired.wire.set_write_buffer_limits(2, 1)
    assert wired.wire.get_write_buffer_size() == 0
    assert wired.wire.get_extra_info("peername", 7) == 7
    assert wired.wire.is_closing()


def test_progress_is_told_after_the_handshake_too() -> None:
    guard = Stub(is_traced=True)
    wired = Wired(guard).shake()
    before = len(guard.told_lines)
    wired.wire.data_received(wired.bye())
    assert any("close_notify" in line for line in guard.told_lines[before:])


def test_a_flood_that_shows_when_we_write_ends_the_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A renegotiation that does not end is found by `send`, inside the Connection's own call."""
    wired = Wired().shake()

    def send(engine: TLSEngine, data: bytes) -> bytes:
        engine._finish(Ending(284, "a renegotiation does not end"))
        return b""

    monkeypatch.setattr(TLSEngine, "send", send)
    wired.wire.write(b"x")
    assert wired.upper.told() is None
    wired.guard.turn()
    assert wired.upper.told() == "a renegotiation does not end"
    assert [ending.code for ending in wired.guard.endings] == [284]


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_the_end_of_the_handshake_is_written_only_where_the_client_waits_for_it(
    version: str,
) -> None:
    """In TLS 1.3 only tickets are left, and they go with the answer."""
    wired = Wired(version=version)
    with contextlib.suppress(ssl.SSLWantReadError):
        wired.client.do_handshake()
    wired.pass_on()
    with contextlib.suppress(ssl.SSLWantReadError):
        wired.client.do_handshake()
    before = wired.raw.writes
    wired.wire.data_received(wired._out.read())
    assert wired.wire.is_open
    assert wired.raw.writes == before + (version == "TLSv1_2")
    wired.pass_on()
    wired.client.do_handshake()
    before = wired.raw.writes
    wired.wire.data_received(wired.say(b"GET /"))
    wired.wire.write(b"HTTP/1.1 101")
    assert wired.raw.writes == before + 1
    assert wired.heard() == b"HTTP/1.1 101"
    assert wired.client.session is not None
    assert wired.client.session.has_ticket


def test_tickets_go_with_the_last_words_when_nothing_else_was_said() -> None:
    wired = Wired().shake()
    wired.wire.close()
    assert wired.heard() == b""
    assert wired.has_ended
    assert wired.client.session is not None
    assert wired.client.session.has_ticket
