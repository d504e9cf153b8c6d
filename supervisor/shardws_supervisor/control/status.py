"""What `status`, `top`, /status and /metrics show: slots and shared memory as plain data.

Owns the shape of the report. The figures are those of the table in `shardws.metrics`, under their
keys. CPU time never decreases, not even at a respawn: shared memory has that of ended processes,
the kernel that of running ones.
"""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shardws import metrics, stats
from shardws_supervisor.shards import accounting
from shardws_supervisor.shards.slots import ShardProcess, Slot, SlotTable

_PAGE = os.sysconf("SC_PAGESIZE")
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Usage:
    """What the kernel reports of a process."""

    rss_bytes: int
    cpu_seconds: float


def usage_of(pid: int, proc: Path = Path("/proc")) -> Usage:
    """Return memory and CPU time of a process, zeros when it is gone."""
    try:
        pages = int((proc / str(pid) / "statm").read_text().split()[1])
        # The name in parentheses may contain blanks: count fields after it.
        fields = (proc / str(pid) / "stat").read_text().rpartition(")")[2].split()
        return Usage(pages * _PAGE, (int(fields[11]) + int(fields[12])) / _TICKS)
    except (OSError, ValueError, IndexError):
        return Usage(0, 0.0)


def shard_report(slot: Slot, memory: stats.Stats, now: float) -> dict[str, Any]:
    """Return one slot's part of the report; `now` is monotonic seconds."""
    report: dict[str, Any] = {
        "shard": slot.index,
        "state": slot.state.value,
        "failures": slot.backoff.failures,
        "last_end": slot.last_end,
        "waits_for_code": slot.waits_for,
    }
    words = memory.of_slot(slot.index)
    report |= {metric.key: words[metric.key] for metric in metrics.WORDS}
    leader = slot.leader
    report["processes"] = [_process_report(process, now) for process in slot.processes]
    report["pid"] = leader.pid if leader else 0
    report["uptime"] = round(now - leader.started, 3) if leader else 0.0
    report["rss"] = sum(process["rss"] for process in report["processes"])
    living = sum(process["cpu_seconds"] for process in report["processes"])
    report["cpu_seconds"] = accounting.ended_cpu(words) + living
    return report


def _process_report(process: ShardProcess, now: float) -> dict[str, Any]:
    usage = usage_of(process.pid)
    return {
        "pid": process.pid,
        "generation": process.generation,
        "state": process.state.value,
        "uptime": round(now - process.started, 3),
        "rss": usage.rss_bytes,
        "cpu_seconds": usage.cpu_seconds,
    }


def totals(memory: stats.Stats) -> dict[str, int]:
    """Return the sums over the whole server; counters include slots that were removed."""
    summed = (metric.key for metric in metrics.WORDS if metric.join is metrics.Join.SUM)
    return {key: memory.total(stats.INDEX[key]) for key in summed}


def report(table: SlotTable, memory: stats.Stats) -> dict[str, Any]:
    """Return the part of the report about shards."""
    now = time.monotonic()
    shards = [shard_report(slot, memory, now) for slot in sorted(table, key=lambda s: s.index)]
    return {"shards": shards, "totals": totals(memory)}
