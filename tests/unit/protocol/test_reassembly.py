"""Frames that arrive in several reads."""

from collections.abc import Callable

import pytest

from shardws.errors import ProtocolError
from shardws.protocol import codec
from shardws.protocol.frames import Item
from shardws.protocol.reassembly import Delivery, Message, Reassembly, Whole, check_text
from shardws.protocol.slices import ITEMS, Slice
from tests.unit.protocol.client_frames import KEY, chunks_of, frame, mask

TEXT = "aü€😀".encode()
EURO = "€".encode()
LIMIT = 1000


def pieces(kind: int, size: int, key: bytes, is_kept: bool = False) -> Message:
    """A message of one frame."""
    message = Message(kind, LIMIT, Delivery(is_kept))
    message.begin(size, key, True)
    return message


def kept(kind: int, size: int, key: bytes) -> Message:
    return pieces(kind, size, key, True)


WAYS = pytest.mark.parametrize("make", [Whole, pieces, kept])
Make = Callable[[int, int, bytes], Reassembly]


def arrive(reassembly: Reassembly, data: bytes, size: int) -> list[Item]:
    items: list[Item] = []
    for piece in chunks_of(data, size):
        assert reassembly.take(b"_" + piece, 1, items) == 1 + len(piece)
    assert reassembly.missing == 0
    return items


@pytest.mark.parametrize("make", [Whole, kept])
@pytest.mark.parametrize("size", [0, 1, 2, 3, 4])
def test_a_kept_frame_is_one_item(
    implementation: codec.Implementation, make: Make, size: int
) -> None:
    assert arrive(make(1, len(TEXT), KEY), mask(TEXT), size) == [(1, TEXT, True)]


def test_binary_pieces_come_as_they_are(implementation: codec.Implementation) -> None:
    found = arrive(pieces(2, len(TEXT), KEY), mask(TEXT), 4)
    assert found == [(2, TEXT[:4], False), (2, TEXT[4:8], False), (2, TEXT[8:], True)]


def test_text_pieces_come_in_whole_characters(implementation: codec.Implementation) -> None:
    found = arrive(pieces(1, len(TEXT), KEY), mask(TEXT), 1)
    assert [payload.decode() for _, payload, _ in found] == ["a", "ü", "€", "😀"]
    assert [eom for _, _, eom in found] == [False, False, False, True]


@WAYS
def test_only_the_own_bytes_are_taken(implementation: codec.Implementation, make: Make) -> None:
    items: list[Item] = []
    assert make(2, 3, KEY).take(b"_" + mask(b"abc") + b"behind", 1, items) == 4
    assert items == [(2, b"abc", True)]


@WAYS
@pytest.mark.parametrize("text", [b"ab\xffcd", b"abc\xe2\x82", b"\xed\xa0\x80"])
def test_text_that_is_none(implementation: codec.Implementation, make: Make, text: bytes) -> None:
    for size in (0, 1):
        with pytest.raises(ProtocolError) as raised:
            arrive(make(1, len(text), KEY), mask(text), size)
        assert raised.value.close_code == 1007


def test_check_text() -> None:
    check_text(TEXT)
    with pytest.raises(ProtocolError, match="UTF-8"):
        check_text(TEXT[:-1])


# -- several frames -------------------------------------------------------------------------------


def run(first: bytes, stream: bytes, kind: int, is_kept: bool) -> list[Item]:
    """A message whose first frame has the payload `first`, and the frames behind it in one run."""
    message, items = Message(kind, LIMIT, Delivery(is_kept)), list[Item]()
    message.begin(len(first), KEY, False)
    assert message.take(mask(first), 0, items) == len(first)
    part = Slice(ITEMS, items)
    assert message.take_run(b"__" + stream + frame(0x89), 2, part) == 2 + len(stream)
    assert message.is_over
    return items


@pytest.mark.parametrize("kind", [1, 2])
def test_a_run_of_fragments(implementation: codec.Implementation, kind: int) -> None:
    stream = frame(0, b"b") + frame(0) + frame(0, b"c" * 300) + frame(0x80)
    expected = [(kind, b"a", False), (kind, b"b", False), (kind, b"c" * 300, False)]
    assert run(b"a", stream, kind, False) == [*expected, (kind, b"", True)]
    assert run(b"a", stream, kind, True) == [(kind, b"ab" + b"c" * 300, True)]


def test_characters_over_the_edges_of_fragments(implementation: codec.Implementation) -> None:
    stream = frame(0, TEXT[:2]) + b"".join(frame(0, TEXT[at : at + 1]) for at in range(2, 10))
    found = run(b"\xe2\x82", frame(0, b"\xac") + stream + frame(0x80), 1, False)
    assert [payload.decode() for _, payload, _ in found] == ["€", "a", "ü", "€", "😀", ""]
    assert run(b"\xe2\x82", frame(0, b"\xac") + frame(0x80), 1, True) == [(1, EURO, True)]


@pytest.mark.parametrize("is_kept", [False, True])
@pytest.mark.parametrize(
    "stream",
    [
        frame(0x80),
        frame(0x80, b"a"),
        frame(0, b"a") + frame(0x80),
        frame(0, b"\xac") + frame(0, b"\xff") + frame(0x80),
    ],
)
def test_fragments_that_are_no_text(
    implementation: codec.Implementation, stream: bytes, is_kept: bool
) -> None:
    with pytest.raises(ProtocolError) as raised:
        run(EURO[:2], stream, 1, is_kept)
    assert raised.value.close_code == 1007


def test_pieces_ahead_of_bad_text_are_passed_on(implementation: codec.Implementation) -> None:
    message, items = Message(1, LIMIT, Delivery(False)), list[Item]()
    with pytest.raises(ProtocolError):
        message.take_run(
            frame(0, EURO) + frame(0, b"b") + frame(0, b"\xff"), 0, Slice(ITEMS, items)
        )
    assert items == [(1, EURO, False), (1, b"b", False)]


def test_all_frames_of_a_message_count(implementation: codec.Implementation) -> None:
    message, items = Message(2, 5, Delivery(False)), list[Item]()
    message.begin(2, KEY, False)
    message.take(b"ab", 0, items)
    stream = frame(0, b"cd")
    part = Slice(ITEMS, items)
    assert message.take_run(stream + frame(0, b"ef"), 0, part) == len(stream)
    with pytest.raises(ProtocolError, match="5 bytes") as raised:
        message.begin(2, KEY, False)
    assert raised.value.close_code == 1009
    message.begin(1, KEY, True)
    assert message.take(mask(b"e"), 0, items) == 1
    assert message.is_over


def test_what_is_kept_is_of_one_message(implementation: codec.Implementation) -> None:
    delivery, items = Delivery(True), list[Item]()
    for word in (b"one", b"two"):
        delivery.add(1, word, False, items)
        delivery.add(1, b"!", True, items)
    assert items == [(1, b"one!", True), (1, b"two!", True)]
