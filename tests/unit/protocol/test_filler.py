"""Both Fillers: one frame that arrives in pieces."""

import itertools
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shardws.protocol import codec
from tests.proc import resident_bytes
from tests.unit.protocol.client_frames import KEY, chunks_of, mask
from tests.unit.protocol.conftest import IMPLEMENTATIONS
from tests.unit.protocol.stream_cases import BAD_TEXT

MIB = 1 << 20
EURO = "€".encode()


@pytest.mark.parametrize("step", [0, 1, 2, 3, 5, 7, 64])
@pytest.mark.parametrize("kind", [1, 2])
def test_a_filler_takes_just_its_own_bytes(
    implementation: codec.Implementation, kind: int, step: int
) -> None:
    plain = "grüße 日本 😀".encode() * 20
    filler = implementation.Filler(kind, len(plain), KEY)
    data = mask(plain)
    for piece in chunks_of(data, step):
        assert filler.feed(b"__" + piece, 2) == 2 + len(piece)
    assert filler.missing == 0
    assert filler.feed(b"behind", 0) == 0
    assert filler.finish() == plain


def test_a_filler_stops_at_its_size(implementation: codec.Implementation) -> None:
    filler = implementation.Filler(2, 3, KEY)
    assert filler.missing == 3
    assert filler.feed(b"x" + mask(b"abc") + b"behind", 1) == 4
    assert filler.finish() == b"abc"


def test_a_filler_of_nothing_is_full(implementation: codec.Implementation) -> None:
    assert implementation.Filler(1, 0, KEY).finish() == b""


def test_an_unfinished_filler_gives_nothing_away(implementation: codec.Implementation) -> None:
    filler = implementation.Filler(2, 3, KEY)
    filler.feed(b"ab", 0)
    with pytest.raises(ValueError, match="missing"):
        filler.finish()


def test_a_filler_refuses_text_that_ends_inside_a_character(
    implementation: codec.Implementation,
) -> None:
    filler = implementation.Filler(1, 2, KEY)
    filler.feed(mask(EURO[:2]), 0)
    with pytest.raises(ValueError, match=r"UTF-8|utf-8"):
        filler.finish()


@pytest.mark.parametrize("bad", [bad for bad in BAD_TEXT if bad not in (b"\xc2", b"\xe2\x82")])
def test_a_filler_fails_at_the_byte_that_cannot_be_text(
    implementation: codec.Implementation, bad: bytes
) -> None:
    filler = implementation.Filler(1, 1000, KEY)
    with pytest.raises(ValueError, match=r"UTF-8|utf-8"):
        filler.feed(mask(b"ok " + bad), 0)


@pytest.mark.parametrize(("size", "key"), [(-1, KEY), (3, b"abc"), (3, b"abcde")])
def test_a_filler_refuses_what_no_header_says(
    implementation: codec.Implementation, size: int, key: bytes
) -> None:
    with pytest.raises(ValueError, match="size or key"):
        implementation.Filler(1, size, key)


@pytest.mark.parametrize("start", [-1, 4])
def test_a_filler_refuses_a_start_outside_the_data(
    implementation: codec.Implementation, start: int
) -> None:
    with pytest.raises(ValueError, match="start"):
        implementation.Filler(2, 9, KEY).feed(b"abc", start)


@pytest.mark.skipif(len(IMPLEMENTATIONS) < 2, reason="the C implementation was not built")
@settings(max_examples=300, deadline=None)
@given(
    plain=st.one_of(st.binary(max_size=40), st.text(max_size=30).map(str.encode)),
    cuts=st.lists(st.integers(0, 40), max_size=4),
    kind=st.sampled_from([1, 2]),
)
def test_both_fillers_agree(plain: bytes, cuts: list[int], kind: int) -> None:
    def run(module: ModuleType) -> tuple[bytes | None, int]:
        filler = module.Filler(kind, len(plain), KEY)
        data = mask(plain)
        edges = sorted({0, len(data), *(min(cut, len(data)) for cut in cuts)})
        fed = 0
        try:
            for low, high in itertools.pairwise(edges):
                filler.feed(data[low:high], 0)
                fed = high
            return filler.finish(), fed
        except ValueError:
            return None, fed

    python, c = (run(module) for module in IMPLEMENTATIONS)
    assert python == c
    assert (python[0] is None) == (kind == 1 and not is_text(plain))


def is_text(payload: bytes) -> bool:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True


def test_an_announced_size_alone_takes_no_memory(implementation: codec.Implementation) -> None:
    """A thousand headers of 1 MiB each: address space at most, no resident pages."""
    before = resident_bytes()
    fillers = [implementation.Filler(2, MIB, KEY) for _ in range(200)]
    assert resident_bytes() - before < 20 * MIB
    assert all(filler.missing == MIB for filler in fillers)


@given(data=st.binary(min_size=1, max_size=40), cut=st.integers(0, 40))
def test_what_is_here_can_be_read_before_the_rest(data: bytes, cut: int) -> None:
    for module in (codec.select("python"), codec.select("")):
        filler = module.Filler(2, len(data), bytes(4))
        filler.feed(data[:cut], 0)
        assert filler.taken() == data[:cut]
