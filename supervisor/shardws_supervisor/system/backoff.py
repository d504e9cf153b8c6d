"""When a slot whose shard died may try again, and when it is given up.

Owns the delays and the verdict; knows no process and no clock: time is an argument, and so is the
source of chance. A process that lasted `stable` seconds clears the record. The first retry comes
after `first` seconds, each further one after `factor` times as long up to `longest`, every delay
shortened by up to `jitter` of itself so that slots that fell together do not rise together. After
`attempts` failures in a row the verdict is a crash loop: the slot is quarantined, the others go on.
"""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Policy:
    """Seconds, and numbers without a unit."""

    first: float = 0.1  # a shard that died once is replaced before its clients have reconnected
    factor: float = 2.0
    longest: float = 30.0
    jitter: float = 0.5
    stable: float = 10.0
    attempts: int = 9  # 0.1 s to 25.6 s of delays: about half a minute of trying

    def delay(self, failures: int, chance: float) -> float:
        """Return the seconds to wait after the given number of failures in a row (1 or more)."""
        exponent = min(failures - 1, 32)  # beyond, a float would only grow towards overflow
        whole = min(self.longest, self.first * self.factor**exponent)
        return whole * (1.0 - self.jitter * chance)


class Backoff:
    """The record of one slot."""

    __slots__ = ("_chance", "failures", "policy", "postponements")

    def __init__(self, policy: Policy, chance: Callable[[], float]) -> None:
        self.policy = policy
        self.failures = 0
        self.postponements = 0  # in a row
        self._chance = chance  # 0.0 <= chance() < 1.0

    def failed(self, lived: float) -> float | None:
        """Note a death after `lived` seconds; return the seconds to wait, None for a crash loop."""
        self.postponements = 0
        if lived >= self.policy.stable:
            self.failures = 0
        self.failures += 1
        if self.failures >= self.policy.attempts:
            return None
        return self.policy.delay(self.failures, self._chance())

    def postponed(self) -> float:
        """Note a start that was not possible yet; return the seconds to wait, and never give up."""
        self.postponements += 1
        return self.policy.delay(self.postponements, self._chance())

    def pardon(self) -> None:
        """Forget the failures: an operator asked for a new start, or new code came."""
        self.failures = self.postponements = 0
