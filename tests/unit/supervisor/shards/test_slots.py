"""slots: every move of the table, and the bookkeeping of processes."""

import itertools

import pytest

from shardws_supervisor.shards import kept_shards
from shardws_supervisor.shards.channel import KeptChannel
from shardws_supervisor.shards.slots import TRANSITIONS, ShardProcess, Slot, SlotTable, State, moved
from shardws_supervisor.system.backoff import Backoff, Policy
from shardws_supervisor.system.kept import Descriptor
from tests.unit.supervisor.over_exec import over_exec

POLICY = Policy(first=1.0, jitter=0.0, stable=10.0, attempts=2)


def new_slot(index: int = 0) -> Slot:
    return Slot(index, Backoff(POLICY, lambda: 0.0))


def begin(slot: Slot, pid: int = 10, now: float = 0.0) -> ShardProcess:
    generation = slot.next_generation()
    assert generation is not None
    return slot.begin(generation, pid, now, now + 30.0)


def leads(slot: Slot) -> ShardProcess | None:
    return slot.leader


@pytest.mark.parametrize(("old", "new"), list(itertools.product(State, State)))
def test_only_the_moves_of_the_table_are_made(old: State, new: State) -> None:
    if new in TRANSITIONS[old]:
        assert moved(old, new) is new
    else:
        with pytest.raises(ValueError, match=f"from {old.value} to {new.value}"):
            moved(old, new)


def test_every_state_can_be_reached_and_left() -> None:
    assert set(TRANSITIONS) == set(State)
    assert set().union(*TRANSITIONS.values()) == set(State)


def test_a_life_from_fork_to_end() -> None:
    slot = new_slot(3)
    process = begin(slot, pid=77, now=5.0)
    assert (process.row, process.name, slot.state) == (6, "shard 3", State.STARTING)
    assert not process.is_late(34.9)
    assert process.is_late(35.0)
    process.move(State.READY, 6.0)
    assert not process.is_late(1e9)
    assert slot.leader is process
    process.move(State.DRAINING, 7.0, 17.0)
    assert leads(slot) is None
    assert slot.state is State.DRAINING
    assert slot.end(process, 8.0) is State.DRAINING
    assert (slot.state, slot.processes) == (State.VACANT, [])


def test_a_generation_with_connections_elsewhere_is_not_used_again() -> None:
    slot = new_slot()
    slot.generation = 254
    assert slot.next_generation({255, 0, 1}.__contains__) == 2
    begin(slot)
    taken = slot.processes[0].generation
    assert slot.next_generation({0, 2}.__contains__) not in (taken, 0, 2, None)
    assert slot.next_generation(lambda _: True) is None


def test_generations_take_the_two_rows_in_turn() -> None:
    slot = new_slot()
    first = begin(slot)
    second = begin(slot)
    assert (first.row, second.row) == (0, 1)
    assert slot.next_generation() is None
    slot.end(first, 1.0)
    assert slot.next_generation() == 2


def test_a_generation_is_skipped_while_its_row_is_in_use() -> None:
    """The successor died while the predecessor still drained: its row must not be given away."""
    slot = new_slot()
    draining = begin(slot)
    slot.end(begin(slot), 1.0)
    assert slot.next_generation() == 3
    with pytest.raises(ValueError, match="in use"):
        slot.begin(2, 5, 1.0, 2.0)
    assert draining in slot.processes


def test_generations_wrap_on_their_own_row() -> None:
    slot = new_slot()
    slot.generation = 255
    assert slot.next_generation() == 0


def test_a_ready_incumbent_leads_a_starting_successor() -> None:
    slot = new_slot()
    current = begin(slot)
    current.move(State.READY, 1.0)
    begin(slot)
    assert slot.leader is current
    assert slot.state is State.READY


def test_failures_rest_the_slot_and_then_quarantine_it() -> None:
    slot = new_slot()
    process = begin(slot, now=0.0)
    slot.end(process, 1.0)
    assert slot.fail(process, "was killed by SIGSEGV", 1.0) == 1.0
    assert (slot.state, slot.last_end) == (State.BACKOFF, "was killed by SIGSEGV")
    assert not slot.is_due(1.9)
    assert slot.is_due(2.0)
    with pytest.raises(ValueError, match="backoff"):
        begin(slot)
    slot.wake()
    process = begin(slot, now=2.0)
    slot.end(process, 3.0)
    assert slot.fail(process, "again", 3.0) is None
    assert slot.state is State.QUARANTINED
    assert not slot.is_due(1e9)
    slot.wake()
    slot.wake()
    assert slot.is_due(3.0)


def test_a_slot_waits_for_code_as_long_as_it_takes() -> None:
    slot = new_slot()
    now = 0.0
    for delay in (1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0):
        process = begin(slot, now=now)
        process.complaint = "cannot be imported"
        slot.end(process, now)
        assert slot.wait_for_code(process, "exited with 3", now) == delay
        assert (slot.state, slot.waits_for) == (State.WAITING, "cannot be imported")
        assert (slot.last_end, slot.backoff.failures) == ("exited with 3", 0)
        assert slot.rests_until(now) == delay
        assert not slot.is_due(now + delay - 0.1)
        assert not slot.has_future
        now += delay
        assert slot.is_due(now)
        slot.wake()
    begin(slot, now=now).move(State.READY, now)
    assert slot.waits_for == ""


def test_a_slot_that_retires_is_never_due() -> None:
    slot = new_slot()
    assert slot.is_due(0.0)
    slot.is_retiring = True
    assert not slot.is_due(0.0)


def test_a_slot_with_a_leader_is_not_due() -> None:
    slot = new_slot()
    begin(slot)
    assert not slot.is_due(0.0)


def test_the_table_keeps_slots_and_finds_lives() -> None:
    table = SlotTable()
    assert not table.are_all(State.READY)
    for index in range(2):
        table.add(new_slot(index))
    with pytest.raises(ValueError, match="exists"):
        table.add(new_slot(1))
    process = begin(table[1], pid=42)
    assert table.processes(State.STARTING) == [process] == table.processes()
    assert table.processes(State.READY) == []
    assert table.peers() == []
    process.is_meshed = True
    assert table.peers() == [(2, 0, 42, ())]
    with pytest.raises(ValueError, match="in use"):
        table.remove(1)
    table.remove(0)
    process.move(State.READY, 1.0)
    assert (len(table), [slot.index for slot in table]) == (1, [1])
    assert table.are_all(State.READY)


def test_slots_and_processes_are_kept_over_an_exec() -> None:
    slot = new_slot(3)
    first = begin(slot, pid=11)
    first.move(State.READY, 1.0)
    first.move(State.DRAINING, 2.0, 30.0)
    second = begin(slot, pid=12, now=2.5)
    second.adopted, second.is_meshed = frozenset({5, 7}), True
    slot.backoff.failures, slot.backoff.postponements = 2, 3
    slot.last_end, slot.lacks, slot.until, slot.is_retiring = "died", "no code", 9.0, True
    channels = {11: KeptChannel(Descriptor(0), b"", b"", is_closed=True)}
    channels[12] = KeptChannel(Descriptor(1), b"a", b"b", is_closed=False)
    kept = over_exec(kept_shards.of_slot(slot, lambda process: channels[process.pid]))
    again = kept_shards.slot_of(kept, Backoff(POLICY, lambda: 0.0))
    assert vars_of(again) == vars_of(slot)
    assert [vars_of(one) for one in again.processes] == [vars_of(first), vars_of(second)]
    assert (again.backoff.failures, again.backoff.postponements) == (2, 3)
    assert [one.channel.unsent for one in kept.processes] == [b"", b"b"]


def vars_of(one: Slot | ShardProcess) -> dict[str, object]:
    """Return all fields but those that are objects of their own."""
    names = set(one.__dataclass_fields__) - {"backoff", "processes"}
    return {name: getattr(one, name) for name in names}
