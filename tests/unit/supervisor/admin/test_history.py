"""slots: what both rows of a slot say together."""

from shardws import stats
from shardws_supervisor.admin import slots
from shardws_supervisor.admin.history import KEPT, History


def test_amounts_add_up_and_the_worse_lag_counts() -> None:
    memory = stats.Stats(2)
    for row, value in ((2, 5), (3, 7)):
        memory.row(row)[stats.CONNECTIONS] = value
        memory.row(row)[stats.BYTES_OUT] = value
        memory.row(row)[stats.LOOP_LAG] = value
        memory.row(row)[stats.PID] = value
    words = slots.read(memory, 1)
    assert (words["connections"], words["bytes_out"], words["loop_lag"]) == (12, 12, 7)
    assert slots.used(memory) == [1]


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
