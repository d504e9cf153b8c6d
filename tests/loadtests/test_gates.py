"""Gates: figures in, sentences out."""

import pytest

from loadtests.gates import SATURATED, Entry, Gates, generator_report, misses

GOOD = Entry("echo", 1000, 0, 20.0)

CASES = [
    ([GOOD], [], []),
    ([], [], ["nothing was measured"]),
    ([Entry("echo", 0, 0, 0.0)], [], ["nothing was measured"]),
    ([Entry("echo", 1000, 10, 20.0)], [], []),
    ([Entry("echo", 1000, 11, 20.0)], [], ["error rate 1.10%, allowed 1.00%"]),
    ([GOOD, Entry("connect", 1000, 30, 9.0)], [], ["error rate 1.50%, allowed 1.00%"]),
    ([Entry("echo", 10, 0, 100.0)], [], []),
    ([Entry("echo", 10, 0, 101.0)], [], ["echo: p95 101 ms, allowed 100 ms"]),
    ([GOOD], ["echo"], []),
    ([GOOD], ["broadcast delivery"], ["broadcast delivery: never succeeded"]),
    ([GOOD, Entry("close", 2, 2, 1.0)], ["close"], ["close: never succeeded"]),
]


@pytest.mark.parametrize(("entries", "expected", "sentences"), CASES)
def test_misses(entries: list[Entry], expected: list[str], sentences: list[str]) -> None:
    assert misses(entries, Gates(error_rate=0.01, p95_ms=100.0), expected) == sentences


def test_exceptions_of_users_are_a_miss() -> None:
    found = ["3 exceptions escaped from users"]
    assert misses([GOOD], Gates(), exceptions=3) == found
    assert misses([], Gates(), exceptions=3) == [*found, "nothing was measured"]


@pytest.mark.parametrize(("rate", "p95"), [(-0.1, 1.0), (1.1, 1.0), (0.5, 0.0)])
def test_limits_that_cannot_be(rate: float, p95: float) -> None:
    with pytest.raises(ValueError, match="not"):
        Gates(rate, p95)


def test_a_saturated_generator_is_named() -> None:
    lines = generator_report({"worker-1": 0.5, "worker-2": SATURATED})
    assert lines[:2] == [
        "generator worker-1: 50% of a core",
        "generator worker-2: 90% of a core",
    ]
    assert len(lines) == 3
    assert "worker-2 is saturated" in lines[2]
