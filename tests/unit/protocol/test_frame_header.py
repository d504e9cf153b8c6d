"""Headers: their size, their soundness, and how early a broken one is known."""

import pytest

from shardws.protocol import frame_header
from tests.unit.protocol.client_frames import KEY, frame, length_of


@pytest.mark.parametrize("first", [0x81, 0x02, 0x00, 0x80, 0x88, 0x89, 0x8A])
@pytest.mark.parametrize("size", [0, 125])
def test_short_headers(first: int, size: int) -> None:
    data = b"__" + frame(first, bytes(size))
    found = frame_header.read(data, 2, False)
    assert found == frame_header.FrameHeader(first, 6, size, True)
    assert found.opcode == first & 15
    assert found.is_final == (first >= 0x80)
    assert not found.is_compressed


@pytest.mark.parametrize("size", [126, 65535, 65536, (1 << 63) - 1])
def test_long_headers(size: int) -> None:
    head = b"\x82" + length_of(size) + KEY
    assert frame_header.read(head, 0, False) == frame_header.FrameHeader(
        0x82, len(head), size, True
    )
    for cut in range(len(head)):
        assert frame_header.read(head[:cut], 0, False) is None


@pytest.mark.parametrize(
    ("head", "size"),
    [
        (b"\x83\x80", 2),
        (b"\x87\x80", 2),
        (b"\x8b\x80", 2),
        (b"\x8f\x80", 2),
        (b"\x09\x80", 2),
        (b"\x08\x80", 2),
        (b"\x89\xfe", 2),
        (b"\x88\xff", 2),
        (b"\x81\x00", 2),
        (b"\x91\x80", 2),
        (b"\xa1\x80", 2),
        (b"\xc1\x80", 2),
        (b"\xc9\x80", 2),
        (b"\x82\xfe\x00\x7d", 4),
        (b"\x82\x7e\x00\x7e", 4),
        (b"\x82\xff" + (65535).to_bytes(8), 10),
        (b"\x82\xff" + (1 << 63).to_bytes(8), 10),
    ],
)
def test_broken_headers_are_known_at_once(head: bytes, size: int) -> None:
    for behind in (b"", KEY + b"more"):
        found = frame_header.read(head + behind, 0, False)
        assert found is not None
        assert (found.is_sound, found.size) == (False, size)
    assert frame_header.read(head[:-1], 0, False) is None


@pytest.mark.parametrize(
    ("first", "is_sound"),
    [
        (0xC1, True),
        (0xC2, True),
        (0x41, True),
        (0x42, True),
        (0xC0, False),
        (0x40, False),
        (0xC8, False),
        (0xC9, False),
        (0xE1, False),
        (0xD1, False),
    ],
)
def test_rsv1_belongs_on_the_first_frame_of_a_message(first: int, is_sound: bool) -> None:
    found = frame_header.read(frame(first, b"abc"), 0, True)
    assert found is not None
    assert found.is_sound is is_sound
    assert found.is_compressed
