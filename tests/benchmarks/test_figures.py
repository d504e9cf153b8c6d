"""Medians, ranges and ratios of runs."""

import pytest

from benchmarks.figures import (
    failures,
    is_generator_the_limit,
    main_figure,
    ratio,
    spread,
)
from benchmarks.matrix import echo, memory
from benchmarks.rounds import Run
from benchmarks.tables import Spread

LOAD = echo(64, 125, 1)
OTHER = echo(64, 125, 16)


def run(number: int, name: str, cpu_us: float) -> Run:
    return Run(number, name, LOAD, {"cpu_us": cpu_us})


RUNS = [
    run(0, "shardws", 10.0),
    run(0, "picows", 5.0),
    run(1, "shardws", 20.0),
    run(1, "picows", 30.0),
    run(2, "shardws", 12.0),
    Run(2, "picows", LOAD, failure="3 messages were lost"),
    Run(0, "picows", OTHER, {"cpu_us": 1.0}),
]


def test_median_and_range_of_the_good_runs() -> None:
    assert spread(RUNS, "shardws", LOAD, "cpu_us") == Spread(12.0, 10.0, 20.0)
    assert spread(RUNS, "picows", LOAD, "cpu_us") == Spread(17.5, 5.0, 30.0)
    assert spread(RUNS, "picows", LOAD, "rate") is None
    assert spread(RUNS, "nobody", LOAD, "cpu_us") is None


def test_a_ratio_is_taken_within_a_round() -> None:
    """Of medians it would be 17.5 / 12 = 1.46, which no round showed."""
    assert ratio(RUNS, "picows", "shardws", LOAD, "cpu_us") == Spread(1.0, 0.5, 1.5)
    assert ratio(RUNS, "picows", "shardws", OTHER, "cpu_us") is None


def test_failures_are_told_apart() -> None:
    assert [one.failure for one in failures(RUNS)] == ["3 messages were lost"]


@pytest.mark.parametrize(
    ("values", "digits", "text"),
    [
        ([1.0, 2.0, 4.0], 1, "2.0 (1.0-4.0)"),
        ([1.01, 1.02], 1, "1.0"),
        ([12345.0], 0, "12,345"),
    ],
)
def test_text_of_a_spread(values: list[float], digits: int, text: str) -> None:
    found = Spread.of(values)
    assert found is not None
    assert found.text(digits) == text


def test_no_spread_of_nothing() -> None:
    assert Spread.of([]) is None


@pytest.mark.parametrize(
    ("server", "client", "is_limit"), [(0.99, 0.3, False), (0.5, 0.96, True), (0.99, 0.99, False)]
)
def test_who_was_the_limit(server: float, client: float, is_limit: bool) -> None:
    runs = [Run(0, "a", LOAD, {"server_share": server, "client_share": client})]
    assert is_generator_the_limit(runs, "a", LOAD) is is_limit


def test_memory_is_about_memory() -> None:
    assert [main_figure(one) for one in (LOAD, memory(10))] == ["cpu_us", "kib"]
