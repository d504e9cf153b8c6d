"""metrics: names with units, counters that end in _total, the label shard and nothing else."""

from prometheus_client.parser import text_string_to_metric_families

from shardws import stats
from shardws_supervisor import metrics, status
from shardws_supervisor.backoff import Backoff, Policy
from shardws_supervisor.slots import Slot, SlotTable


def report() -> dict[str, object]:
    table = SlotTable()
    for index in range(2):
        table.add(Slot(index, Backoff(Policy(), lambda: 0.0)))
    memory = stats.Stats(2)
    for row in range(4):
        memory.row(row)[stats.MESSAGES_IN] = 10**row
        memory.row(row)[stats.CONNECTIONS] = 1
    return {
        **status.report(table, memory),
        "ready": True,
        "max_connections": 500,
        "uptime": 2.5,
        "reloads": 3,
    }


def test_exposition() -> None:
    page = metrics.exposition(report()).decode()
    families = {family.name: family for family in text_string_to_metric_families(page)}
    received = {
        sample.labels["shard"]: sample.value
        for sample in families["shardws_received_messages"].samples
    }
    assert received == {"0": 11.0, "1": 1100.0}
    assert families["shardws_ready"].samples[0].value == 1
    assert families["shardws_max_connections"].samples[0].value == 500
    assert families["shardws_reloads"].samples[0].value == 3
    states = [s for s in families["shardws_shard_state"].samples if s.value]
    assert [(s.labels["shard"], s.labels["state"]) for s in states] == [
        ("0", "vacant"),
        ("1", "vacant"),
    ]


def test_names_and_labels() -> None:
    page = metrics.exposition(report()).decode()
    for family in text_string_to_metric_families(page):
        assert family.name.startswith("shardws_")
        assert family.documentation.endswith(".")
        for sample in family.samples:
            assert set(sample.labels) <= {"shard", "state"}
            assert (family.type == "counter") == sample.name.endswith("_total")


def test_every_counter_of_shared_memory_has_a_metric() -> None:
    shown = {row.field for row in metrics.ROWS}
    assert set(status.COUNTERS) <= shown
    assert set(status.SUMMED_GAUGES) <= shown
