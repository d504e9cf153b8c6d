"""What only the supervisor can count of processes: starts, how they ended, and their CPU time.

Owns three words of each row of shared memory (shardws.stats). They stay when a slot is removed, so
a slot that is added again continues its counters, and they survive every process that shows them.
"""

from collections.abc import Mapping
from resource import struct_rusage

from shardws import stats
from shardws_supervisor.shards.slots import ShardProcess


def begun(memory: stats.Stats, process: ShardProcess, *, is_first: bool) -> None:
    """Count a started process; `is_first`: the first of its slot."""
    if not is_first:
        memory.row(process.row)[stats.RESTARTS] += 1


def ended(memory: stats.Stats, process: ShardProcess, status: int, usage: struct_rusage) -> None:
    """Count a reaped process, with its CPU time from the kernel.

    One that asked for a successor was then drained, so its orderly exit is not a crash.
    """
    row = memory.row(process.row)
    row[stats.ENDED_CPU] += round((usage.ru_utime + usage.ru_stime) * 1e6)
    if not process.is_expected_to_end and not (process.is_leaving and status == 0):
        row[stats.CRASHES] += 1


def ended_cpu(words: Mapping[str, int]) -> float:
    """Return the CPU seconds of a slot's ended processes, from its counters (Stats.of_slot)."""
    return words["ended_cpu"] / 1e6
