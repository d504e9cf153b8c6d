"""The last minutes of the charts, so that a dashboard is filled as soon as it is opened.

Owns KEPT points, one per period. Reads shared memory only, so it continues while the supervisor
does not reply.
"""

from collections import deque
from typing import Any, Final

from shardws import stats

PERIOD: Final = 1.0  # seconds between two points
KEPT: Final = 300  # points

Point = dict[str, Any]


class History:
    """Points as the page's script expects them: `at` in seconds, per shard the charted values."""

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
