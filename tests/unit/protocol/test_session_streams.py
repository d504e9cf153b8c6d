"""Sessions, stream by stream: each whole, byte by byte, in threes, and with a frame behind."""

import pytest

from shardws.protocol import codec
from shardws.protocol.session import Frame, Session, SessionConfig, State
from tests.unit.protocol.client_frames import KEY, feed_session, frame
from tests.unit.protocol.stream_cases import CASES, VIOLATIONS, Case, Messages

BEHIND = frame(0x81, b"behind")


def expected_close(case: Case) -> list[Frame]:
    if case.code is None:
        return []
    return [(0x88, case.code.to_bytes(2) if case.sent is None else case.sent)]


@pytest.mark.parametrize("size", [0, 1, 3])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_streams(
    implementation: codec.Implementation, config: SessionConfig, case: Case, size: int
) -> None:
    tried = Session(config)
    heard = feed_session(tried, case.data, size)
    assert heard.messages == case.messages
    pongs: list[Frame] = [(0x8A, payload) for payload in case.pongs]
    sent = [(first, payload[:2]) for first, payload in heard.replies]
    assert sent == [(first, payload[:2]) for first, payload in pongs + expected_close(case)]
    if case.code is None:
        assert tried.state is State.OPEN
        assert tried.ending is None
        assert tried.rest == b""
        assert feed_session(tried, BEHIND).items == [(1, b"behind", True)]
    else:
        assert tried.state is State.CLOSED
        assert tried.ending is not None
        assert tried.ending.code == case.code
        assert tried.receive(BEHIND) == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_streams_with_a_frame_behind(
    implementation: codec.Implementation, config: SessionConfig, case: Case
) -> None:
    heard = feed_session(Session(config), case.data + BEHIND)
    behind: Messages = [(1, b"behind")] if case.code is None else []
    assert heard.messages == case.messages + behind


@pytest.mark.parametrize("size", [0, 1, 3])
@pytest.mark.parametrize(("name", "data", "code"), VIOLATIONS, ids=[v[0] for v in VIOLATIONS])
def test_violations(
    implementation: codec.Implementation,
    config: SessionConfig,
    name: str,
    data: bytes,
    code: int,
    size: int,
) -> None:
    tried = Session(config)
    heard = feed_session(tried, data + BEHIND, size)
    assert heard.messages == [(8, b"")]
    assert tried.state is State.CLOSED
    ending = tried.ending
    assert ending is not None
    assert ending.error is not None
    assert (ending.code, ending.error.close_code, ending.is_clean) == (code, code, False)
    assert ending.reason == ending.error.description != ""
    [(first, payload)] = heard.replies
    assert first == 0x88
    assert int.from_bytes(payload[:2]) == code
    assert len(payload) <= 125
    assert tried.receive(BEHIND * 100) == []
    assert not tried.replies


def test_a_violation_is_told_at_its_first_byte(
    implementation: codec.Implementation, config: SessionConfig
) -> None:
    """Nothing waits for the rest of a frame whose header is broken, or too large."""
    for data in (
        b"\x83\x80",  # opcode, without its key
        b"\x89\xfe",  # a ping of 126, without its length
        b"\x81\x00",  # unmasked
        b"\xa1\x80",  # RSV2, without its key
        b"\x82\xfe\x00\x05",  # length of five in two bytes, without its key
        b"\x82\xff" + (1 << 40).to_bytes(8) + KEY,  # too large, without its payload
    ):
        tried = Session(config)
        *rest, last = data
        assert tried.receive(bytes(rest)) == []
        assert tried.receive(bytes((last,))) == [(8, b"", True)]


def test_invalid_text_is_told_at_its_first_byte(
    implementation: codec.Implementation, config: SessionConfig
) -> None:
    for first in (0x81, 0x01):
        tried = Session(config)
        data = frame(first, b"abc\xff" + b"d" * 100)
        feed_session(tried, data[: 6 + 3])
        assert tried.state is State.OPEN
        assert tried.receive(data[6 + 3 : 6 + 4]) == [(8, b"", True)]
        assert tried.ending is not None
        assert tried.ending.code == 1007


def test_pieces_are_passed_on_as_they_come(implementation: codec.Implementation) -> None:
    tried = Session(SessionConfig())
    data = frame(0x82, b"abcdefgh")
    assert tried.receive(data[:9]) == [(2, b"abc", False)]
    assert tried.receive(data[9:10]) == [(2, b"d", False)]
    assert tried.receive(data[10:] + frame(0x89)) == [(2, b"efgh", True), (9, b"", True)]


def test_pieces_of_text_are_whole_characters(implementation: codec.Implementation) -> None:
    for first in (0x81, 0x01):
        data = frame(first, "aü€😀".encode()) + (frame(0x80) if first == 1 else b"")
        heard = feed_session(Session(SessionConfig()), data, 1)
        pieces = [payload.decode() for _, payload, eom in heard.items if payload]
        assert pieces == list("aü€😀")
        assert heard.messages == [(1, "aü€😀".encode())]


def test_pieces_of_one_message_keep_its_kind(implementation: codec.Implementation) -> None:
    data = frame(2, b"a") + frame(0, b"") + frame(0, b"b") + frame(0x80, b"c")
    assert feed_session(Session(SessionConfig()), data).items == [
        (2, b"a", False),
        (2, b"b", False),
        (2, b"c", True),
    ]


def test_a_buffered_message_is_one_item(implementation: codec.Implementation) -> None:
    tried = Session(SessionConfig(buffer_message=True, max_message_size=1 << 20))
    plain = "ü€😀".encode() * 30000
    heard = feed_session(tried, frame(0x81, plain) + BEHIND, 4096)
    assert heard.items == [(1, plain, True), (1, b"behind", True)]
