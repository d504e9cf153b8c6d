"""Outgoing messages as frames."""

import pytest

from shardws.errors import UsageError
from shardws.protocol import codec, fragmentation
from shardws.protocol.session import Frame
from tests.unit.protocol.client_frames import length_of


@pytest.mark.parametrize(
    ("size", "limit", "frames"),
    [
        (0, 0, [(0x82, 0)]),
        (0, 3, [(0x82, 0)]),
        (9, 0, [(0x82, 9)]),
        (3, 3, [(0x82, 3)]),
        (4, 3, [(0x02, 3), (0x80, 1)]),
        (6, 3, [(0x02, 3), (0x80, 3)]),
        (7, 3, [(0x02, 3), (0x00, 3), (0x80, 1)]),
    ],
)
def test_split(size: int, limit: int, frames: list[tuple[int, int]]) -> None:
    payload = bytes(range(size))
    found = fragmentation.split(2, payload, limit)
    assert [(first, len(part)) for first, part in found] == frames
    assert b"".join(part for _, part in found) == payload


def test_only_the_first_frame_is_marked_compressed() -> None:
    assert [first for first, _ in fragmentation.split(0x41, b"abcdef", 2)] == [0x41, 0x00, 0x80]


@pytest.mark.parametrize(
    ("is_first", "is_last", "firsts"),
    [
        (True, True, [0x01, 0x80]),
        (True, False, [0x01, 0x00]),
        (False, False, [0x00, 0x00]),
        (False, True, [0x00, 0x80]),
    ],
)
def test_parts_of_one_message(is_first: bool, is_last: bool, firsts: list[int]) -> None:
    assert [first for first, _ in fragmentation.split(1, b"abcd", 2, is_first, is_last)] == firsts


def test_an_empty_part_can_end_a_message() -> None:
    assert fragmentation.split(2, b"", 4, is_first=False) == [(0x80, b"")]


@pytest.mark.parametrize("kind", [9, 10])
def test_control_frames(kind: int) -> None:
    assert fragmentation.control(kind, b"p" * 125) == (0x80 | kind, b"p" * 125)
    with pytest.raises(UsageError, match="125") as raised:
        fragmentation.control(kind, b"p" * 126)
    assert raised.value.code == 213


def test_frames_join() -> None:
    found: list[Frame] = fragmentation.split(1, b"a" * 300, 200)
    wire = b"\x01" + length_of(200, 0) + b"a" * 200 + b"\x80" + length_of(100, 0) + b"a" * 100
    assert codec.join(found) == wire


@pytest.mark.parametrize(("size", "kind"), [(1000, bytes), (1_000_000, memoryview)])
def test_a_large_message_is_not_copied_to_be_split(size: int, kind: type) -> None:
    payload = bytes(range(250)) * (size // 250)
    frames = fragmentation.split(2, payload, 300)
    assert {type(part) for _, part in frames} == {kind}
    assert {len(part) for _, part in frames[:-1]} == {300}
    assert b"".join(part for _, part in frames) == payload
