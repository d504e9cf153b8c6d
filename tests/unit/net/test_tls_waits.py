"""What TLS holds back, and for whom: the reader, the choice, the verdict, the gate, the tickets."""

import contextlib
import ssl
from collections.abc import Callable

import pytest

from shardws.net.tlsflow import MOST_KEPT, SORRY
from shardws.tls.endings import Ending
from tests.unit.net.tls_transport_fixture import CONTEXT, StubGuard, TLSFixture


@pytest.fixture(params=["TLSv1_2", "TLSv1_3"])
def fixture(request: pytest.FixtureRequest) -> TLSFixture:
    return TLSFixture(version=request.param).handshake()


def test_reading_pauses_with_the_connection(fixture: TLSFixture) -> None:
    fixture.transport.pause_reading()
    assert not fixture.tcp.reads()
    fixture.transport.resume_reading()
    assert fixture.tcp.reads()


def test_a_pause_during_the_handshake_holds_the_request_back() -> None:
    """A handler of SSLStatus may take its time: the opening request comes after it."""
    guard = StubGuard(is_traced=True)
    fixture = TLSFixture(guard)
    with contextlib.suppress(ssl.SSLWantReadError):
        fixture.client.do_handshake()
    fixture.exchange()
    fixture.client.do_handshake()
    fixture.transport.pause_reading()
    fixture.transport.data_received(fixture.encrypt(b"GET /"))
    assert fixture.connection.received == b""
    fixture.transport.resume_reading()
    assert fixture.connection.received == b""  # not from inside the call
    guard.turn()
    assert fixture.connection.received == b"GET /"
    assert fixture.tcp.reads()
    assert "handshake completed" in guard.told_lines


def test_the_choice_may_come_later() -> None:
    guard = StubGuard(is_choosing=True)
    fixture = TLSFixture(guard)
    with contextlib.suppress(ssl.SSLWantReadError):
        fixture.client.do_handshake()
    fixture.exchange()
    assert guard.chosen is fixture.transport
    assert fixture.tcp.reads(), "so that a client that leaves is noticed"
    assert fixture.tcp.sent == b""
    fixture.transport.start(CONTEXT)
    assert fixture.tcp.reads()
    fixture.handshake()
    assert fixture.transport.is_open
    fixture.transport.start(CONTEXT)  # again: nothing
    fixture.transport.data_received(fixture.encrypt(b"hello"))
    assert fixture.connection.received == b"hello"


def test_a_choice_that_fails_ends_with_an_alert() -> None:
    guard = StubGuard(is_choosing=True)
    fixture = TLSFixture(guard)
    with contextlib.suppress(ssl.SSLWantReadError):
        fixture.client.do_handshake()
    fixture.exchange()
    fixture.transport.refuse(Ending(280, "no such certificate"), SORRY)
    fixture.transport.refuse(Ending(280, "again"), SORRY)
    fixture.transport.start(CONTEXT)
    assert fixture.tcp.sent == SORRY
    assert fixture.connection.told() == "no such certificate"
    assert [ending.description for ending in guard.endings] == ["no such certificate"]
    fixture.exchange()
    with pytest.raises(ssl.SSLError, match=r"(?i)internal.error"):
        fixture.client.do_handshake()


def test_a_verdict_holds_back_what_the_client_sends() -> None:
    guard = StubGuard()
    guard.is_judging = True
    fixture = TLSFixture(guard).handshake()
    assert fixture.tcp.reads(), "so that a client that leaves is noticed"
    assert fixture.transport.is_open
    fixture.transport.data_received(fixture.encrypt(b"GET /"))
    assert fixture.connection.received == b""
    assert fixture.tcp.reads()
    fixture.transport.admit()
    guard.turn()
    assert fixture.connection.received == b"GET /"
    assert fixture.tcp.reads()


def test_what_is_read_during_a_decision_is_bounded() -> None:
    guard = StubGuard()
    guard.is_judging = True
    fixture = TLSFixture(guard).handshake()
    sent = bytes(MOST_KEPT)
    fixture.transport.data_received(fixture.encrypt(sent))
    assert not fixture.tcp.reads()
    assert fixture.connection.received == b""
    fixture.transport.admit()
    guard.turn()
    assert fixture.connection.received == sent
    assert fixture.tcp.reads()


def test_a_client_that_leaves_during_a_decision_is_not_waited_for() -> None:
    guard = StubGuard()
    guard.is_judging = True
    fixture = TLSFixture(guard).handshake()
    fixture.transport.data_received(fixture.encrypt(b"GET /"))
    assert not fixture.transport.eof_received()
    assert fixture.connection.received == b""
    assert fixture.connection.told() is not None


def test_a_verdict_against_the_client_closes() -> None:
    guard = StubGuard()
    guard.is_judging = True
    fixture = TLSFixture(guard).handshake()
    fixture.transport.data_received(fixture.encrypt(b"GET /"))
    fixture.transport.refuse(Ending(281, "no"))
    guard.turn()
    assert fixture.connection.received == b""
    assert fixture.tcp.ended()
    assert fixture.tcp.reads()
    assert fixture.decrypted() == b""
    assert fixture.has_ended


def test_a_client_that_ends_while_it_is_judged_is_followed_afterwards() -> None:
    guard = StubGuard()
    guard.is_judging = True
    fixture = TLSFixture(guard).handshake()
    fixture.transport.data_received(fixture.encrypt(b"GET /") + fixture.close_notify())
    assert fixture.connection.told() is None
    fixture.transport.admit()
    guard.turn()
    assert fixture.connection.received == b"GET /"
    assert fixture.connection.told() == "the peer ended the TLS stream"


def test_a_full_gate_makes_the_client_wait_unread() -> None:
    guard = StubGuard(most=1)
    first, second = TLSFixture(guard), TLSFixture(guard)
    for fixture in (first, second):
        with contextlib.suppress(ssl.SSLWantReadError):
            fixture.client.do_handshake()
        fixture.exchange()
    assert first.tcp.reads()
    assert not second.tcp.reads()
    second.transport.data_received(b"")  # what came before a proxy let go of the socket
    first.handshake()
    assert first.transport.is_open
    guard.turn()
    assert second.tcp.reads()
    second.handshake()
    assert second.transport.is_open
    assert guard.gate.inside == 0


def test_a_handshake_that_is_given_up_is_told() -> None:
    guard = StubGuard()
    fixture = TLSFixture(guard)
    with contextlib.suppress(ssl.SSLWantReadError):
        fixture.client.do_handshake()
    fixture.exchange()
    fixture.transport.give_up("too slow")
    assert guard.endings == [Ending(280, "too slow")]
    assert fixture.tcp.ended()


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_the_end_of_the_handshake_is_written_only_where_the_client_waits_for_it(
    version: str,
) -> None:
    """In TLS 1.3 only tickets are left, and they go with the answer."""
    fixture = TLSFixture(version=version)
    with contextlib.suppress(ssl.SSLWantReadError):
        fixture.client.do_handshake()
    fixture.exchange()
    with contextlib.suppress(ssl.SSLWantReadError):
        fixture.client.do_handshake()
    before = fixture.tcp.writes
    fixture.transport.data_received(fixture._out.read())
    assert fixture.transport.is_open
    assert fixture.tcp.writes == before + (version == "TLSv1_2")
    fixture.exchange()
    fixture.client.do_handshake()
    before = fixture.tcp.writes
    fixture.transport.data_received(fixture.encrypt(b"GET /"))
    fixture.transport.write(b"HTTP/1.1 101")
    assert fixture.tcp.writes == before + 1
    assert fixture.decrypted() == b"HTTP/1.1 101"
    assert fixture.client.session is not None
    assert fixture.client.session.has_ticket


def test_tickets_go_with_the_last_words_when_nothing_else_was_said() -> None:
    fixture = TLSFixture().handshake()
    fixture.transport.close()
    assert fixture.decrypted() == b""
    assert fixture.has_ended
    assert fixture.client.session is not None
    assert fixture.client.session.has_ticket


@pytest.mark.parametrize("kind", ["nobody asks", "traced", "chosen", "judged"])
def test_the_request_arrives_wherever_its_way_is_cut(kind: str) -> None:
    """Finished and the request leave a client of TLS 1.3 together; TCP may cut them anywhere."""
    request = b"GET / HTTP/1.1\r\n\r\n"
    at, size = 0, 1
    while at < size:
        guard = StubGuard(is_traced=kind == "traced", is_choosing=kind == "chosen")
        guard.is_judging = kind == "judged"
        fixture = TLSFixture(guard)
        with contextlib.suppress(ssl.SSLWantReadError):
            fixture.client.do_handshake()
        fixture.exchange()
        if guard.chosen is not None:
            guard.chosen.start(CONTEXT)
            fixture.exchange()
        fixture.client.do_handshake()
        data = fixture.encrypt(request)
        fixture.transport.data_received(data[:at])
        fixture.transport.data_received(data[at:])
        if guard.is_judging:
            fixture.transport.admit()
            guard.turn()
        assert fixture.connection.received == request, at
        assert fixture.tcp.reads()
        at, size = at + 1, len(data)


def test_a_handshake_goes_on_in_steps_of_the_order_of_events() -> None:
    """A step that is put off takes all that came until then, and the end comes behind it."""
    guard = StubGuard()
    fixture = TLSFixture(guard).handshake()
    steps: list[Callable[[], None]] = []
    guard.steps = steps
    late = TLSFixture(guard)
    with contextlib.suppress(ssl.SSLWantReadError):
        late.client.do_handshake()
    late.exchange()
    assert late.tcp.sent == b""
    assert len(steps) == 1
    steps.pop()()
    late.transport.connection_lost(None)
    fixture.transport.data_received(fixture.encrypt(b"x"))  # an open stream needs no step
    assert fixture.connection.received == b"x"
    assert steps == []


def test_the_end_of_tcp_waits_for_the_step_before_it() -> None:
    guard = StubGuard(is_traced=True)  # so that open streams go by steps too
    fixture = TLSFixture(guard).handshake()
    steps: list[Callable[[], None]] = []
    guard.steps = steps
    fixture.transport.data_received(fixture.encrypt(b"last words"))
    assert fixture.transport.eof_received() is True
    assert fixture.connection.received == b""
    while steps:
        steps.pop(0)()
    assert fixture.connection.received == b"last words"
    assert [ending.code for ending in guard.endings] == [283]
    assert fixture.tcp.is_closing()


def test_nothing_begins_while_the_client_is_not_admitted() -> None:
    guard = StubGuard()
    fixture = TLSFixture(guard)
    fixture.transport.pause_reading()
    with contextlib.suppress(ssl.SSLWantReadError):
        fixture.client.do_handshake()
    fixture.transport.data_received(fixture._out.read())  # it came although reading was paused
    assert (fixture.tcp.sent, guard.gate.inside) == (b"", 0)
    fixture.transport.resume_reading()
    guard.turn()
    assert guard.gate.inside == 1
    fixture.handshake()
    assert fixture.transport.is_open
