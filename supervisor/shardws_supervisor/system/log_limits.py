"""How many lines about strangers a process writes: who may connect could fill any disk with them.

Owns the count for one process; time is an argument. A burst is written, then so many a second; what
is left out is counted, and the count is told before the next line that is written.
"""

from typing import Final

BURST: Final = 200
PER_SECOND: Final = 20.0


class Limiter:
    """A token bucket."""

    def __init__(self) -> None:
        self._tokens = float(BURST)
        self._at = 0.0
        self._left_out = 0

    def allow(self, now: float) -> bool:
        """Tell whether a line may be written at `now` seconds; else it is counted."""
        self._fill(now)
        if self._tokens < 1.0:
            self._left_out += 1
            return False
        self._tokens -= 1.0
        return True

    def take_left_out(self, now: float) -> int:
        """Return how many lines were left out, once lines are written again."""
        self._fill(now)
        if not self._left_out or self._tokens < 1.0:
            return 0
        count, self._left_out = self._left_out, 0
        return count

    def _fill(self, now: float) -> None:
        elapsed = max(0.0, now - self._at)  # the clock may be set back
        self._tokens = min(float(BURST), self._tokens + elapsed * PER_SECOND)
        self._at = now
