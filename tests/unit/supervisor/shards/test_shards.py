"""shards: who serves."""

from shardws_supervisor.listening.handoff import Handoff
from shardws_supervisor.shards.shards import Shards
from shardws_supervisor.shards.slots import Slot, SlotTable, State
from shardws_supervisor.system.backoff import Backoff, Policy


def shards_with(handoff: Handoff | None) -> Shards:
    """Return shards of which one is ready, without the world around them."""
    made = object.__new__(Shards)
    made._handoff = handoff
    made.table = SlotTable()
    slot = Slot(0, Backoff(Policy(), lambda: 0.0))
    slot.begin(0, 77, 0.0, 30.0).move(State.READY, 1.0)
    made.table.add(slot)
    return made


def test_without_an_acceptor_nobody_is_served() -> None:
    """The server said that it was ready while nobody could connect."""
    handoff = object.__new__(Handoff)
    handoff.pid = 0
    assert not shards_with(handoff).is_serving
    handoff.pid = 88
    assert shards_with(handoff).is_serving
    assert shards_with(None).is_serving
