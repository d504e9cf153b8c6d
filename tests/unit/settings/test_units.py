"""Durations and sizes: one table each, and both ways for any value."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shardws.settings.units import (
    MILLISECONDS,
    SECONDS,
    format_duration,
    format_size,
    parse_duration,
    parse_size,
)

DURATIONS = [
    ("30", SECONDS, 30),
    ("30s", SECONDS, 30),
    (" 5 m ", SECONDS, 300),
    ("5min", SECONDS, 300),
    ("1h", SECONDS, 3600),
    ("1H30M", SECONDS, 5400),
    ("1d", SECONDS, 86400),
    ("250ms", SECONDS, 0.25),
    ("0", SECONDS, 0),
    ("0s", SECONDS, 0),
    ("2.5s", SECONDS, 2.5),
    ("500us", MILLISECONDS, 0.5),
    ("1500", MILLISECONDS, 1500),
    ("0.1s", MILLISECONDS, 100),
    ("1m", MILLISECONDS, 60000),
]
SIZES = [
    ("0", 0),
    ("125", 125),
    ("125B", 125),
    ("64k", 65536),
    ("64KiB", 65536),
    ("16KB", 16000),
    ("1MiB", 1 << 20),
    ("1 M", 1 << 20),
    ("1.5m", 3 << 19),
    ("2MB", 2_000_000),
    ("1g", 1 << 30),
    ("1GiB", 1 << 30),
    ("1GB", 10**9),
]


@pytest.mark.parametrize(("text", "unit", "value"), DURATIONS)
def test_a_duration_is_read_in_its_unit(text: str, unit: str, value: float) -> None:
    assert float(parse_duration(text, unit)) == value


@pytest.mark.parametrize(
    "text", ["", "s", "-1", "-1s", "1e3", "nan", "inf", "30 parsecs", "1h 5", "٣s", "1" * 40]
)
def test_what_is_no_duration_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match="such as 30s"):
        parse_duration(text, SECONDS)


@pytest.mark.parametrize(("text", "value"), SIZES)
def test_a_size_is_read_in_bytes(text: str, value: int) -> None:
    assert parse_size(text) == value


@pytest.mark.parametrize("text", ["", "k", "-1", "1e3", "1 parsec", "0x10", "1kk", "٣k"])
def test_what_is_no_size_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match="such as 1MiB"):
        parse_size(text)


def test_part_of_a_byte_is_refused() -> None:
    with pytest.raises(ValueError, match="whole bytes"):
        parse_size("0.3k")


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0, SECONDS, "0s"),
        (20.0, SECONDS, "20s"),
        (0.25, SECONDS, "250ms"),
        (90, SECONDS, "90s"),
        (5400, SECONDS, "90m"),
        (3600, SECONDS, "1h"),
        (172800, SECONDS, "2d"),
        (1.5, SECONDS, "1500ms"),
        (1500, MILLISECONDS, "1500ms"),
        (60000, MILLISECONDS, "1m"),
        (1e-7, SECONDS, "0.0000001s"),
    ],
)
def test_a_duration_is_written_in_the_largest_whole_unit(
    value: float, unit: str, text: str
) -> None:
    assert format_duration(value, unit) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (1023, "1023"), (1024, "1KiB"), (3 << 20, "3MiB"), (5 << 30, "5GiB")],
)
def test_a_size_is_written_in_the_largest_whole_unit(value: int, text: str) -> None:
    assert format_size(value) == text


@given(st.floats(min_value=1e-4, max_value=1e7))
def test_a_written_duration_reads_back(value: float) -> None:
    assert float(parse_duration(format_duration(value, SECONDS), SECONDS)) == value


@given(st.integers(min_value=0, max_value=1 << 40))
def test_a_written_size_reads_back(value: int) -> None:
    assert parse_size(format_size(value)) == value
