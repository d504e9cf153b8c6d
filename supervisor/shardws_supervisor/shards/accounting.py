"""What only the supervisor can count of processes: how many began, how they ended, their CPU time.

Owns three words of each row of shared memory (shardws.stats); decides nothing. They stay when a
slot is removed, so a slot that comes back continues its counters, and they outlive every process
that shows them.
"""

from collections.abc import Mapping
from resource import struct_rusage

from shardws import stats
from shardws_supervisor.shards.slots import ShardProcess


def begun(memory: stats.Stats, process: ShardProcess, *, is_first: bool) -> None:
    """Count a process; `is_first` of its slot."""
    if not is_first:
        memory.row(process.row)[stats.RESTARTS] += 1


def ended(memory: stats.Stats, process: ShardProcess, status: int, usage: struct_rusage) -> None:
    """Count the end of a process that has been reaped, with what the kernel says of its time.

    One that asked for a successor was itself told to end, so an orderly end is no crash.
    """
    row = memory.row(process.row)
    row[stats.ENDED_CPU] += round((usage.ru_utime + usage.ru_stime) * 1e6)
    if not process.is_expected_to_end and not (process.is_leaving and status == 0):
        row[stats.CRASHES] += 1


def ended_cpu(words: Mapping[str, int]) -> float:
    """Return the CPU seconds of a slot's ended processes, from its words (Stats.of_slot)."""
    return words["ended_cpu"] / 1e6
