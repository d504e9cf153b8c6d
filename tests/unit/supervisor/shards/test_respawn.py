"""respawn: a death and a request for a successor cost the same, and nobody is judged twice."""

import logging

import pytest

from shardws_supervisor.shards import respawn
from shardws_supervisor.shards.slots import ShardProcess, Slot, SlotTable, State
from shardws_supervisor.system.backoff import Backoff, Policy

POLICY = Policy(first=1.0, jitter=0.0, stable=10.0, attempts=2)


@pytest.fixture
def slot() -> Slot:
    return Slot(0, Backoff(POLICY, lambda: 0.0))


def ready(slot: Slot, now: float = 0.0) -> ShardProcess:
    generation = slot.next_generation()
    assert generation is not None
    process = slot.begin(generation, 10 + generation, now, now + 30.0)
    process.move(State.READY, now)
    return process


def ask(slot: Slot, process: ShardProcess, now: float) -> None:
    process.is_leaving = True
    respawn.leaving(slot, process, now)


def test_a_successor_follows_soon(slot: Slot) -> None:
    process = ready(slot)
    ask(slot, process, 100.0)
    assert (slot.state, slot.until, slot.is_due(100.9), slot.is_due(101.0)) == (
        State.BACKOFF, 101.0, False, True,
    )  # fmt: skip
    assert slot.processes == [process], "it serves on"


def test_shards_that_ask_as_soon_as_they_live_are_a_crash_loop(slot: Slot) -> None:
    first = ready(slot)
    ask(slot, first, 1.0)
    slot.wake()
    ask(slot, ready(slot, 2.0), 3.0)
    assert slot.state is State.QUARANTINED


def test_while_one_serves_the_server_is_not_hopeless(slot: Slot) -> None:
    table = SlotTable()
    table.add(slot)
    first = ready(slot)
    ask(slot, first, 1.0)
    slot.wake()
    second = ready(slot, 2.0)
    slot.end(second, 3.0)
    respawn.died(slot, second, "exited with 9", 3.0)
    assert slot.state is State.QUARANTINED
    assert not respawn.is_hopeless(table)
    slot.end(first, 4.0)
    assert respawn.is_hopeless(table)


def test_who_asked_and_dies_then_is_not_judged_again(
    slot: Slot, caplog: pytest.LogCaptureFixture
) -> None:
    """The slot rests already: a second rest would be a move that the table does not have."""
    process = ready(slot)
    ask(slot, process, 1.0)
    slot.end(process, 1.5)
    with caplog.at_level(logging.WARNING):
        respawn.died(slot, process, "was killed by SIGKILL", 1.5)
    assert (slot.state, slot.until, slot.backoff.failures) == (State.BACKOFF, 2.0, 1)
    assert "was killed by SIGKILL" in caplog.text


def test_who_asks_beside_a_new_leader_changes_nothing(slot: Slot) -> None:
    first = ready(slot)
    first.is_leaving = True
    ready(slot, 1.0)
    respawn.leaving(slot, first, 2.0)
    assert (slot.rest, slot.backoff.failures) == (State.VACANT, 0)


def fail_import(slot: Slot, complaint: str, now: float) -> None:
    """Let a successor come as far as the import."""
    slot.wake()
    generation = slot.next_generation()
    assert generation is not None
    process = slot.begin(generation, 10, now, now + 30.0)
    process.complaint, process.lacks_code = complaint, True
    slot.end(process, now)
    respawn.died(slot, process, f"exited with 3: {complaint}", now)


def test_code_that_cannot_be_imported_is_no_crash_loop(
    slot: Slot, caplog: pytest.LogCaptureFixture
) -> None:
    """Half deployed files ended the server, and what was sound a minute later had no shard."""
    table = SlotTable()
    table.add(slot)
    for now, complaint in enumerate(["no module a"] * 9 + ["no module b"]):
        fail_import(slot, complaint, float(now))
        assert (slot.state, slot.waits_for) == (State.WAITING, complaint)
        assert not respawn.is_hopeless(table)
    assert [line.partition("; next")[0] for line in caplog.messages] == [
        "slot 0 waits for importable code: no module a",
        "slot 0 waits for importable code: no module b",
    ]
    slot.wake()
    process = ready(slot, 20.0)
    slot.end(process, 40.0)
    respawn.died(slot, process, "exited with 1", 40.0)
    fail_import(slot, "no module b", 41.0)
    assert "no module b" in caplog.messages[-1], "it is news again"
