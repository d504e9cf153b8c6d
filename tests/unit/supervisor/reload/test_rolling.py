"""rolling: one slot at a time, the successor ready before the old shard drains."""

import itertools

from shardws_supervisor.reload.rolling import Progress, Rolling
from shardws_supervisor.shards.slots import ShardProcess, Slot, SlotTable, State
from shardws_supervisor.system.backoff import Backoff, Policy


class FakeCrew:
    """Forks nothing: processes are numbers, and the test says what becomes of them."""

    def __init__(self, slots: int) -> None:
        self.pids = itertools.count(1)
        self.table = SlotTable()
        self.begun: list[ShardProcess] = []
        self.retired: list[ShardProcess] = []
        for index in range(slots):
            slot = Slot(index, Backoff(Policy(), lambda: 0.0))
            self.table.add(slot)
            process = self.begin(slot)
            assert process is not None
            process.move(State.READY, 0.0)
        self.begun.clear()

    def begin(self, slot: Slot) -> ShardProcess | None:
        generation = slot.next_generation()
        if generation is None:
            return None
        process = slot.begin(generation, next(self.pids), 0.0, 30.0)
        self.begun.append(process)
        return process

    def retire(self, process: ShardProcess, successor: ShardProcess) -> None:
        assert successor.state is State.READY
        process.move(State.DRAINING, 0.0)
        self.retired.append(process)

    def end(self, process: ShardProcess) -> None:
        self.table[process.slot].end(process, 0.0)


def test_slot_by_slot_to_the_end() -> None:
    starter = FakeCrew(3)
    old = starter.table.processes()
    rolling = Rolling(starter.table)
    for index in range(3):
        assert rolling.advance(starter.table, starter) is Progress.RUNNING
        assert len(starter.begun) == index + 1
        assert rolling.advance(starter.table, starter) is Progress.RUNNING
        assert len(starter.retired) == index, "nobody drains before the successor is ready"
        starter.begun[index].move(State.READY, 0.0)
        assert rolling.advance(starter.table, starter) is Progress.RUNNING
        assert starter.retired[index] is old[index]
        assert len(starter.begun) == index + 1, "the next slot waits for the drain"
        starter.end(old[index])
    assert rolling.advance(starter.table, starter) is Progress.DONE
    assert rolling.replaced == 3
    assert starter.table.processes() == starter.begun


def test_a_successor_that_dies_leaves_the_incumbent_alone() -> None:
    starter = FakeCrew(2)
    rolling = Rolling(starter.table)
    rolling.advance(starter.table, starter)
    starter.begun[0].complaint = "its own last words"
    starter.end(starter.begun[0])
    assert rolling.advance(starter.table, starter) is Progress.FAILED
    assert rolling.failed is not None
    assert (rolling.failed.slot, rolling.failed.complaint) == (0, "its own last words")
    assert starter.retired == []
    assert starter.table.are_all(State.READY)


def test_a_slot_whose_rows_are_both_in_use_is_waited_for() -> None:
    starter = FakeCrew(1)
    old = starter.table.processes()[0]
    old.move(State.DRAINING, 0.0)
    newer = starter.begin(starter.table[0])
    assert newer is not None
    newer.move(State.READY, 0.0)
    rolling = Rolling(starter.table)
    assert rolling.advance(starter.table, starter) is Progress.RUNNING
    assert len(starter.begun) == 1
    starter.end(old)
    assert rolling.advance(starter.table, starter) is Progress.RUNNING
    assert len(starter.begun) == 2


def test_a_quarantined_slot_gets_a_new_chance() -> None:
    starter = FakeCrew(1)
    slot = starter.table[0]
    process = slot.processes[0]
    starter.end(process)
    slot.rest = State.QUARANTINED
    slot.backoff.failures = 9
    rolling = Rolling(starter.table)
    rolling.advance(starter.table, starter)
    assert (slot.state, slot.backoff.failures) == (State.STARTING, 0)
    starter.begun[0].move(State.READY, 0.0)
    assert rolling.advance(starter.table, starter) is Progress.DONE


def test_slots_that_are_scaled_away_meanwhile_are_passed_over() -> None:
    starter = FakeCrew(3)
    rolling = Rolling(starter.table)
    starter.table[0].is_retiring = True
    starter.end(starter.table[1].processes[0])
    starter.table.remove(1)
    rolling.advance(starter.table, starter)
    assert [process.slot for process in starter.begun] == [2]
