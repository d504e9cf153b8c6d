"""Counting records, against a walk over the joined stream."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shardws.tls.records import MAX_LENGTH, RecordCounter


def record(size: int) -> bytes:
    return b"\x17\x03\x03" + size.to_bytes(2, "big") + b"x" * size


@pytest.mark.parametrize(
    ("chunks", "counts"),
    [
        ([record(100)], [1]),
        ([record(1) + record(2)], [2]),
        ([record(1) + record(2)[:3], record(2)[3:] + record(0)], [1, 2]),
        ([record(0)], [1]),
        ([b""], [0]),
        ([record(9)[:5], record(9)[5:]], [0, 1]),
        ([bytes([byte]) for byte in record(2)], [0, 0, 0, 0, 0, 0, 1]),
        ([record(MAX_LENGTH)], [1]),
        ([record(3)[:-1], record(3)[-1:] + record(4)], [0, 2]),
    ],
)
def test_counts(chunks: list[bytes], counts: list[int]) -> None:
    counter = RecordCounter()
    assert [counter.count(chunk) for chunk in chunks] == counts


def test_a_chunk_that_looks_like_a_record_inside_another_is_none() -> None:
    """The quick path must not trust five bytes in the middle of a body."""
    counter = RecordCounter()
    inner = record(10)
    assert counter.count(b"\x17\x03\x03\x00\xff") == 0
    assert counter.count(inner) == 0
    assert counter.count(b"x" * (255 - len(inner))) == 1
    assert counter.count(b"\x17") == 0
    assert counter.count(record(10)) == 0


def test_an_oversized_record_counts_at_its_header() -> None:
    counter = RecordCounter()
    assert counter.count(b"\x17\x03\x03\x50\x00") == 1


@given(st.lists(st.integers(0, 600), max_size=8), st.lists(st.integers(1, 700), max_size=20))
def test_any_chopping_counts_all(sizes: list[int], cuts: list[int]) -> None:
    """However a stream is cut, each chunk counts the records that end in it."""
    stream = b"".join(record(size) for size in sizes)
    ends = []
    at = 0
    for size in sizes:
        at += 5 + size
        ends.append(at)
    counter = RecordCounter()
    at = 0
    for cut in [*cuts, len(stream)]:
        chunk = stream[at : at + cut]
        expected = sum(at < end <= at + len(chunk) for end in ends)
        assert counter.count(chunk) == expected
        at += len(chunk)
