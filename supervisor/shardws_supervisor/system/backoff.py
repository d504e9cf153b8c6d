"""When a slot whose shard died is retried, and when it is quarantined.

Owns the delays and the verdict; time and the random source are arguments. A process that ran for
`stable` seconds resets the record. The first retry comes after `first` seconds, each further one
after `factor` times as long up to `longest`; every delay is shortened by up to `jitter` of itself
so that slots that failed together do not restart together. After `attempts` consecutive failures
the verdict is a crash loop: the slot is quarantined, the others continue.
"""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Policy:
    """Seconds, and numbers without a unit."""

    first: float = 0.1  # a shard that crashed once is replaced before its clients have reconnected
    factor: float = 2.0
    longest: float = 30.0
    jitter: float = 0.5
    stable: float = 10.0
    attempts: int = 9  # 0.1 s to 25.6 s of delays: about half a minute of trying

    def delay(self, failures: int, chance: float) -> float:
        """Return the seconds to wait after the given number of consecutive failures (1 or more)."""
        exponent = min(failures - 1, 32)  # more would only make the float overflow
        whole = min(self.longest, self.first * self.factor**exponent)
        return whole * (1.0 - self.jitter * chance)


class Backoff:
    """The failures of one slot."""

    __slots__ = ("_chance", "failures", "policy", "postponements")

    def __init__(self, policy: Policy, chance: Callable[[], float]) -> None:
        self.policy = policy
        self.failures = 0
        self.postponements = 0  # consecutive
        self._chance = chance  # 0.0 <= chance() < 1.0

    def failed(self, lived: float) -> float | None:
        """Record an exit after `lived` seconds; return the delay, None for a crash loop."""
        self.postponements = 0
        if lived >= self.policy.stable:
            self.failures = 0
        self.failures += 1
        if self.failures >= self.policy.attempts:
            return None
        return self.policy.delay(self.failures, self._chance())

    def postponed(self) -> float:
        """Record a start that was not possible yet; return the delay. There is no limit."""
        self.postponements += 1
        return self.policy.delay(self.postponements, self._chance())

    def pardon(self) -> None:
        """Reset the failures: an operator asked for a new start, or there is new code."""
        self.failures = self.postponements = 0
