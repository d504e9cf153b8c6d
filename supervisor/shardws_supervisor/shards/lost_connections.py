"""Lost connections: Connected was fired, and the shard died before it fired Disconnected.

Owns the ids found in a dead shard's page of the census, until a running shard has been asked to
fire the event: the successor in the slot, or any ready shard when there will be none, because the
slot is removed or quarantined or the server ends. Each id is handed over once; when the shard that
got it dies before it has fired the event, that event is lost.
"""

from collections.abc import Callable
from typing import Any, Final

from shardws.census import Census
from shardws.log import logger
from shardws.wire import messages
from shardws_supervisor.shards.slots import ShardProcess, SlotTable, State

BATCH: Final = 8192  # ids in one message: 64 KiB

log = logger("supervisor.lost_connections")


class LostConnections:
    """Ids whose Disconnected is still due, by slot."""

    def __init__(self, census: Census, tell: Callable[..., None]) -> None:
        self.census = census
        self._tell = tell
        self._owed: dict[int, list[int]] = {}

    def ended(self, process: ShardProcess, target: ShardProcess | None = None) -> None:
        """Collect the ids of a dead shard; one that exited in order leaves none.

        `target` was taking over its connections: it knows which of them it has.
        """
        left = self.census.collect(process.row)
        if left:
            log.warning("%s died with %d open connections", process.name, len(left))
            slot = process.slot if target is None else target.slot
            self._owed.setdefault(slot, []).extend(left)

    def keep(self) -> dict[int, list[int]]:
        """Return what `adopt` needs."""
        return self._owed

    def adopt(self, kept: dict[int, list[int]]) -> None:
        """Take on the ids that were due before an exec, by slot."""
        self._owed = kept

    def settle(self, table: SlotTable, *, is_ending: bool = False) -> None:
        """Hand over ids to ready shards.

        While the server ends, no successor is awaited and a draining shard may get them too.
        """
        ready = {process.slot: process for process in table.processes(State.READY)}
        if is_ending and not ready:
            ready = {process.slot: process for process in table.processes(State.DRAINING)}
        if not ready:
            return
        for slot in list(self._owed):
            reporter = ready.get(slot)
            if (
                reporter is None
                and not is_ending
                and slot in table.slots
                and table[slot].has_future
            ):
                continue  # the successor in the slot will report them
            self._hand_over(reporter or next(iter(ready.values())), self._owed.pop(slot))

    def close(self) -> None:
        """Log how many events could not be fired."""
        lost = sum(map(len, self._owed.values()))
        if lost:
            log.error("no shard is left to fire Disconnected for %d lost connections", lost)
        self._owed.clear()

    def _hand_over(self, reporter: ShardProcess, owed: list[int]) -> None:
        for start in range(0, len(owed), BATCH):
            batch: Any = b"".join(one.to_bytes(8, "little") for one in owed[start : start + BATCH])
            self._tell(reporter, messages.LOST_CONNECTIONS, batch)
