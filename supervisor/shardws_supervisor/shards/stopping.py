"""The levels of a stop: graceful, at once, by force.

A second signal escalates: whoever sends it does not want to wait. Nothing else escalates when
repeated: `drain` and `stop` over the control socket, and the first signal after them (`systemctl
stop` after `shardws drain`), leave a graceful stop as it is.
"""

import enum
import signal


class Level(enum.IntEnum):
    """How a shard is asked to end."""

    NONE = 0
    GRACEFUL = 1  # DRAIN: Close frames with 1001, then the drain deadline
    NOW = 2  # STOP: without waiting for clients
    KILL = 3  # SIGKILL


ASKED = {
    signal.SIGTERM: Level.GRACEFUL,
    signal.SIGINT: Level.NOW,
    signal.SIGQUIT: Level.NOW,
}


def harsher(level: Level, asked: Level) -> Level:
    """Return the level after a request: the one asked for, but at least one above `level`."""
    return Level(min(Level.KILL, max(asked, level + 1)))


class Escalation:
    """Counts the signals so far."""

    def __init__(self) -> None:
        self._is_asked = False

    def level(self, level: Level, asked: Level) -> Level:
        """Return the level that a signal asks for, while the server is at `level`."""
        was_asked, self._is_asked = self._is_asked, True
        return harsher(level, asked) if was_asked else max(level, asked)
