"""Shared memory by slot: what both rows of a slot say together.

Owns the way of summing; changes nothing. A slot has two rows, used in turn by its processes. A
counter is the sum of both, so it does not fall when a shard is respawned; so is a gauge of amounts
(connections, bytes, time), since a successor and its predecessor may both live; of two lags the
worse one counts.
"""

from shardws import ids, stats

AMOUNTS = frozenset({"connections", "queue_bytes", "link_bytes", "ended_cpu"})


def used(memory: stats.Stats) -> list[int]:
    """Return the slots that a process uses or has used."""
    started = [stats.PID, stats.ACCEPTED, stats.LINKS_IN, stats.LINKS_OUT, stats.ENDED_CPU]
    return [
        slot
        for slot in range(memory.slots)
        if any(memory.row(ids.row_of(slot, half))[field] for half in (0, 1) for field in started)
    ]


def read(memory: stats.Stats, slot: int) -> dict[str, int]:
    """Return the counters and gauges of a slot by their names."""
    rows = [memory.as_dict(ids.row_of(slot, generation)) for generation in (0, 1)]
    return {field.name: _joined(field, [row[field.name] for row in rows]) for field in stats.FIELDS}


def _joined(field: stats.Field, values: list[int]) -> int:
    is_sum = field.kind == "counter" or field.name in AMOUNTS
    return sum(values) if is_sum else max(values)
