"""TLS between a transport and a Connection, with a client of the stdlib and no network."""

import contextlib
import itertools
import ssl

import pytest

from shardws.net.tls import TURN_BYTES
from shardws.tls.endings import Ending
from shardws.tls.engine import TLSEngine
from tests.unit.net.tls_transport_fixture import StubGuard, TLSFixture


@pytest.fixture(params=["TLSv1_2", "TLSv1_3"])
def fixture(request: pytest.FixtureRequest) -> TLSFixture:
    return TLSFixture(version=request.param).handshake()


def test_data_passes_both_ways(fixture: TLSFixture) -> None:
    fixture.transport.data_received(fixture.encrypt(b"hello"))
    assert fixture.connection.received == b"hello"
    fixture.transport.write(b"a")
    fixture.transport.write(bytearray(b"b"))
    fixture.transport.write(memoryview(b"c" * 40_000))
    assert fixture.decrypted() == b"ab" + b"c" * 40_000


def test_one_write_of_the_connection_is_one_of_the_socket(fixture: TLSFixture) -> None:
    before = fixture.tcp.writes
    fixture.transport.write(b"x" * 100_000)
    assert fixture.tcp.writes == before + 1


def test_what_was_negotiated_stays_with_the_connection(fixture: TLSFixture) -> None:
    assert fixture.connection.extras is not None
    assert fixture.connection.extras.negotiated is not None
    assert fixture.connection.extras.negotiated.cipher == fixture.client.cipher()[0]  # type: ignore[index]


def test_the_request_that_comes_with_the_end_of_the_handshake_is_not_lost() -> None:
    fixture = TLSFixture()
    with contextlib.suppress(ssl.SSLWantReadError):
        fixture.client.do_handshake()
    fixture.exchange()
    fixture.client.do_handshake()
    fixture.transport.data_received(fixture.encrypt(b"GET /"))
    assert fixture.connection.received == b"GET /"


def test_any_cut_of_the_stream_is_the_same_to_the_connection(fixture: TLSFixture) -> None:
    records = fixture.encrypt(b"one") + fixture.encrypt(b"two" * 9000) + fixture.encrypt(b"three")
    for at in range(0, len(records), 999):
        fixture.transport.data_received(records[at : at + 999])
    assert fixture.connection.received == b"one" + b"two" * 9000 + b"three"


def test_the_peers_close_notify_ends_both_ways(fixture: TLSFixture) -> None:
    fixture.transport.data_received(fixture.encrypt(b"last") + fixture.close_notify())
    assert fixture.connection.received == b"last"
    assert fixture.connection.told() == "the peer ended the TLS stream"
    assert fixture.tcp.ended()
    assert fixture.guard.endings == []
    assert fixture.decrypted() == b""
    assert fixture.has_ended  # our close_notify came back


def test_our_close_sends_close_notify_and_fin_and_reads_on(fixture: TLSFixture) -> None:
    fixture.transport.write(b"bye")
    fixture.transport.pause_reading()
    fixture.transport.close()
    assert fixture.tcp.ended()
    assert fixture.tcp.reads()
    assert fixture.decrypted() == b"bye"
    assert fixture.has_ended
    fixture.transport.data_received(fixture.encrypt(b"late") + fixture.close_notify())
    fixture.transport.write(b"too late")
    fixture.transport.close()
    fixture.transport.pause_reading()
    assert fixture.tcp.reads()
    assert not fixture.transport.eof_received()
    fixture.transport.connection_lost(None)
    assert fixture.connection.received == b""
    assert fixture.connection.is_lost
    assert fixture.guard.endings == []


def test_fin_without_close_notify_is_told(fixture: TLSFixture) -> None:
    assert not fixture.transport.eof_received()
    assert fixture.connection.told() == "the peer closed TCP without ending the TLS stream"
    assert [ending.code for ending in fixture.guard.endings] == [283]


def test_a_damaged_record_ends_with_an_alert_and_lingers(fixture: TLSFixture) -> None:
    records = bytearray(fixture.encrypt(b"hello"))
    records[-1] ^= 1
    more = fixture.encrypt(b"more")
    fixture.transport.data_received(bytes(records))
    assert fixture.connection.received == b""
    assert fixture.connection.told() is not None
    assert [ending.code for ending in fixture.guard.endings] == [282]
    assert fixture.tcp.ended()
    assert fixture.tcp.reads()
    with pytest.raises(ssl.SSLError, match=r"(?i)bad.record.mac"):
        fixture.decrypted()
    fixture.transport.data_received(more)
    assert fixture.connection.received == b""


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "plain HTTP on the TLS port"),
        (b"\x00\x01\x02" * 20, "TLS handshake failed"),
        (b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00" * 3, "TLS handshake failed"),
    ],
)
def test_noise_before_the_handshake_is_refused_and_told_once(data: bytes, reason: str) -> None:
    fixture = TLSFixture()
    fixture.transport.data_received(data)
    fixture.transport.data_received(data)
    fixture.transport.eof_received()
    fixture.transport.connection_lost(None)
    assert [ending.code for ending in fixture.guard.endings] == [280]
    assert reason in fixture.guard.endings[0].description
    assert fixture.tcp.ended()
    assert fixture.guard.gate.inside == 0


def test_a_peer_that_leaves_during_the_handshake_is_told_of_once() -> None:
    fixture = TLSFixture()
    with contextlib.suppress(ssl.SSLWantReadError):
        fixture.client.do_handshake()
    fixture.exchange()
    assert fixture.guard.gate.inside == 1
    fixture.transport.connection_lost(ConnectionResetError())
    assert [ending.code for ending in fixture.guard.endings] == [280]
    assert fixture.guard.gate.inside == 0
    assert fixture.connection.is_lost


def test_a_knock_without_a_word_is_nothing_to_tell() -> None:
    """A load balancer that looks whether the port is open."""
    fixture = TLSFixture()
    fixture.transport.eof_received()
    fixture.transport.connection_lost(None)
    assert fixture.guard.endings == []
    assert fixture.connection.is_lost


def test_an_answer_before_the_end_of_the_handshake_cannot_be_read_and_is_dropped() -> None:
    """The deadline has passed: who stopped halfway does not get more time for its 408."""
    fixture = TLSFixture()
    with contextlib.suppress(ssl.SSLWantReadError):
        fixture.client.do_handshake()
    fixture.exchange()
    fixture.transport.write(b"HTTP/1.1 408 \r\n\r\n")
    fixture.transport.write_eof()
    assert fixture.tcp.ended()
    assert fixture.tcp.sent == b""
    assert fixture.guard.endings == []
    fixture.transport.data_received(b"\x16\x03\x01\x00")
    fixture.transport.connection_lost(None)
    assert fixture.guard.endings == []


def test_a_close_before_the_first_byte_is_a_close() -> None:
    fixture = TLSFixture()
    fixture.transport.close()
    assert fixture.tcp.ended()
    fixture.transport.data_received(b"\x16\x03\x01\x00")
    assert fixture.tcp.sent == b""


def test_abort_is_passed_on_and_ends_all() -> None:
    fixture = TLSFixture().handshake()
    fixture.transport.abort()
    assert fixture.tcp.is_aborted
    assert fixture.transport.is_closing()
    fixture.transport.resume_reading()
    fixture.transport.connection_lost(None)
    fixture.transport.abort()
    fixture.transport.resume_reading()
    assert fixture.guard.endings == []


# -- the rest of a transport ---------------------------------------------------------------


def test_marks_and_facts_are_those_of_the_socket(fixture: TLSFixture) -> None:
    wire = fixture.transport
    wire.set_write_buffer_limits(2, 1)
    assert fixture.tcp.limits == (2, 1)
    assert wire.get_write_buffer_size() == 17
    assert wire.get_extra_info("peername") == ("192.0.2.1", 5)
    assert wire.get_extra_info("nothing", 3) == 3
    assert wire.can_write_eof()
    assert not wire.is_closing()
    wire.pause_writing()
    wire.resume_writing()
    assert fixture.connection.pauses == [True, False]


def test_a_lost_transport_answers_still(fixture: TLSFixture) -> None:
    fixture.transport.connection_lost(None)
    fixture.transport.write(b"nowhere")
    fixture.transport.close()
    fixture.transport.set_write_buffer_limits(2, 1)
    assert fixture.transport.get_write_buffer_size() == 0
    assert fixture.transport.get_extra_info("peername", 7) == 7
    assert fixture.transport.is_closing()


def test_progress_is_told_after_the_handshake_too() -> None:
    guard = StubGuard(is_traced=True)
    fixture = TLSFixture(guard).handshake()
    before = len(guard.told_lines)
    fixture.transport.data_received(fixture.close_notify())
    assert any("close_notify" in line for line in guard.told_lines[before:])


def test_a_flood_that_shows_when_we_write_ends_the_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A renegotiation that does not end is found by `send`, inside the Connection's own call."""
    fixture = TLSFixture().handshake()

    def send(engine: TLSEngine, data: bytes) -> bytes:
        engine._finish(Ending(284, "a renegotiation does not end"))
        return b""

    monkeypatch.setattr(TLSEngine, "send", send)
    fixture.transport.write(b"x")
    assert fixture.connection.told() is None
    fixture.guard.turn()
    assert fixture.connection.told() == "a renegotiation does not end"
    assert [ending.code for ending in fixture.guard.endings] == [284]


def test_a_long_read_is_decrypted_in_turns(fixture: TLSFixture) -> None:
    """With records of one byte a read took 15 ms, and 32 reads came in a row."""
    plain = bytes(range(256)) * 40
    records = b"".join(fixture.encrypt(plain[at : at + 1]) for at in range(len(plain)))
    assert len(records) > 3 * TURN_BYTES
    fixture.transport.data_received(records)
    lengths = [0]
    while len(fixture.connection.received) < len(plain):
        lengths.append(len(fixture.connection.received))
        assert not fixture.tcp.is_reading
        assert fixture.connection.turns == len(lengths) - 1
        fixture.transport.resume_reading()
        fixture.guard.turn()
    lengths.append(len(plain))
    taken = [now - before for before, now in itertools.pairwise(lengths)]
    assert max(taken) <= TURN_BYTES // 22
    assert fixture.connection.received == plain
    assert fixture.tcp.is_reading


def test_an_end_behind_a_long_read_waits_for_its_turn(fixture: TLSFixture) -> None:
    plain = bytes(3 * TURN_BYTES)
    fixture.transport.data_received(fixture.encrypt(plain) + fixture.close_notify())
    while fixture.connection.reason is None:
        fixture.transport.resume_reading()
        fixture.guard.turn()
    assert fixture.connection.received == plain
