"""How a stop gets harsher: graceful, at once, by force.

Owns the levels; knows no process. Each signal that asks for less patience than there is left
raises the level; asking again always hastens.
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
