"""The scenarios against the clock, by pytest-benchmark: `make bench-micro`.

Not part of the test suite. Times are per batch of PER_BATCH messages and depend on the other load
of this machine: compare with --benchmark-autosave and --benchmark-compare while it is idle, or use
`make bench-check`, which counts instructions.
"""

from typing import Any

import pytest

from benchmarks.micro.scenarios import PER_BATCH, Scenario, available


@pytest.mark.parametrize("scenario", available().values(), ids=lambda scenario: scenario.name)
def test_timing(scenario: Scenario, benchmark: Any) -> None:
    benchmark.extra_info["messages"] = PER_BATCH
    with scenario.prepared() as run:
        benchmark(run, 1)
