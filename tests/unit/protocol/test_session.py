"""A session's own work: hand-over, closing, sending, memory. Streams: test_session_streams."""

import sys
from typing import Any

import pytest

from shardws.errors import UsageError
from shardws.protocol import codec, session
from shardws.protocol.session import Ending, Session, SessionConfig, State
from tests.unit.protocol.client_frames import close, feed_session, frame

BEHIND = frame(0x81, b"behind")


@pytest.mark.parametrize("name", ["max_message_size", "max_frame_size", "deflate_min_size"])
def test_a_size_below_its_range_is_refused(name: str) -> None:
    sizes: dict[str, Any] = {name: -1}
    with pytest.raises(UsageError, match="positive"):
        SessionConfig(**sizes)


# -- the rest, for a hand-over --------------------------------------------------------------------


@pytest.mark.parametrize("cut", range(len(frame(0x89, b"ping")) + 1))
def test_a_session_moves_between_two_messages(
    implementation: codec.Implementation, cut: int
) -> None:
    """In the middle of a header or a control frame, too."""
    config = SessionConfig()
    stream = frame(0x81, b"a") + frame(0x89, b"ping") + frame(0x81, b"b")
    at = len(frame(0x81, b"a")) + cut
    first = Session(config)
    heard = feed_session(first, stream[:at])
    rest = first.rest
    assert rest is not None
    second = feed_session(Session(config, None, rest), stream[at:])
    assert heard.messages + second.messages == [(1, b"a"), (9, b"ping"), (1, b"b")]


def test_a_session_with_bytes_of_another_needs_no_more_bytes(
    implementation: codec.Implementation,
) -> None:
    tried = Session(SessionConfig(), None, frame(0x81, b"a"))
    assert tried.receive(b"") == [(1, b"a", True)]
    assert tried.rest == b""


def test_a_session_does_not_move_in_the_middle(
    implementation: codec.Implementation, config: SessionConfig
) -> None:
    for data in (frame(0x82, b"abc")[:-1], frame(1, b"a"), frame(1, b"abc")[:-1], close(1000)):
        tried = Session(config)
        feed_session(tried, data)
        assert tried.rest is None
    unwritten = Session(config)
    unwritten.receive(frame(0x89))
    assert unwritten.rest is None
    closing = Session(config)
    closing.close()
    closing.replies.clear()
    assert closing.rest is None


# -- closing --------------------------------------------------------------------------------------


def test_after_our_close_pings_are_answered_and_data_is_dropped(
    implementation: codec.Implementation, config: SessionConfig
) -> None:
    """RFC 6455 5.5.2: a ping is answered unless a close frame was received."""
    for size in (0, 1):
        tried = Session(config)
        tried.close(4001, "enough")
        stream = frame(0x81, b"late") + frame(0x89, b"p") + frame(1, b"x") + frame(0x8A)
        heard = feed_session(tried, stream + frame(0x80, b"y") + frame(0x82, bytes(900)), size)
        assert heard.items == [(9, b"p", True), (10, b"", True)]
        assert heard.replies == [(0x88, b"\x0f\xa1enough"), (0x8A, b"p")]
        assert tried.ending is None
        assert feed_session(tried, close(4001) + BEHIND, size).items == [(8, b"", True)]
        assert tried.ending == Ending(4001, "", True)


def test_a_close_in_the_middle_of_an_incoming_message(
    implementation: codec.Implementation, config: SessionConfig
) -> None:
    for data in (frame(0x82, bytes(500)), frame(2, bytes(500)) + frame(0x80, b"end")):
        tried = Session(config)
        tried.receive(data[:100])
        tried.close(1001)
        assert tried.receive(data[100:] + close(1001)) == [(8, b"", True)]
        assert tried.ending is not None
        assert tried.ending.is_clean


@pytest.mark.parametrize(("code", "reason"), [(1005, ""), (1006, ""), (1015, ""), (999, "")])
def test_a_code_that_cannot_be_sent_is_refused(code: int, reason: str) -> None:
    tried = Session(SessionConfig())
    with pytest.raises(UsageError, match=str(code)):
        tried.close(code, reason)
    assert tried.state is State.OPEN


def test_a_reason_that_is_too_long_is_refused() -> None:
    tried = Session(SessionConfig())
    with pytest.raises(UsageError, match="123"):
        tried.close(1000, "ü" * 62)
    tried.close(1000, "ü" * 61)
    assert len(tried.replies[0][1]) == 124


# -- sending --------------------------------------------------------------------------------------


def test_a_plain_session_sends_one_frame(config: SessionConfig) -> None:
    tried = Session(config)
    assert tried.is_plain
    assert tried.frames_of(1, b"abc") == [(0x81, b"abc")]
    assert tried.frames_of(2, bytes(5000)) == [(0x82, bytes(5000))]
    assert tried.frames_of(9, b"p") == [(0x89, b"p")]
    assert tried.frames_of(10, b"p" * 125) == [(0x8A, b"p" * 125)]
    with pytest.raises(UsageError, match="125"):
        tried.frames_of(9, b"p" * 126)


def test_frames_are_split_by_max_frame_size() -> None:
    tried = Session(SessionConfig(max_frame_size=3))
    assert not tried.is_plain
    assert tried.frames_of(1, b"abc") == [(0x81, b"abc")]
    assert tried.frames_of(1, b"abcdefgh") == [(0x01, b"abc"), (0x00, b"def"), (0x80, b"gh")]
    assert tried.frames_of(9, b"abcd") == [(0x89, b"abcd")]


def test_one_message_in_parts() -> None:
    tried = Session(SessionConfig(max_frame_size=3))
    sent = tried.frames_of(2, b"abcd", True, False)
    sent += tried.frames_of(2, b"ef", False, False)
    sent += tried.frames_of(2, b"ghij", False, True)
    assert sent == [(2, b"abc"), (0, b"d"), (0, b"ef"), (0, b"ghi"), (0x80, b"j")]


# -- memory ---------------------------------------------------------------------------------------


def test_a_session_at_rest_is_tiny(config: SessionConfig) -> None:
    """At most 200 bytes with the shared config: no Inbound, no wsproto, no buffer."""
    tried = Session(config)
    stream = frame(1, b"a") + frame(0x89) + frame(0x80, b"b") + frame(0x81, b"c" * 300)
    feed_session(tried, stream, 1)
    own = [getattr(tried, name) for name in Session.__slots__ if name not in ("config", "state")]
    # Small numbers and truth values are shared by all.
    kept = [part for part in own if part is not None and not isinstance(part, int)]
    assert kept in ([[]], [kept[0], []])
    assert isinstance(kept[0], (float, list))  # when frames without content are forgiven
    assert sys.getsizeof(tried) + sum(sys.getsizeof(part) for part in kept) <= 216


def test_a_closed_session_holds_nothing(
    implementation: codec.Implementation, config: SessionConfig
) -> None:
    tried = Session(config)
    tried.receive(frame(2, bytes(500))[:200])
    tried.lost()
    assert tried._inbound is session.SEALED
    assert tried.receive(BEHIND) == []


# -- what was received and not told ---------------------------------------------------------------

UNREAD = frame(0x81, b"a") + frame(0x89, b"ping") + frame(0x82, b"b" * 300) + frame(0x81, b"c")


@pytest.mark.parametrize("cut", range(len(UNREAD) + 1))
def test_another_session_reads_what_one_has_not_told(
    implementation: codec.Implementation, cut: int
) -> None:
    """At each byte of a stream of whole frames, also inside one."""
    config = SessionConfig(buffer_message=True)
    first, second = Session(config), Session(config)
    told = first.receive(UNREAD[:cut])
    first.replies.clear()
    assert first.unread is not None
    told += second.receive(first.unread + UNREAD[cut:])
    assert told == [
        (1, b"a", True),
        (9, b"ping", True),
        (2, b"b" * 300, True),
        (1, b"c", True),
    ]


def test_what_waits_for_the_next_slice_is_not_told_either(
    implementation: codec.Implementation,
) -> None:
    first = Session(SessionConfig())
    stream = b"".join(frame(0x82, b"%d" % number) for number in range(40))
    told = first.receive(stream)
    assert first.unread is not None
    second = Session(SessionConfig())
    told += second.receive(first.unread)
    while second.has_more:
        told += second.go_on()
    assert [int(item[1]) for item in told] == list(range(40))


def test_within_a_message_of_which_a_part_was_told_nothing_can_be_read_again(
    implementation: codec.Implementation,
) -> None:
    for config, data in (
        (SessionConfig(), frame(0x82, b"abc")[:-1]),  # passed on in pieces
        (SessionConfig(buffer_message=True), frame(1, b"a")),  # fragments are joined
        (SessionConfig(buffer_message=True), frame(1, b"abc")[:-1]),
        (SessionConfig(), close(1000)),
    ):
        tried = Session(config)
        tried.receive(data)
        assert tried.unread is None
    unwritten = Session(SessionConfig())
    unwritten.receive(frame(0x89))
    assert unwritten.unread is None


def test_replies_are_taken_one_by_one() -> None:
    """And the list of them goes with the last: most connections are idle."""
    spoken = Session(SessionConfig())
    assert spoken.next_reply() is None
    spoken.receive(frame(0x89, b"1") + frame(0x89, b"2"))
    assert spoken.has_replies
    taken = [spoken.next_reply() for _ in range(3)]
    assert taken == [(0x8A, b"1"), (0x8A, b"2"), None]
    assert spoken.replies == []
