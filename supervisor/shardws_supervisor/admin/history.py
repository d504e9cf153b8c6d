"""The last minutes, so that a dashboard that is opened now has its charts filled.

Owns KEPT points, one per period; reads shared memory alone, so it goes on when nobody answers.
"""

from collections import deque
from typing import Any, Final

from shardws import stats

PERIOD: Final = 1.0  # seconds between two points
KEPT: Final = 300  # points

Point = dict[str, Any]


class History:
    """Points as the page's script has them: `at` in seconds, per shard what the charts show."""

    def __init__(self, memory: stats.Stats) -> None:
        self._memory = memory
        self._points: deque[Point] = deque(maxlen=KEPT)

    def note(self, at: float) -> None:
        """Add a point; `at` is the server's uptime."""
        shards = {}
        for slot in self._memory.used_slots():
            words = self._memory.of_slot(slot)
            shards[slot] = {
                "messages": words["messages_in"] + words["messages_out"],
                "connections": words["connections"],
                "lag": words["loop_lag"],
            }
        self._points.append({"at": round(at, 3), "shards": shards})

    def points(self) -> list[Point]:
        """Return the points, the oldest first."""
        return list(self._points)
