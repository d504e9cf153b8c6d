"""status: counters over both rows of a slot, gauges of the processes of now."""

import os
import resource
from pathlib import Path

from shardws import ids, stats
from shardws_supervisor.control import status
from shardws_supervisor.shards import accounting
from shardws_supervisor.shards.slots import Slot, SlotTable, State
from shardws_supervisor.system.backoff import Backoff, Policy


def test_usage_of_this_process() -> None:
    usage = status.usage_of(os.getpid())
    assert usage.rss_bytes > 1 << 20
    assert usage.cpu_seconds > 0


def test_usage_of_nobody_is_zero(tmp_path: Path) -> None:
    assert status.usage_of(1 << 22) == status.Usage(0, 0.0)
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "statm").write_text("1\n")
    assert status.usage_of(7, tmp_path) == status.Usage(0, 0.0)


def test_a_name_with_blanks_and_parentheses(tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "statm").write_text("10 3 1 1 0 1 0\n")
    fields = " ".join(["S", *["0"] * 10, "150", "50", *["0"] * 30])
    (tmp_path / "7" / "stat").write_text(f"7 (a ) b) {fields}\n")
    usage = status.usage_of(7, tmp_path)
    assert usage.rss_bytes == 3 * os.sysconf("SC_PAGESIZE")
    assert usage.cpu_seconds == 200 / os.sysconf("SC_CLK_TCK")


def test_a_report_over_a_respawn() -> None:
    """The counters of the dead generation stay in its row and count on."""
    memory = stats.Stats(2)
    table = SlotTable()
    for index in range(2):
        table.add(Slot(index, Backoff(Policy(), lambda: 0.0)))
    slot = table[1]
    first = slot.begin(0, os.getpid(), 0.0, 30.0)
    first.move(State.READY, 1.0)
    row = memory.row(ids.row_of(1, 0))
    row[stats.MESSAGES_IN], row[stats.CONNECTIONS] = 7, 3
    accounting.begun(memory, first, is_first=True)
    accounting.ended(memory, first, 9, resource.struct_rusage([2.0, 0.5, *[0] * 14]))
    slot.end(first, 2.0)
    slot.last_end = "was killed by SIGKILL"
    memory.clear_gauges(ids.row_of(1, 0))
    second = slot.begin(1, os.getpid(), 2.0, 30.0)
    accounting.begun(memory, second, is_first=False)
    second.move(State.READY, 3.0)
    row = memory.row(ids.row_of(1, 1))
    row[stats.MESSAGES_IN], row[stats.CONNECTIONS], row[stats.LOOP_LAG] = 5, 2, 40
    report = status.report(table, memory)
    vacant, shard = report["shards"]
    assert (shard["messages_in"], shard["connections"], shard["loop_lag"]) == (12, 2, 40)
    assert (shard["state"], shard["restarts"], shard["pid"]) == ("ready", 1, os.getpid())
    assert (shard["crashes"], vacant["restarts"]) == (1, 0)
    assert shard["cpu_seconds"] > 2.5, "of the dead and the living"
    assert shard["last_end"] == "was killed by SIGKILL"
    assert [process["generation"] for process in shard["processes"]] == [1]
    assert shard["rss"] > 0
    assert (vacant["state"], vacant["pid"], vacant["uptime"], vacant["processes"]) == (
        "vacant",
        0,
        0.0,
        [],
    )
    assert report["totals"]["messages_in"] == 12
    assert report["totals"]["connections"] == 2
