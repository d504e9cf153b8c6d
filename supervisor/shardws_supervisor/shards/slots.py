"""Slots and the processes in them: the supervisor's state machine.

Owns every state and every transition between them; starts no process and sends no signal: a pid is
a number here, and time is an argument.

A slot is a shard's permanent place. Each process in it is one generation and uses row
`ids.row_of(slot, generation)`, so a slot holds at most two processes, one per row: a successor can
start while its predecessor drains. One table governs both:

    VACANT ---> STARTING ---> READY ---> DRAINING ---> STOPPING ---> VACANT
                   |            |  |       |  ^
                   |            |  +--> MOVING, its connections go to another process
                   +------------+----------+---- a process may exit in any state: VACANT
    VACANT ---> BACKOFF ------> VACANT       the slot waits before the next start
    VACANT ---> WAITING ------> VACANT       the application cannot be imported: retried
    VACANT ---> QUARANTINED --> VACANT       a crash loop: ended only by a reload

A process is never in BACKOFF, WAITING or QUARANTINED; a slot is in one of these, or VACANT, only
while no process leads it.
"""

import enum
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from shardws import ids
from shardws.wire.messages import Peer
from shardws_supervisor.system.backoff import Backoff


class State(enum.Enum):
    """The state of a process or of a slot."""

    VACANT = "vacant"
    STARTING = "starting"
    READY = "ready"
    MOVING = "moving"
    DRAINING = "draining"
    STOPPING = "stopping"
    BACKOFF = "backoff"
    WAITING = "waiting"
    QUARANTINED = "quarantined"


TRANSITIONS: dict[State, frozenset[State]] = {
    State.VACANT: frozenset({State.STARTING, State.BACKOFF, State.WAITING, State.QUARANTINED}),
    State.STARTING: frozenset({State.READY, State.STOPPING, State.VACANT}),
    State.READY: frozenset({State.MOVING, State.DRAINING, State.STOPPING, State.VACANT}),
    State.MOVING: frozenset({State.DRAINING, State.STOPPING, State.VACANT}),
    State.DRAINING: frozenset({State.STOPPING, State.VACANT}),
    State.STOPPING: frozenset({State.VACANT}),
    State.BACKOFF: frozenset({State.VACANT}),
    State.WAITING: frozenset({State.VACANT}),
    State.QUARANTINED: frozenset({State.VACANT}),
}
RESTING: Final = (State.BACKOFF, State.WAITING)  # with an end


def moved(old: State, new: State) -> State:
    """Return `new`; ValueError when the table has no such transition."""
    if new not in TRANSITIONS[old]:
        raise ValueError(f"no move from {old.value} to {new.value}")
    return new


@dataclass(slots=True, eq=False)
class ShardProcess:
    """One process in a slot."""

    slot: int
    generation: int
    pid: int
    started: float  # monotonic seconds
    state: State = State.STARTING
    since: float = 0.0  # when the current state began
    deadline: float | None = None  # when the current state must have ended
    is_meshed: bool = False  # it sent HELLO: peers may connect to it
    is_leaving: bool = False  # it serves until its successor is ready, but no longer leads
    is_gone: bool = False  # it closed its channel: its loop no longer has to run
    is_expected_to_end: bool = False  # it was asked to end, so its exit is not a failure
    exit_code: int | None = None  # exit code once it has ended; negative: minus the signal number
    complaint: str = ""  # why it ends, as reported by itself or detected by the supervisor
    lacks_code: bool = False  # it could not import the application
    adopted: frozenset[int] = frozenset()  # incarnations whose connections were handed over to it

    @property
    def row(self) -> int:
        return ids.row_of(self.slot, self.generation)

    @property
    def name(self) -> str:
        return f"shard {self.slot}"

    def move(self, state: State, now: float, deadline: float | None = None) -> None:
        """Enter a state with its deadline; ValueError when the table has no such transition."""
        self.state = moved(self.state, state)
        self.since = now
        self.deadline = deadline

    def is_late(self, now: float) -> bool:
        return self.deadline is not None and now >= self.deadline


@dataclass(slots=True, eq=False)
class Slot:
    """A shard's permanent place, with the processes in it."""

    index: int
    backoff: Backoff
    processes: list[ShardProcess] = field(default_factory=list)
    rest: State = State.VACANT  # the slot's state while no process leads it
    until: float = 0.0  # end of BACKOFF or WAITING
    generation: int = -1  # the last generation used
    is_retiring: bool = False  # scaled down: it is removed when its last process has ended
    lacks: str = ""  # why the last process failed to import the application
    last_end: str = ""  # how the last process that was not asked to end ended

    @property
    def leader(self) -> ShardProcess | None:
        """The process that new connections go to: the ready one, else the starting one.

        One that asked for a successor takes connections until that is ready, but no longer leads.
        """
        for state in (State.READY, State.STARTING):
            for process in self.processes:
                if process.state is state and not process.is_leaving:
                    return process
        return None

    @property
    def state(self) -> State:
        """The state to show: the leader's, else the slot's wait, else the leaving process's."""
        leader = self.leader
        if leader:
            return leader.state
        if self.rest is not State.VACANT or not self.processes:
            return self.rest
        return self.processes[0].state

    @property
    def has_future(self) -> bool:
        """Whether a process will be started here without an operator."""
        return self.rest not in (State.WAITING, State.QUARANTINED) and not self.is_retiring

    @property
    def waits_for(self) -> str:
        """Why the application cannot be imported, while the slot waits for that; else ""."""
        return self.lacks if self.state is State.WAITING else ""

    def rests_until(self, now: float) -> float:
        """Return the seconds until a process may serve here; 0 while one does."""
        if self.leader or any(process.state is State.READY for process in self.processes):
            return 0.0
        if self.rest is State.QUARANTINED:
            return math.inf
        return max(0.0, self.until - now) if self.rest in RESTING else 0.0

    def next_generation(self, is_served: Callable[[int], bool] = lambda _: False) -> int | None:
        """Return the next generation whose row is free; None while both rows are in use.

        `is_served`: whether connections of that generation live on in another process.
        """
        taken = {process.generation & 1 for process in self.processes}
        for step in range(1, ids.GENERATIONS + 1):
            generation = (self.generation + step) % ids.GENERATIONS
            if generation & 1 not in taken and not is_served(generation):
                return generation
        return None

    def begin(self, generation: int, pid: int, now: float, deadline: float) -> ShardProcess:
        """Record a fork; ValueError when the slot is waiting or the row is in use."""
        moved(self.rest, State.STARTING)
        if any(process.generation & 1 == generation & 1 for process in self.processes):
            raise ValueError(f"the row of slot {self.index}, generation {generation} is in use")
        self.generation = generation
        process = ShardProcess(self.index, generation, pid, now, since=now, deadline=deadline)
        self.processes.append(process)
        return process

    def end(self, process: ShardProcess, now: float) -> State:
        """Record that a process is gone; return the state it was in."""
        state = process.state
        process.move(State.VACANT, now)
        self.processes.remove(process)
        return state

    def fail(self, process: ShardProcess, reason: str, now: float) -> float | None:
        """Back off after losing the leader; return the seconds, None for quarantine."""
        self.last_end = reason
        delay = self.backoff.failed(now - process.started)
        if delay is None:
            self.rest = moved(self.rest, State.QUARANTINED)
        else:
            self.rest = moved(self.rest, State.BACKOFF)
            self.until = now + delay
        return delay

    def wait_for_code(self, process: ShardProcess, reason: str, now: float) -> float:
        """Wait after a failed import of the application; return the seconds.

        However often that happens, it is not a crash loop: it may work once files are complete.
        """
        self.last_end, self.lacks = reason, process.complaint
        self.rest = moved(self.rest, State.WAITING)
        delay = self.backoff.postponed()
        self.until = now + delay
        return delay

    def pause(self, until: float) -> None:
        """Back off without counting a failure: it was not the shard's fault."""
        if not self.leader:
            self.rest = moved(self.rest, State.BACKOFF)
            self.until = until

    def wake(self) -> None:
        """End the wait: a process may be started."""
        if self.rest is not State.VACANT:
            self.rest = moved(self.rest, State.VACANT)

    def is_due(self, now: float) -> bool:
        """Tell whether to start a process: none leads, and the slot neither waits nor retires."""
        if self.leader or self.is_retiring or self.rest is State.QUARANTINED:
            return False
        return self.rest is State.VACANT or now >= self.until


class SlotTable:
    """All slots in use, and the processes in them."""

    def __init__(self) -> None:
        self.slots: dict[int, Slot] = {}

    def __iter__(self) -> Iterator[Slot]:
        return iter(list(self.slots.values()))

    def __len__(self) -> int:
        return len(self.slots)

    def __getitem__(self, index: int) -> Slot:
        return self.slots[index]

    def add(self, slot: Slot) -> None:
        """Add a slot; ValueError when its number is taken."""
        if slot.index in self.slots:
            raise ValueError(f"slot {slot.index} exists")
        self.slots[slot.index] = slot

    def remove(self, index: int) -> None:
        """Remove a slot; ValueError while it has a process."""
        if self.slots[index].processes:
            raise ValueError(f"slot {index} is in use")
        del self.slots[index]

    def processes(self, *states: State) -> list[ShardProcess]:
        """Return the processes in the given states, or all."""
        return [
            process
            for slot in self.slots.values()
            for process in slot.processes
            if not states or process.state in states
        ]

    def ends_of_rest(self) -> list[float]:
        """Return when the wait ends, for each waiting slot that is not quarantined."""
        resting = [slot for slot in self if slot.rest in RESTING and not slot.is_retiring]
        return [slot.until for slot in resting]

    def peers(self) -> list[Peer]:
        """Return the content of PEERS: each process in the mesh, and whom it serves besides."""
        return [
            Peer(process.row, process.generation, process.pid, tuple(sorted(process.adopted)))
            for process in self.processes()
            if process.is_meshed
        ]

    def are_all(self, state: State) -> bool:
        """Tell whether there are slots and all are in that state."""
        return bool(self.slots) and all(slot.state is state for slot in self.slots.values())
