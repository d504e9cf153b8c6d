"""When a load test passes: error rate, slow entries, and whether the generator kept up.

Pure functions from figures to sentences. locustfile.py calls them at the end of a run and turns a
missed gate into exit code 1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# Above this share of a core the generator measures itself: messages wait in its event loop.
SATURATED = 0.9


@dataclass(frozen=True)
class Entry:
    """One line of locust's statistics: time from 0 to 95 % of the requests, in ms."""

    name: str
    requests: int
    failures: int
    p95_ms: float


@dataclass(frozen=True)
class Gates:
    """Limits: the share of failed requests (0 to 1) over all entries, and p95 of each entry."""

    error_rate: float = 0.001
    p95_ms: float = 250.0

    def __post_init__(self) -> None:
        if not 0 <= self.error_rate <= 1:
            raise ValueError(f"an error rate is a share from 0 to 1, not {self.error_rate}")
        if self.p95_ms <= 0:
            raise ValueError(f"a p95 limit is above 0 ms, not {self.p95_ms}")


def misses(
    entries: Sequence[Entry], gates: Gates, expected: Sequence[str] = (), exceptions: int = 0
) -> list[str]:
    """Sentences about missed gates; empty when passed.

    `expected` names entries that must exist: a user that never reached its goal is a failure.
    `exceptions` counts those that escaped from tasks: a broken user is a failure too.
    """
    found = [f"{exceptions} exceptions escaped from users"] if exceptions else []
    requests = sum(entry.requests for entry in entries)
    if not requests:
        return [*found, "nothing was measured"]
    rate = sum(entry.failures for entry in entries) / requests
    if rate > gates.error_rate:
        found.append(f"error rate {rate:.2%}, allowed {gates.error_rate:.2%}")
    found += [
        f"{entry.name}: p95 {entry.p95_ms:.0f} ms, allowed {gates.p95_ms:.0f} ms"
        for entry in entries
        if entry.requests and entry.p95_ms > gates.p95_ms
    ]
    names = {entry.name for entry in entries if entry.requests > entry.failures}
    found += [f"{name}: never succeeded" for name in expected if name not in names]
    return found


def generator_report(cpu: Mapping[str, float]) -> list[str]:
    """Sentences on the CPU of the generator's processes (shares of a core, 1.0 is a whole one)."""
    found = [f"generator {name}: {share:.0%} of a core" for name, share in sorted(cpu.items())]
    found += [
        f"WARNING: generator {name} is saturated: it limits times and rates, not the server;"
        " use fewer users, or more workers"
        for name, share in sorted(cpu.items())
        if share >= SATURATED
    ]
    return found
