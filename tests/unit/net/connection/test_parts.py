"""parts: how a stream is cut, and what of it is checked."""

from collections.abc import Callable

import pytest

from shardws.events import FORMAT_BINARY, FORMAT_TEXT
from shardws.net.connection.parts import LARGEST_FRAME, PIECE_BYTES, Stream, piece_bytes
from shardws.outcomes import LaterSend, Outcome


class Nothing:
    """A source without content that notes its end."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []
        self.wake: Callable[[], None] = lambda: None

    def read(self, limit: int) -> bytes:
        return b""

    def finish(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)


def stream_of(kind: int, source: Nothing | None = None) -> Stream:
    result = LaterSend(1, lambda connection_id, outcome: None)
    return Stream(kind, source or Nothing(), result)


@pytest.mark.parametrize(
    ("max_frame_size", "size"),
    [
        (0, PIECE_BYTES),
        (1000, 65_000),
        (PIECE_BYTES, PIECE_BYTES),
        (PIECE_BYTES + 1, PIECE_BYTES + 1),
        (LARGEST_FRAME, LARGEST_FRAME),
        (LARGEST_FRAME + 1, PIECE_BYTES),
    ],
)
def test_a_piece_is_whole_frames(max_frame_size: int, size: int) -> None:
    assert piece_bytes(max_frame_size) == size


def test_text_may_be_cut_inside_a_character_but_not_end_there() -> None:
    stream = stream_of(FORMAT_TEXT)
    stream.check("\u20ac".encode()[:1], False)
    stream.check("\u20ac".encode()[1:2], False)
    with pytest.raises(UnicodeDecodeError):
        stream.check(b"", True)


def test_binary_may_be_anything() -> None:
    stream_of(FORMAT_BINARY).check(b"\xff", True)


def test_the_end_is_told_to_the_source_and_to_the_sender() -> None:
    source = Nothing()
    stream = stream_of(FORMAT_BINARY, source)
    stream.end(Outcome.DROPPED)
    assert source.outcomes == [Outcome.DROPPED]
    assert stream.result.outcome is Outcome.DROPPED
