"""stats: what both rows of a slot say together, and what a respawn leaves."""

import pytest

from shardws import stats
from shardws.metrics import WORDS, Kind


def test_amounts_add_up_and_the_worse_lag_counts() -> None:
    memory = stats.Stats(2)
    for row, value in ((2, 5), (3, 7)):
        memory.row(row)[stats.CONNECTIONS] = value
        memory.row(row)[stats.BYTES_OUT] = value
        memory.row(row)[stats.LOOP_LAG] = value
        memory.row(row)[stats.PID] = value
    words = memory.of_slot(1)
    assert (words["connections"], words["bytes_out"], words["loop_lag"]) == (12, 12, 7)


@pytest.mark.parametrize(
    "field", [stats.PID, stats.ACCEPTED, stats.LINKS_IN, stats.LINKS_OUT, stats.ENDED_CPU]
)
def test_a_slot_that_did_anything_is_used(field: int) -> None:
    memory = stats.Stats(3)
    memory.row(2)[stats.HEARTBEAT] = 1
    assert memory.used_slots() == []
    memory.row(3)[field] = 1
    assert memory.used_slots() == [1]


def test_the_words_fit_a_row_and_each_metric_has_one() -> None:
    assert len(stats.FIELDS) == len(stats.INDEX) <= stats.ROW_WORDS
    assert {metric.key for metric in WORDS} < set(stats.INDEX)


def test_a_respawn_clears_gauges_and_keeps_counters() -> None:
    memory = stats.Stats(1)
    row = memory.row(0)
    for at in range(len(stats.FIELDS)):
        row[at] = 1
    memory.clear_gauges(0)
    kept = {field.name for at, field in enumerate(stats.FIELDS) if row[at]}
    counters = {metric.key for metric in WORDS if metric.kind is Kind.COUNTER}
    assert kept == counters | {"serial", "ended_cpu"}
