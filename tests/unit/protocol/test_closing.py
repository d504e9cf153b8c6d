"""The close table, row by row, through a session; and the payload of a close frame."""

import pytest

from shardws.errors import ProtocolError, UsageError
from shardws.protocol import closing
from shardws.protocol.closing import TABLE, Cause, Ending, Row, Source, State
from shardws.protocol.session import Session, SessionConfig
from tests.unit.protocol.client_frames import close, feed_session, frame

OWN = (4000, "own")
PEER = (4321, "peer")
VIOLATION = (1002, "Invalid opcode 0x3")

# What the application is told, by the source of the code.
TOLD = {
    Source.PEER: PEER,
    Source.OWN: OWN,
    Source.VERDICT: VIOLATION,
    Source.ABNORMAL: (1006, "gone"),
    Source.NO_CODE: (1005, ""),
}
# What is sent, by the source of the code.
SENT = {
    Source.NOTHING: [],
    Source.PEER: [(0x88, (4321).to_bytes(2))],
    Source.BARE: [(0x88, b"")],
    Source.OWN: [(0x88, (4000).to_bytes(2) + b"own")],
    Source.VERDICT: [(0x88, (1002).to_bytes(2) + b"Invalid opcode 0x3")],
}


def session_in(state: State, waits: bool) -> Session:
    session = Session(SessionConfig(wait_for_close=waits))
    if state is State.CLOSING:
        session.close(*OWN)
        session.replies.clear()
    assert session.state is state
    return session


def bring_about(session: Session, cause: Cause) -> None:
    if cause is Cause.LOST:
        session.lost("gone")
    elif cause in (Cause.OWN, Cause.OWN_AT_ONCE):
        session.close(*OWN)
    else:
        data = {
            Cause.PEER: close(*PEER),
            Cause.PEER_BARE: close(),
            Cause.VIOLATION: frame(0x83),
        }
        assert session.receive(data[cause]) == [(8, b"", True)]


@pytest.mark.parametrize(("key", "row"), TABLE.items(), ids=lambda part: str(part))
def test_a_row(key: tuple[State, Cause], row: Row) -> None:
    state, cause = key
    session = session_in(state, waits=cause is not Cause.OWN_AT_ONCE)
    bring_about(session, cause)
    assert session.state is row.state
    assert session.replies == SENT[row.sent]
    if row.told is Source.NOTHING:
        assert session.ending is None
        return
    ending = session.ending
    assert ending is not None
    assert (ending.code, ending.reason) == TOLD[row.told]
    assert ending.is_clean is row.is_clean
    assert (ending.error is not None) == (cause is Cause.VIOLATION)


@pytest.mark.parametrize("cause", list(Cause))
def test_every_cause_ends_an_open_session(cause: Cause) -> None:
    assert TABLE[State.OPEN, cause].state is not State.OPEN


def test_no_row_leaves_the_end() -> None:
    assert not [key for key in TABLE if key[0] is State.CLOSED]


def test_closing_twice_sends_one_frame() -> None:
    session = session_in(State.OPEN, waits=True)
    session.close(*OWN)
    session.close(1000, "another")
    assert session.replies == SENT[Source.OWN]


@pytest.mark.parametrize("first", list(Cause))
def test_the_first_ending_stays(first: Cause) -> None:
    """Whatever happens afterwards is neither answered nor told."""
    session = session_in(State.OPEN, waits=False)
    bring_about(session, first)
    ending, sent = session.ending, list(session.replies)
    assert ending is not None
    assert session.lost() is ending
    session.close(1001)
    assert session.receive(close(1000) + frame(0x89)) == []
    assert session.ending is ending
    assert session.replies == sent


def test_both_sides_close_at_once() -> None:
    """Our frame and the peer's cross: told is the peer's code (RFC 6455 7.1.5), nothing follows."""
    session = session_in(State.OPEN, waits=True)
    session.close(1001, "going")
    assert feed_session(session, close(1000, "bye")).replies == [(0x88, b"\x03\xe9going")]
    assert session.ending == Ending(1000, "bye", True)


def test_a_peer_that_never_answers_counts_as_lost() -> None:
    session = session_in(State.CLOSING, waits=True)
    feed_session(session, frame(0x81, b"chatter") * 5)
    assert session.lost("no answer to our close frame").code == 1006


@pytest.mark.parametrize("code", [1000, 1014, 3000, 4999])
@pytest.mark.parametrize("reason", ["", "grüße"])
def test_payloads_go_there_and_back(code: int, reason: str) -> None:
    assert closing.unpack(closing.pack(code, reason)) == (code, reason)


def test_a_payload_without_a_code() -> None:
    assert closing.unpack(b"") == (1005, "")


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"\x03", 1002),
        (b"\x00\x00", 1002),
        (b"\x03\xec", 1002),
        (b"\x03\xed", 1002),
        (b"\x03\xee", 1002),
        (b"\x03\xf7", 1002),
        (b"\x13\x88", 1002),
        (b"\x03\xe8\xff", 1007),
        (b"\x03\xe8\xe2\x82", 1007),
    ],
)
def test_payloads_that_no_peer_may_send(payload: bytes, code: int) -> None:
    with pytest.raises(ProtocolError) as raised:
        closing.unpack(payload)
    assert raised.value.close_code == code


@pytest.mark.parametrize(("reason", "kept"), [("a" * 123, 123), ("a" * 124, 123), ("ü" * 62, 122)])
def test_a_long_reason_is_cut_at_a_character(reason: str, kept: int) -> None:
    payload = closing.pack(1002, reason)
    assert len(payload) == 2 + kept
    payload[2:].decode()


def test_check() -> None:
    closing.check(1000, "ü" * 61)
    with pytest.raises(UsageError, match="1005"):
        closing.check(1005, "")
    with pytest.raises(UsageError, match="123"):
        closing.check(1000, "ü" * 62)
