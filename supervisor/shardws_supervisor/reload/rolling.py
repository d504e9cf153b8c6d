"""A rolling restart: one slot after the other, the successor ready before the old shard ends.

Owns the order only: a `ShardStarter` starts and ends shards, and the slots show what has happened.
A successor that does not become ready ends the whole restart; the old shard was not touched and
keeps serving, and so do the slots that were not reached.
"""

import enum
from typing import Protocol

from shardws_supervisor.shards.slots import ShardProcess, Slot, SlotTable, State


class ShardStarter(Protocol):
    """Starts and ends shards for a rolling restart."""

    def begin(self, slot: Slot) -> ShardProcess | None: ...  # None: not now, ask again
    def retire(self, process: ShardProcess, successor: ShardProcess) -> None: ...


class Progress(enum.Enum):
    """The progress of a rolling restart."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class Rolling:
    """A rolling restart of the slots that existed when it began."""

    def __init__(self, table: SlotTable) -> None:
        self._waiting = [slot.index for slot in table]
        self._slot: int | None = None
        self._successor: ShardProcess | None = None
        self.replaced = 0
        self.failed: ShardProcess | None = None  # the successor that did not become ready

    def advance(self, table: SlotTable, starter: ShardStarter) -> Progress:
        """Continue as far as possible; called whenever something about a shard changed."""
        while True:
            if self._slot is None:
                if not self._waiting:
                    return Progress.DONE
                self._slot = self._waiting.pop(0)
            slot = table.slots.get(self._slot)
            if slot is not None and not slot.is_retiring:
                progress = self._advance_slot(slot, starter)
                if progress is not Progress.DONE:
                    return progress
                self.replaced += 1
            self._slot = self._successor = None

    def _advance_slot(self, slot: Slot, starter: ShardStarter) -> Progress:
        if self._successor is None:
            slot.wake()
            slot.backoff.pardon()
            self._successor = starter.begin(slot)
            return Progress.RUNNING
        state = self._successor.state
        if state is State.STARTING:
            return Progress.RUNNING
        if state is not State.READY:
            self.failed = self._successor
            return Progress.FAILED
        for process in list(slot.processes):
            if process is not self._successor and process.state in (State.READY, State.STARTING):
                starter.retire(process, self._successor)
        return Progress.RUNNING if len(slot.processes) > 1 else Progress.DONE
