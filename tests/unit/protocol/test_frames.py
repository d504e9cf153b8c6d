"""Both implementations of the codec, case by case, and against each other."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shardws.protocol import codec, frames
from tests.unit.protocol.client_frames import KEY, frame, length_of, mask
from tests.unit.protocol.conftest import IMPLEMENTATIONS
from tests.unit.protocol.stream_cases import BAD_TEXT

MIB = 1 << 20
BIG = bytes(range(256)) * 300  # 76,800 bytes: the eight-byte length
EURO = "€".encode()

# name, bytes, the items they make
ORDINARY = [
    ("nothing", b"", []),
    ("empty text", frame(0x81), [(1, b"", True)]),
    ("empty binary", frame(0x82), [(2, b"", True)]),
    ("text", frame(0x81, b"hello"), [(1, b"hello", True)]),
    (
        "text beyond ASCII",
        frame(0x81, "grüße 日本 😀".encode()),
        [(1, "grüße 日本 😀".encode(), True)],
    ),
    ("binary that is no text", frame(0x82, b"\xff\xfe"), [(2, b"\xff\xfe", True)]),
    ("125 bytes", frame(0x82, b"a" * 125), [(2, b"a" * 125, True)]),
    ("126 bytes", frame(0x82, b"a" * 126), [(2, b"a" * 126, True)]),
    ("65535 bytes", frame(0x82, b"a" * 65535), [(2, b"a" * 65535, True)]),
    ("65536 bytes", frame(0x82, b"a" * 65536), [(2, b"a" * 65536, True)]),
    ("a large one", frame(0x82, BIG), [(2, BIG, True)]),
    (
        "several",
        frame(0x81, b"a") + frame(0x82, b"b" * 200) + frame(0x81, b"c"),
        [(1, b"a", True), (2, b"b" * 200, True), (1, b"c", True)],
    ),
]

# name, bytes: nothing of them is taken
NOT_ORDINARY = [
    ("one byte", b"\x81"),
    ("header without key", frame(0x81, b"hello")[:5]),
    ("payload not whole", frame(0x81, b"hello")[:-1]),
    ("two-byte length not whole", frame(0x82, b"a" * 200)[:7]),
    ("eight-byte length not whole", frame(0x82, BIG)[:13]),
    ("unmasked", b"\x81\x05hello"),
    ("unmasked, long", b"\x82\x7e\x00\xc8" + b"a" * 200),
    ("unmasked, longer", b"\x82\x7f" + (70000).to_bytes(8) + b"a" * 70000),
    ("fragment", frame(0x01, b"hello")),
    ("continuation", frame(0x80, b"hello")),
    ("ping of 126", frame(0x89, b"a" * 126)),
    ("ping, length in two", frame(0x89, b"hello", form=2)),
    ("ping that is not final", frame(0x09, b"hello")),
    ("pong with RSV1", frame(0xCA, b"hello")),
    ("ping not whole", frame(0x89, b"hello")[:-1]),
    ("close", frame(0x88)),
    ("RSV1", frame(0xC1, b"hello")),
    ("RSV2", frame(0xA1, b"hello")),
    ("RSV3", frame(0x91, b"hello")),
    ("reserved opcode", frame(0x83, b"hello")),
    ("5 bytes, length in two", frame(0x82, b"hello", form=2)),
    ("125 bytes, length in two", frame(0x82, b"a" * 125, form=2)),
    ("5 bytes, length in eight", frame(0x82, b"hello", form=8)),
    ("65535 bytes, length in eight", frame(0x82, b"a" * 65535, form=8)),
    ("length with the highest bit", b"\x82\xff" + b"\xff" * 8 + KEY + b"a" * 100),
    ("length of 2**63 - 1", b"\x82\xff\x7f" + b"\xff" * 7 + KEY + b"a" * 100),
    ("text with a bad byte", frame(0x81, b"a\xffb")),
    ("text that ends in a character", frame(0x81, EURO[:2])),
    ("above the limit", frame(0x82, b"a" * (2 * MIB + 1))),
]

GOOD_TEXT = [
    chr(point).encode()
    for point in (0, 0x7F, 0x80, 0x7FF, 0x800, 0xFFF, 0x1000, 0xCFFF, 0xD7FF, 0xE000, 0xFFFF)
    + (0x10000, 0x3FFFF, 0x40000, 0xFFFFF, 0x100000, 0x10FFFF)
]


@pytest.mark.parametrize(
    ("data", "items"), [case[1:] for case in ORDINARY], ids=[case[0] for case in ORDINARY]
)
def test_ordinary_frames_are_taken(
    implementation: codec.Implementation, data: bytes, items: list[frames.Item]
) -> None:
    assert implementation.parse(data, MIB) == (items, len(data), 0)


@pytest.mark.parametrize(
    "data", [case[1] for case in NOT_ORDINARY], ids=[c[0] for c in NOT_ORDINARY]
)
def test_anything_else_stays(implementation: codec.Implementation, data: bytes) -> None:
    limit = 2 * MIB
    assert implementation.parse(data, limit) == ([], 0, 0)
    before = frame(0x81, b"before")
    assert implementation.parse(before + data, limit) == ([(1, b"before", True)], len(before), 0)
    assert implementation.parse(before + data, limit, len(before)) == ([], len(before), 0)
    assert implementation.parse(data + before, limit)[0] != [(1, b"before", True)]


def test_the_run_can_start_anywhere(implementation: codec.Implementation) -> None:
    one = frame(0x81, b"one")
    data = one + frame(0x82, b"two")
    assert implementation.parse(data, MIB, len(one)) == ([(2, b"two", True)], len(data), 0)
    assert implementation.parse(data, MIB, len(data)) == ([], len(data), 0)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536])
def test_the_limit_is_the_largest_that_passes(
    implementation: codec.Implementation, size: int
) -> None:
    data = frame(0x82, bytes(size))
    assert implementation.parse(data, size) == ([(2, bytes(size), True)], len(data), 0)
    if size:
        assert implementation.parse(data, size - 1) == ([], 0, 0)


@pytest.mark.parametrize("limit", [0, 5, 125, MIB])
def test_pings_and_pongs_are_taken_between_messages(
    implementation: codec.Implementation, limit: int
) -> None:
    """They have a limit of their own, whatever that of messages is."""
    data = frame(0x89) + frame(0x82) + frame(0x8A, b"p" * 125) + frame(0x89, b"q")
    items = [(9, b"", True), (2, b"", True), (10, b"p" * 125, True), (9, b"q", True)]
    assert implementation.parse(data, limit) == (items, len(data), 3)


@pytest.mark.parametrize("limit", [-1, 0, 1, 2, 3, 4])
def test_the_run_ends_after_so_many_items(implementation: codec.Implementation, limit: int) -> None:
    parts = [frame(0x81, b"a"), frame(0x89), frame(0x82, b"b" * 200)]
    items = [(1, b"a", True), (9, b"", True), (2, b"b" * 200, True)]
    taken = max(0, min(3, limit))
    used = len(b"".join(parts[:taken]))
    data = b"".join(parts)
    assert implementation.parse(data, MIB, 0, limit) == (items[:taken], used, int(taken >= 2))


@pytest.mark.parametrize("start", [-1, 7])
def test_parse_refuses_a_start_outside_the_data(
    implementation: codec.Implementation, start: int
) -> None:
    with pytest.raises(ValueError, match="start"):
        implementation.parse(b"abcdef", MIB, start)


@pytest.mark.parametrize("bad", BAD_TEXT)
def test_text_that_is_no_utf8_stays(implementation: codec.Implementation, bad: bytes) -> None:
    for front in (b"", b"a" * 7, b"a" * 8, b"a" * 700, "ä".encode()):
        for back in (b"", b"a" * 9):
            assert implementation.parse(frame(0x81, front + bad + back), MIB) == ([], 0, 0)


@pytest.mark.parametrize("good", GOOD_TEXT)
def test_text_at_the_edges_of_utf8_is_taken(
    implementation: codec.Implementation, good: bytes
) -> None:
    for front in (b"", b"a" * 7, b"a" * 8, b"a" * 700):
        data = frame(0x81, front + good + front)
        assert implementation.parse(data, MIB) == ([(1, front + good + front, True)], len(data), 0)


@pytest.mark.parametrize("size", [0, 1, 3, 4, 7, 8, 9, 63, 639, 640, 641, 5000])
def test_unmask_at_any_place(implementation: codec.Implementation, size: int) -> None:
    plain = random.Random(size).randbytes(size)
    for start in range(3):
        data = b"x" * start + mask(plain) + b"yy"
        assert implementation.unmask(data, start, start + size, KEY) == plain


@pytest.mark.parametrize(
    ("start", "stop", "key"),
    [(-1, 2, KEY), (3, 2, KEY), (0, 7, KEY), (0, 2, b"abc"), (0, 2, b"abcde")],
)
def test_unmask_refuses_what_is_not_there(
    implementation: codec.Implementation, start: int, stop: int, key: bytes
) -> None:
    with pytest.raises(ValueError, match="range or key"):
        implementation.unmask(b"abcdef", start, stop, key)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, 70000])
def test_join_writes_the_shortest_length(implementation: codec.Implementation, size: int) -> None:
    assert implementation.join([(0x82, bytes(size))]) == b"\x82" + length_of(size, 0) + bytes(size)
    assert frames.header(0x82, size) == b"\x82" + length_of(size, 0)


def test_join_keeps_the_order(implementation: codec.Implementation) -> None:
    assert implementation.join([]) == b""
    assert (
        implementation.join([(0x81, b"a"), (0x8A, b""), (0x02, b"bc")])
        == b"\x81\x01a\x8a\x00\x02\x02bc"
    )


@pytest.mark.parametrize("first", [-1, 256])
def test_join_refuses_a_first_byte_that_is_none(
    implementation: codec.Implementation, first: int
) -> None:
    with pytest.raises(ValueError, match="range"):
        implementation.join([(first, b"")])


STREAMS = st.lists(
    st.one_of(
        st.binary(max_size=20),
        st.builds(
            frame,
            st.sampled_from([0x81, 0x82, 0x81, 0x82, 0x01, 0x89, 0x8A, 0xC1]),
            st.one_of(st.binary(max_size=300), st.text(max_size=80).map(str.encode)),
            st.binary(min_size=4, max_size=4),
            st.sampled_from([None, None, None, 2, 8]),
        ),
    ),
    max_size=8,
).map(b"".join)


@pytest.mark.skipif(len(IMPLEMENTATIONS) < 2, reason="the C implementation was not built")
@settings(max_examples=300, deadline=None)
@given(
    data=STREAMS,
    limit=st.sampled_from([0, 5, 125, 200, MIB]),
    start=st.integers(0, 9),
    most=st.integers(-1, 9),
)
def test_both_implementations_agree(data: bytes, limit: int, start: int, most: int) -> None:
    python, c = (
        module.parse(data, limit, min(start, len(data)), most) for module in IMPLEMENTATIONS
    )
    assert python == c
