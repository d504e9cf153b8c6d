"""Where a connection was before this process had it.

Owns the causes of a takeover. Connections that came together share one object.
"""

import enum
from typing import NamedTuple


class Cause(enum.StrEnum):
    """Why connections move."""

    RELOAD = "reload"
    SCALE = "scale"
    UPGRADE = "upgrade"
    CRASH = "crash"


class Resumed(NamedTuple):
    """How a connection came here."""

    cause: Cause
    slot: int  # of the process that had it before
    generation: int
    moves: int  # so far, this one included
