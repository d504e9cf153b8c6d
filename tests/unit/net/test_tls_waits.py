"""What TLS holds back, and for whom: the reader, the choice, the verdict, the gate, the tickets."""

import contextlib
import ssl
from collections.abc import Callable

import pytest

from shardws.net.tlsflow import SORRY
from shardws.tls.endings import Ending
from tests.unit.net.tls_wired import CONTEXT, Stub, Wired


@pytest.fixture(params=["TLSv1_2", "TLSv1_3"])
def wired(request: pytest.FixtureRequest) -> Wired:
    return Wired(version=request.param).shake()


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


@pytest.mark.parametrize("kind", ["nobody asks", "traced", "chosen", "judged"])
def test_the_request_arrives_wherever_its_way_is_cut(kind: str) -> None:
    """Finished and the request leave a client of TLS 1.3 together; TCP may cut them anywhere."""
    request = b"GET / HTTP/1.1\r\n\r\n"
    at, size = 0, 1
    while at < size:
        guard = Stub(is_traced=kind == "traced", is_choosing=kind == "chosen")
        guard.is_judging = kind == "judged"
        wired = Wired(guard)
        with contextlib.suppress(ssl.SSLWantReadError):
            wired.client.do_handshake()
        wired.pass_on()
        if guard.chosen is not None:
            guard.chosen.start(CONTEXT)
            wired.pass_on()
        wired.client.do_handshake()
        data = wired.say(request)
        wired.wire.data_received(data[:at])
        wired.wire.data_received(data[at:])
        if guard.is_judging:
            wired.wire.admit()
            guard.turn()
        assert wired.upper.received == request, at
        assert wired.raw.reads()
        at, size = at + 1, len(data)


def test_a_handshake_goes_on_in_steps_of_the_order_of_events() -> None:
    """A step that is put off takes all that came until then, and the end comes behind it."""
    guard = Stub()
    wired = Wired(guard).shake()
    steps: list[Callable[[], None]] = []
    guard.steps = steps
    late = Wired(guard)
    with contextlib.suppress(ssl.SSLWantReadError):
        late.client.do_handshake()
    late.pass_on()
    assert late.raw.sent == b""
    assert len(steps) == 1
    steps.pop()()
    late.wire.connection_lost(None)
    wired.wire.data_received(wired.say(b"x"))  # an open stream needs no step
    assert wired.upper.received == b"x"
    assert steps == []


def test_the_end_of_tcp_waits_for_the_step_before_it() -> None:
    guard = Stub(is_traced=True)  # so that open streams go by steps too
    wired = Wired(guard).shake()
    steps: list[Callable[[], None]] = []
    guard.steps = steps
    wired.wire.data_received(wired.say(b"last words"))
    assert wired.wire.eof_received() is True
    assert wired.upper.received == b""
    while steps:
        steps.pop(0)()
    assert wired.upper.received == b"last words"
    assert [ending.code for ending in guard.endings] == [283]
    assert wired.raw.is_closing()


def test_nothing_begins_while_the_client_is_not_admitted() -> None:
    guard = Stub()
    wired = Wired(guard)
    wired.wire.pause_reading()
    with contextlib.suppress(ssl.SSLWantReadError):
        wired.client.do_handshake()
    wired.wire.data_received(wired._out.read())  # it came although reading was paused
    assert (wired.raw.sent, guard.gate.inside) == (b"", 0)
    wired.wire.resume_reading()
    guard.turn()
    assert guard.gate.inside == 1
    wired.shake()
    assert wired.wire.is_open
