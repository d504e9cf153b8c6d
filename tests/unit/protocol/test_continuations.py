"""Continuation frames: both implementations of the codec, case by case, and compared."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shardws.protocol import codec
from tests.unit.protocol.client_frames import KEY, frame
from tests.unit.protocol.conftest import IMPLEMENTATIONS

ROOM = 1 << 20

# Bytes of which nothing is taken, ahead of a frame that would be.
OTHERS = [
    ("text", frame(0x81, b"a")),
    ("a fragment that begins a message", frame(0x01, b"a")),
    ("a ping", frame(0x89)),
    ("a close", frame(0x88)),
    ("RSV1", frame(0x40, b"a")),
    ("RSV2 and FIN", frame(0xA0, b"a" * 200)),
    ("RSV3", frame(0x10, b"a" * 70000)),
    ("unmasked", b"\x00\x05hello"),
    ("unmasked, long", b"\x80\x7e\x00\xc8" + bytes(200)),
    ("125 bytes, length in two", frame(0, bytes(125), form=2)),
    ("65535 bytes, length in eight", frame(0x80, bytes(65535), form=8)),
    ("length with the highest bit", b"\x00\xff" + b"\xff" * 8 + KEY + bytes(100)),
]


@pytest.mark.parametrize("first", [0x00, 0x80])
@pytest.mark.parametrize("size", [0, 1, 5, 125, 126, 127, 639, 640, 65535, 65536])
def test_one_frame(implementation: codec.Implementation, first: int, size: int) -> None:
    payload = (bytes(range(256)) * 257)[:size]
    data = b"__" + frame(first, payload)
    assert implementation.continuations(data, size, 2) == ([payload], len(data), first == 0x80)
    for cut in range(2, min(len(data), 20)):
        assert implementation.continuations(data[:cut], ROOM, 2) == ([], 2, False)
    assert implementation.continuations(data[:-1], ROOM, 2) == ([], 2, False)
    if size:
        assert implementation.continuations(data, size - 1, 2) == ([], 2, False)


def test_a_run_stops_behind_the_end_of_the_message(implementation: codec.Implementation) -> None:
    run = frame(0, b"a") + frame(0) + frame(0, b"b" * 300) + frame(0x80, b"c")
    found = [b"a", b"", b"b" * 300, b"c"]
    assert implementation.continuations(run + frame(0, b"d"), ROOM) == (found, len(run), True)


@pytest.mark.parametrize("data", [data for _, data in OTHERS], ids=[name for name, _ in OTHERS])
def test_a_run_stops_in_front_of_anything_else(
    implementation: codec.Implementation, data: bytes
) -> None:
    behind = frame(0x80, b"behind")
    assert implementation.continuations(data + behind, ROOM) == ([], 0, False)
    before = frame(0, b"before")
    assert implementation.continuations(before + data + behind, ROOM) == (
        [b"before"],
        len(before),
        False,
    )


def test_all_frames_of_a_run_share_the_room(implementation: codec.Implementation) -> None:
    one, two = frame(0, b"abc"), frame(0, b"d" * 200)
    data = one + two + frame(0x80, b"e")
    assert implementation.continuations(data, 203) == ([b"abc", b"d" * 200], len(one + two), False)
    assert implementation.continuations(data, 202) == ([b"abc"], len(one), False)
    assert implementation.continuations(data, 2) == ([], 0, False)
    assert implementation.continuations(frame(0) + frame(0x80), 0) == ([b"", b""], 12, True)


def test_text_is_not_looked_at(implementation: codec.Implementation) -> None:
    assert implementation.continuations(frame(0x80, b"\xff\xfe"), ROOM) == ([b"\xff\xfe"], 8, True)


@pytest.mark.parametrize("start", [-1, 7])
def test_a_start_outside_the_data_is_refused(
    implementation: codec.Implementation, start: int
) -> None:
    with pytest.raises(ValueError, match="start"):
        implementation.continuations(b"abcdef", ROOM, start)


@pytest.mark.parametrize("limit", [-1, 0, 1, 2, 3])
def test_a_run_has_so_many_frames_at_most(implementation: codec.Implementation, limit: int) -> None:
    data = frame(0, b"a") + frame(0x80, b"b")
    taken = max(0, min(2, limit))
    found = implementation.continuations(data, ROOM, 0, limit)
    assert found == ([b"a", b"b"][:taken], taken * 7, taken == 2)


@pytest.mark.skipif(len(IMPLEMENTATIONS) < 2, reason="the C implementation was not built")
def test_the_c_body_refuses_wrong_arguments() -> None:
    c = IMPLEMENTATIONS[1]
    for wrong in ((b"",), (b"", 1, 0, 0, 0), (bytearray(b""), 1), ("", 1)):
        with pytest.raises(TypeError, match="continuations"):
            c.continuations(*wrong)
    with pytest.raises(OverflowError):
        c.continuations(b"", 1 << 64)
    assert c.continuations(frame(0), -1) == ([], 0, False)


STREAMS = st.lists(
    st.one_of(
        st.binary(max_size=20),
        st.builds(
            frame,
            st.sampled_from([0x00, 0x00, 0x00, 0x80, 0x81, 0x40, 0x89]),
            st.binary(max_size=300),
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
    room=st.sampled_from([0, 5, 125, 200, ROOM]),
    start=st.integers(0, 9),
    limit=st.integers(-1, 9),
)
def test_both_implementations_agree(data: bytes, room: int, start: int, limit: int) -> None:
    at = min(start, len(data))
    python, c = (module.continuations(data, room, at, limit) for module in IMPLEMENTATIONS)
    assert python == c
