"""Frames that arrive in several reads."""

import pytest

from shardws.errors import ProtocolError
from shardws.protocol import codec
from shardws.protocol.arrival import Arrival, Pieces, Whole, check_text
from shardws.protocol.frames import Item
from tests.unit.protocol.client import KEY, pieces_of, xor

TEXT = "aü€😀".encode()


def arrive(arrival: Arrival, data: bytes, size: int) -> list[Item]:
    items: list[Item] = []
    for piece in pieces_of(data, size):
        assert arrival.take(b"_" + piece, 1, items) == 1 + len(piece)
    assert arrival.missing == 0
    return items


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4])
def test_a_whole_frame_is_one_item(body: codec.Body, size: int) -> None:
    assert arrive(Whole(1, len(TEXT), KEY), xor(TEXT), size) == [(1, TEXT, True)]


def test_binary_pieces_come_as_they_are(body: codec.Body) -> None:
    found = arrive(Pieces(2, len(TEXT), KEY), xor(TEXT), 4)
    assert found == [(2, TEXT[:4], False), (2, TEXT[4:8], False), (2, TEXT[8:], True)]


def test_text_pieces_come_in_whole_characters(body: codec.Body) -> None:
    found = arrive(Pieces(1, len(TEXT), KEY), xor(TEXT), 1)
    assert [payload.decode() for _, payload, _ in found] == ["a", "ü", "€", "😀"]
    assert [eom for _, _, eom in found] == [False, False, False, True]


@pytest.mark.parametrize("kind", [Whole, Pieces])
def test_only_the_own_bytes_are_taken(body: codec.Body, kind: type[Whole] | type[Pieces]) -> None:
    items: list[Item] = []
    assert kind(2, 3, KEY).take(b"_" + xor(b"abc") + b"behind", 1, items) == 4
    assert items == [(2, b"abc", True)]


@pytest.mark.parametrize("kind", [Whole, Pieces])
@pytest.mark.parametrize("text", [b"ab\xffcd", b"abc\xe2\x82", b"\xed\xa0\x80"])
def test_text_that_is_none(body: codec.Body, kind: type[Whole] | type[Pieces], text: bytes) -> None:
    for size in (0, 1):
        with pytest.raises(ProtocolError) as raised:
            arrive(kind(1, len(text), KEY), xor(text), size)
        assert raised.value.close_code == 1007


def test_check_text() -> None:
    check_text(TEXT)
    with pytest.raises(ProtocolError, match="UTF-8"):
        check_text(TEXT[:-1])
