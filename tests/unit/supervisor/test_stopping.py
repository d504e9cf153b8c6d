"""stopping: each further request is harsher."""

import pytest

from shardws_supervisor.stopping import Level, harsher


@pytest.mark.parametrize(
    ("level", "asked", "after"),
    [
        (Level.NONE, Level.GRACEFUL, Level.GRACEFUL),
        (Level.NONE, Level.NOW, Level.NOW),
        (Level.GRACEFUL, Level.GRACEFUL, Level.NOW),
        (Level.GRACEFUL, Level.NOW, Level.NOW),
        (Level.NOW, Level.GRACEFUL, Level.KILL),
        (Level.NOW, Level.NOW, Level.KILL),
        (Level.KILL, Level.GRACEFUL, Level.KILL),
    ],
)
def test_asking_again_hastens(level: Level, asked: Level, after: Level) -> None:
    assert harsher(level, asked) is after
