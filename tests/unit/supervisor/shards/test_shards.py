"""shards: who serves."""

from types import SimpleNamespace
from typing import Any

from shardws_supervisor.shards.shards import Shards
from shardws_supervisor.shards.slots import Slot, SlotTable, State
from shardws_supervisor.system.backoff import Backoff, Policy


def test_it_takes_a_ready_shard_and_somebody_who_accepts() -> None:
    """The server said that it was ready while nobody could connect."""
    accepting: Any = SimpleNamespace(is_accepting=False)
    made = object.__new__(Shards)  # without the world around it
    made._accepting = accepting
    made.table = SlotTable()
    slot = Slot(0, Backoff(Policy(), lambda: 0.0))
    process = slot.begin(0, 77, 0.0, 30.0)
    made.table.add(slot)
    seen = []
    for state in (State.STARTING, State.READY):
        process.state = state
        for accepting.is_accepting in (False, True):
            seen.append(made.is_serving)
    assert seen == [False, False, False, True]
