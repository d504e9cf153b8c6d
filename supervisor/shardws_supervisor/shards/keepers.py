"""The keepers of shards: reaped when they have gone, ended when they stay too long.

Owns their pids. A keeper (shardws.shard.keeper) is a child of the supervisor that outlives its
shard for as long as it takes to close that shard's clients; it uses the shard's row of shared
memory, so it must have gone before another process gets the row.
"""

import contextlib
import os
import signal
from dataclasses import dataclass
from typing import Final

from shardws_supervisor.shards.slots import ShardProcess

PATIENCE: Final = 2.0  # seconds from the death of its shard to SIGKILL


@dataclass(frozen=True, slots=True)
class KeptKeeper:
    """A keeper, over an exec of the supervisor."""

    row: int
    due: float | None  # monotonic seconds; None while its shard lives


class Keepers:
    """All keepers that are not reaped, by pid; times are monotonic seconds."""

    def __init__(self) -> None:
        self._rows: dict[int, int] = {}
        self._due: dict[int, float] = {}  # of those whose shard has ended

    @property
    def pids(self) -> set[int]:
        return set(self._rows)

    def keep(self) -> dict[int, KeptKeeper]:
        """Return what `adopt` needs, by pid."""
        return {pid: KeptKeeper(row, self._due.get(pid)) for pid, row in self._rows.items()}

    def adopt(self, kept: dict[int, KeptKeeper]) -> None:
        """Take on the keepers that this process had before an exec."""
        self._rows = {pid: one.row for pid, one in kept.items()}
        self._due = {pid: one.due for pid, one in kept.items() if one.due is not None}

    def begin(self, process: ShardProcess, pid: int) -> None:
        """Note the keeper of a shard."""
        self._rows[pid] = process.row

    def shard_ended(self, process: ShardProcess, now: float) -> None:
        """Give the keeper of a dead shard its time."""
        for pid, row in self._rows.items():
            if row == process.row:
                self._due.setdefault(pid, now + PATIENCE)

    def advance(self, now: float) -> None:
        """Reap those that have gone, and kill those that are late."""
        for pid in list(self._rows):
            if now >= self._due.get(pid, now + 1):
                _kill(pid)
            if _has_gone(pid, os.WNOHANG):
                self._forget(pid)

    def end(self, row: int | None = None) -> None:
        """End the keeper of a row that is used again, or all of them."""
        for pid, its in list(self._rows.items()):
            if row is None or its == row:
                _kill(pid)
                _has_gone(pid, 0)
                self._forget(pid)

    def _forget(self, pid: int) -> None:
        del self._rows[pid]
        self._due.pop(pid, None)


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _has_gone(pid: int, flags: int) -> bool:
    """Reap a keeper; False while it lives. One that is no child of ours counts as gone."""
    try:
        return os.waitpid(pid, flags)[0] == pid
    except ChildProcessError:
        return True
