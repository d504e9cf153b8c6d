"""How a stop gets harsher: graceful, at once, by force.

Owns the levels; knows no process. A second signal escalates: whoever sends it is out of patience.
Nothing else escalates by repetition: `drain` and `stop` over the control socket, and the first
signal after them (`systemctl stop` after `shardws drain`), leave a graceful stop alone.
"""

import enum
import signal


class Level(enum.IntEnum):
    """How a shard is asked to end."""

    NONE = 0
    GRACEFUL = 1  # DRAIN: close frames with 1001, then the drain deadline
    NOW = 2  # STOP: without waiting for clients
    KILL = 3  # SIGKILL


ASKED = {
    signal.SIGTERM: Level.GRACEFUL,
    signal.SIGINT: Level.NOW,
    signal.SIGQUIT: Level.NOW,
}


def harsher(level: Level, asked: Level) -> Level:
    """Return the level after a request: the one asked for, at least one more than before."""
    return Level(min(Level.KILL, max(asked, level + 1)))


class Escalation:
    """The signals so far."""

    def __init__(self) -> None:
        self._is_asked = False

    def level(self, level: Level, asked: Level) -> Level:
        """Return the level that a signal asks for, while the server is at `level`."""
        was_asked, self._is_asked = self._is_asked, True
        return harsher(level, asked) if was_asked else max(level, asked)
