"""metrics: names with units, counters that end in _total, the label shard, no falling back."""

import resource
from typing import Any

from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families

from shardws import stats
from shardws.metrics import METRICS, WORDS, Join
from shardws_supervisor.admin import metrics
from shardws_supervisor.control import status
from shardws_supervisor.shards import accounting
from shardws_supervisor.shards.slots import ShardProcess, Slot, SlotTable
from shardws_supervisor.system.backoff import Backoff, Policy

Families = dict[str, Any]


def memory_of(slots: int) -> stats.Stats:
    """Return shared memory in which each row counts its own power of ten."""
    memory = stats.Stats(slots)
    for row in range(slots * 2):
        memory.row(row)[stats.ACCEPTED] = 1
        memory.row(row)[stats.MESSAGES_IN] = 10**row
        memory.row(row)[stats.CONNECTIONS] = row
        memory.row(row)[stats.LOOP_LAG] = 1000 * row
    return memory


def report_of(memory: stats.Stats, slots: int) -> dict[str, Any]:
    table = SlotTable()
    for index in range(slots):
        table.add(Slot(index, Backoff(Policy(), lambda: 0.0)))
    return {
        **status.report(table, memory),
        "ready": True,
        "max_connections": 500,
        "uptime": 2.5,
        "reloads": 3,
        "upgrades": 2,
        "takeovers": 2,
        "moved_connections": 7,
        "unmoved_connections": {"tls": 4},
        "log_lines_lost": 8,
        "auxiliaries": [],
    }


def scrape(memory: stats.Stats, report: dict[str, Any] | None) -> Families:
    body, content_type = metrics.Exposition(memory).page(report, "")
    assert content_type.startswith("text/plain; version=0.0.4")
    return {family.name: family for family in text_string_to_metric_families(body.decode())}


def by_shard(family: Any) -> dict[str, float]:
    return {sample.labels["shard"]: sample.value for sample in family.samples}


def test_both_rows_of_a_slot_are_one_series() -> None:
    memory = memory_of(2)
    families = scrape(memory, report_of(memory, 2))
    assert by_shard(families["shardws_received_messages"]) == {"0": 11.0, "1": 1100.0}
    assert by_shard(families["shardws_connections"]) == {"0": 1.0, "1": 5.0}
    assert by_shard(families["shardws_loop_lag_seconds"]) == {"0": 0.001, "1": 0.003}


def test_what_the_report_adds() -> None:
    memory = memory_of(2)
    families = scrape(memory, report_of(memory, 2))
    assert families["shardws_ready"].samples[0].value == 1
    assert families["shardws_max_connections"].samples[0].value == 500
    assert families["shardws_reloads"].samples[0].value == 3
    assert families["shardws_log_lines_lost"].samples[0].value == 8
    assert families["shardws_shards"].samples[0].value == 2
    assert families["shardws_supervisor_up"].samples[0].value == 1
    assert families["shardws_build_info"].samples[0].labels["codec"] in ("c", "python")
    states = [s for s in families["shardws_shard_state"].samples if s.value]
    assert [(s.labels["shard"], s.labels["state"]) for s in states] == [
        ("0", "vacant"),
        ("1", "vacant"),
    ]


def test_counters_are_there_while_the_supervisor_is_silent() -> None:
    families = scrape(memory_of(2), None)
    assert families["shardws_supervisor_up"].samples[0].value == 0
    assert by_shard(families["shardws_received_messages"]) == {"0": 11.0, "1": 1100.0}
    assert "shardws_shard_state" not in families


def test_slots_that_were_never_used_are_not_shown() -> None:
    memory = stats.Stats(8)
    memory.row(4)[stats.ACCEPTED] = 7
    assert by_shard(scrape(memory, None)["shardws_accepted_connections"]) == {"2": 7.0}


def test_names_and_labels() -> None:
    memory = memory_of(2)
    for family in scrape(memory, report_of(memory, 2)).values():
        assert family.name.startswith("shardws_")
        assert family.documentation.endswith(".")
        for sample in family.samples:
            assert set(sample.labels) <= {"shard", "state", "reason", "version", "python", "codec"}
            assert (family.type == "counter") == sample.name.endswith("_total")


def test_openmetrics_for_those_who_ask() -> None:
    memory = memory_of(1)
    accept = "application/openmetrics-text; version=1.0.0"
    body, content_type = metrics.Exposition(memory).page(None, accept)
    assert content_type.startswith("application/openmetrics-text")
    families = {family.name: family for family in parse_openmetrics(body.decode())}  # type: ignore[no-untyped-call]  # the library is half typed
    assert families["shardws_received_messages"].samples[0].value == 11


def test_every_row_of_the_table_is_shown_under_its_name_kind_and_labels() -> None:
    memory = memory_of(1)
    certificate = {"subject": "a", "serial": "1", "not_after": 5, "is_expiring": True}
    report = {
        **report_of(memory, 1),
        "auxiliaries": [{"name": "admin", "pid": 12, "restarts": 0}],
        "tls": {"certificates": [certificate]},
    }
    collected = {family.name: family for family in metrics.Collector(memory, report).collect()}
    assert list(collected) == [metric.name for metric in METRICS]
    for metric in METRICS:
        family = collected[metric.name]
        assert (family.type, family.documentation) == (metric.kind.name.lower(), metric.text)
        for sample in family.samples:
            assert sample.name == metric.sample
            assert set(sample.labels) == set(metric.labels)


def test_status_has_the_figures_under_the_keys_of_the_table() -> None:
    memory = memory_of(2)
    report = report_of(memory, 2)
    families = scrape(memory, report)
    for metric in WORDS:
        shown = by_shard(families[metric.name])
        for shard in report["shards"]:
            assert metric.scaled(shard[metric.key]) == shown[str(shard["shard"])]
        is_summed = metric.join is Join.SUM
        assert (metric.key in report["totals"]) is is_summed
        if is_summed:
            assert report["totals"][metric.key] == sum(shown.values())


def ended(memory: stats.Stats, slot: int, seconds: float) -> None:
    """Note that a process of a slot has used CPU time and ended by itself."""
    accounting.ended(
        memory, ShardProcess(slot, 0, 77, 0.0), 9, resource.struct_rusage([seconds, *[0] * 15])
    )


def test_cpu_time_and_restarts_outlive_the_admin_child_and_the_slot() -> None:
    """They were kept by the admin child, and by the slot: both forget."""
    memory = memory_of(2)
    ended(memory, 0, 1.5)
    ended(memory, 1, 2.25)
    accounting.begun(memory, ShardProcess(1, 1, 78, 0.0), is_first=False)
    for slots in (2, 1, 2):  # scaled down and up
        families = scrape(memory, report_of(memory, slots))
        assert by_shard(families["shardws_cpu_seconds"]) == {"0": 1.5, "1": 2.25}
        assert by_shard(families["shardws_restarts"]) == {"0": 0.0, "1": 1.0}
        assert by_shard(families["shardws_crashes"]) == {"0": 1.0, "1": 1.0}


def test_an_end_the_report_does_not_know_is_not_counted_twice() -> None:
    memory = memory_of(1)
    report = report_of(memory, 1)
    report["shards"][0]["cpu_seconds"] = 3.0  # of a process that ends right after the report
    ended(memory, 0, 3.0)
    assert by_shard(scrape(memory, report)["shardws_cpu_seconds"]) == {"0": 3.0}


def test_an_end_that_was_asked_for_is_no_crash() -> None:
    memory = memory_of(1)
    usage = resource.struct_rusage([0.0] * 16)
    accounting.ended(memory, ShardProcess(0, 0, 77, 0.0, is_expected_to_end=True), 9, usage)
    accounting.ended(
        memory, ShardProcess(0, 1, 78, 0.0, is_leaving=True), 0, usage
    )  # by TERM, of its own
    assert by_shard(scrape(memory, None)["shardws_crashes"]) == {"0": 0.0}
    accounting.ended(
        memory, ShardProcess(0, 2, 79, 0.0, is_leaving=True), 9, usage
    )  # it did not come so far
    assert by_shard(scrape(memory, None)["shardws_crashes"]) == {"0": 1.0}


def test_auxiliaries_are_seen() -> None:
    memory = memory_of(1)
    auxiliaries = [
        {"name": "acceptor", "pid": 0, "restarts": 3},
        {"name": "admin", "pid": 12, "restarts": 0},
    ]
    families = scrape(memory, {**report_of(memory, 1), "auxiliaries": auxiliaries})
    samples = {
        (sample.name, sample.labels["auxiliary"]): sample.value
        for name in ("shardws_auxiliary_up", "shardws_auxiliary_restarts")
        for sample in families[name].samples
    }
    assert samples == {
        ("shardws_auxiliary_up", "acceptor"): 0.0,
        ("shardws_auxiliary_up", "admin"): 1.0,
        ("shardws_auxiliary_restarts_total", "acceptor"): 3.0,
        ("shardws_auxiliary_restarts_total", "admin"): 0.0,
    }
