"""TLS between a transport and a Connection, with a client of the stdlib and no network."""

import contextlib
import itertools
import ssl

import pytest

from shardws.net.tls import TURN_BYTES
from shardws.tls.endings import Ending
from shardws.tls.engine import TLSEngine
from tests.unit.net.tls_wired import Stub, Wired


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


def test_a_long_read_is_decrypted_in_turns(wired: Wired) -> None:
    """With records of one byte a read took 15 ms, and 32 reads came in a row."""
    plain = bytes(range(256)) * 40
    records = b"".join(wired.say(plain[at : at + 1]) for at in range(len(plain)))
    assert len(records) > 3 * TURN_BYTES
    wired.wire.data_received(records)
    lengths = [0]
    while len(wired.upper.received) < len(plain):
        lengths.append(len(wired.upper.received))
        assert not wired.raw.is_reading
        assert wired.upper.turns == len(lengths) - 1
        wired.wire.resume_reading()
        wired.guard.turn()
    lengths.append(len(plain))
    taken = [now - before for before, now in itertools.pairwise(lengths)]
    assert max(taken) <= TURN_BYTES // 22
    assert wired.upper.received == plain
    assert wired.raw.is_reading


def test_an_end_behind_a_long_read_waits_for_its_turn(wired: Wired) -> None:
    plain = bytes(3 * TURN_BYTES)
    wired.wire.data_received(wired.say(plain) + wired.bye())
    while wired.upper.reason is None:
        wired.wire.resume_reading()
        wired.guard.turn()
    assert wired.upper.received == plain
