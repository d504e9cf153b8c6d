"""stopping: each further request is harsher."""

import pytest

from shardws_supervisor.shards.stopping import Escalation, Level, harsher


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


def test_the_first_signal_leaves_a_graceful_stop_alone() -> None:
    """`systemctl stop` after `shardws drain` threw every client out."""
    escalation = Escalation()
    assert escalation.level(Level.GRACEFUL, Level.GRACEFUL) is Level.GRACEFUL
    assert escalation.level(Level.GRACEFUL, Level.GRACEFUL) is Level.NOW
    assert escalation.level(Level.NOW, Level.GRACEFUL) is Level.KILL


def test_a_signal_may_ask_for_less_patience_at_once() -> None:
    assert Escalation().level(Level.GRACEFUL, Level.NOW) is Level.NOW
    assert Escalation().level(Level.NONE, Level.GRACEFUL) is Level.GRACEFUL
