"""history: the last points, and no more."""

from shardws import stats
from shardws_supervisor.admin.history import KEPT, History


def test_history_keeps_the_last_points() -> None:
    memory = stats.Stats(1)
    memory.row(0)[stats.PID] = 1
    history = History(memory)
    for second in range(KEPT + 5):
        memory.row(second % 2)[stats.MESSAGES_IN] += 1
        history.note(float(second))
    points = history.points()
    assert len(points) == KEPT
    assert points[0]["at"] == 5.0
    assert points[-1]["shards"] == {0: {"messages": KEPT + 5, "connections": 0, "lag": 0}}
