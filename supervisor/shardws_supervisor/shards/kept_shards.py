"""Slots and their processes as data, kept over an exec of the supervisor.

Owns what is kept of each. What is not here begins anew: the watch over heartbeats, with the whole
timeout. All times are monotonic seconds, which go on over an exec.
"""

from collections.abc import Callable
from dataclasses import dataclass

from shardws_supervisor.shards.channel import KeptChannel
from shardws_supervisor.shards.keepers import KeptKeeper
from shardws_supervisor.shards.slots import ShardProcess, Slot, State
from shardws_supervisor.shards.takeovers import KeptCounts
from shardws_supervisor.system.backoff import Backoff


@dataclass(frozen=True, slots=True)
class KeptProcess:
    """A shard process and its channel; the fields of ShardProcess."""

    generation: int
    pid: int
    started: float
    state: State
    since: float
    deadline: float | None
    is_meshed: bool
    is_leaving: bool
    is_gone: bool
    is_expected_to_end: bool
    complaint: str
    lacks_code: bool
    adopted: frozenset[int]
    channel: KeptChannel


@dataclass(frozen=True, slots=True)
class KeptSlot:
    """A slot; the fields of Slot, and those of its Backoff."""

    index: int
    rest: State
    until: float
    generation: int
    is_retiring: bool
    lacks: str
    last_end: str
    failures: int
    postponements: int
    processes: list[KeptProcess]


@dataclass(frozen=True, slots=True)
class KeptShards:
    """All of them, and what is due to them."""

    slots: list[KeptSlot]
    token: int  # of the last request to a shard
    owed: dict[int, list[int]]  # lost connections, by slot
    keepers: dict[int, KeptKeeper]  # by pid
    takeovers: KeptCounts


def of_slot(slot: Slot, channel_of: Callable[[ShardProcess], KeptChannel]) -> KeptSlot:
    """Return what is kept of a slot and its processes."""
    return KeptSlot(
        index=slot.index,
        rest=slot.rest,
        until=slot.until,
        generation=slot.generation,
        is_retiring=slot.is_retiring,
        lacks=slot.lacks,
        last_end=slot.last_end,
        failures=slot.backoff.failures,
        postponements=slot.backoff.postponements,
        processes=[_of_process(process, channel_of(process)) for process in slot.processes],
    )


def _of_process(process: ShardProcess, channel: KeptChannel) -> KeptProcess:
    return KeptProcess(
        generation=process.generation,
        pid=process.pid,
        started=process.started,
        state=process.state,
        since=process.since,
        deadline=process.deadline,
        is_meshed=process.is_meshed,
        is_leaving=process.is_leaving,
        is_gone=process.is_gone,
        is_expected_to_end=process.is_expected_to_end,
        complaint=process.complaint,
        lacks_code=process.lacks_code,
        adopted=process.adopted,
        channel=channel,
    )


def slot_of(kept: KeptSlot, backoff: Backoff) -> Slot:
    """Return the slot with its processes."""
    backoff.failures, backoff.postponements = kept.failures, kept.postponements
    return Slot(
        kept.index,
        backoff,
        [_process_of(kept.index, one) for one in kept.processes],
        kept.rest,
        kept.until,
        kept.generation,
        kept.is_retiring,
        kept.lacks,
        kept.last_end,
    )


def _process_of(slot: int, kept: KeptProcess) -> ShardProcess:
    return ShardProcess(
        slot,
        kept.generation,
        kept.pid,
        kept.started,
        kept.state,
        kept.since,
        kept.deadline,
        is_meshed=kept.is_meshed,
        is_leaving=kept.is_leaving,
        is_gone=kept.is_gone,
        is_expected_to_end=kept.is_expected_to_end,
        complaint=kept.complaint,
        lacks_code=kept.lacks_code,
        adopted=kept.adopted,
    )
