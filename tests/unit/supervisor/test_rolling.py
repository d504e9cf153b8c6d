"""rolling: one slot at a time, the successor ready before the incumbent drains."""

import itertools

from shardws_supervisor.backoff import Backoff, Policy
from shardws_supervisor.rolling import Progress, Rolling
from shardws_supervisor.slots import Life, Slot, SlotTable, State


class FakeCrew:
    """Forks nothing: lives are numbers, and the test says what becomes of them."""

    def __init__(self, slots: int) -> None:
        self.pids = itertools.count(1)
        self.table = SlotTable()
        self.begun: list[Life] = []
        self.retired: list[Life] = []
        for index in range(slots):
            slot = Slot(index, Backoff(Policy(), lambda: 0.0))
            self.table.add(slot)
            life = self.begin(slot)
            assert life is not None
            life.move(State.READY, 0.0)
        self.begun.clear()

    def begin(self, slot: Slot) -> Life | None:
        generation = slot.next_generation()
        if generation is None:
            return None
        life = slot.begin(generation, next(self.pids), 0.0, 30.0)
        self.begun.append(life)
        return life

    def retire(self, life: Life) -> None:
        life.move(State.DRAINING, 0.0)
        self.retired.append(life)

    def end(self, life: Life) -> None:
        self.table[life.slot].end(life, 0.0)


def test_slot_by_slot_to_the_end() -> None:
    crew = FakeCrew(3)
    old = crew.table.lives()
    rolling = Rolling(crew.table)
    for index in range(3):
        assert rolling.advance(crew.table, crew) is Progress.RUNNING
        assert len(crew.begun) == index + 1
        assert rolling.advance(crew.table, crew) is Progress.RUNNING
        assert len(crew.retired) == index, "nobody drains before the successor is ready"
        crew.begun[index].move(State.READY, 0.0)
        assert rolling.advance(crew.table, crew) is Progress.RUNNING
        assert crew.retired[index] is old[index]
        assert len(crew.begun) == index + 1, "the next slot waits for the drain"
        crew.end(old[index])
    assert rolling.advance(crew.table, crew) is Progress.DONE
    assert rolling.replaced == 3
    assert crew.table.lives() == crew.begun


def test_a_successor_that_dies_leaves_the_incumbent_alone() -> None:
    crew = FakeCrew(2)
    rolling = Rolling(crew.table)
    rolling.advance(crew.table, crew)
    crew.end(crew.begun[0])
    assert rolling.advance(crew.table, crew) is Progress.FAILED
    assert rolling.failed_slot == 0
    assert crew.retired == []
    assert crew.table.are_all(State.READY)


def test_a_slot_whose_rows_are_both_in_use_is_waited_for() -> None:
    crew = FakeCrew(1)
    old = crew.table.lives()[0]
    crew.retire(old)
    newer = crew.begin(crew.table[0])
    assert newer is not None
    newer.move(State.READY, 0.0)
    rolling = Rolling(crew.table)
    assert rolling.advance(crew.table, crew) is Progress.RUNNING
    assert len(crew.begun) == 1
    crew.end(old)
    assert rolling.advance(crew.table, crew) is Progress.RUNNING
    assert len(crew.begun) == 2


def test_a_quarantined_slot_gets_a_new_chance() -> None:
    crew = FakeCrew(1)
    slot = crew.table[0]
    life = slot.lives[0]
    crew.end(life)
    slot.rest = State.QUARANTINED
    slot.backoff.failures = 9
    rolling = Rolling(crew.table)
    rolling.advance(crew.table, crew)
    assert (slot.state, slot.backoff.failures) == (State.STARTING, 0)
    crew.begun[0].move(State.READY, 0.0)
    assert rolling.advance(crew.table, crew) is Progress.DONE


def test_slots_that_are_scaled_away_meanwhile_are_passed_over() -> None:
    crew = FakeCrew(3)
    rolling = Rolling(crew.table)
    crew.table[0].is_retiring = True
    crew.end(crew.table[1].lives[0])
    crew.table.remove(1)
    rolling.advance(crew.table, crew)
    assert [life.slot for life in crew.begun] == [2]
