"""What dead shards leave behind: connections that were told Connected and never Disconnected.

Owns the ids a dead shard's page of the census shows, until a living one has been asked to tell the
application: the successor in the slot, or any ready shard when none will come: the slot is given
up or quarantined, or the server ends. Knows no process and no channel. Each id is handed over once;
when the heir dies before it has fired the event, that event is lost with it.
"""

from collections.abc import Callable
from typing import Any, Final

from shardws import ids
from shardws.census import Census
from shardws.log import logger
from shardws.wire import messages
from shardws_supervisor.shards.slots import ShardProcess, SlotTable, State

BATCH: Final = 8192  # ids in one message: 64 KiB

log = logger("supervisor.lost_connections")


class LostConnections:
    """Ids still owed a Disconnected, by slot."""

    def __init__(self, census: Census, tell: Callable[..., None]) -> None:
        self.census = census
        self._tell = tell
        self._owed: dict[int, list[int]] = {}

    def ended(self, process: ShardProcess, node: int) -> None:
        """Take what a dead shard leaves; one that ended in order leaves nothing."""
        left = [
            ids.pack(node, process.slot, process.generation, serial)
            for serial in self.census.collect(process.row)
        ]
        if left:
            log.warning("%s left %d connections behind", process.name, len(left))
            self._owed.setdefault(process.slot, []).extend(left)

    def settle(self, table: SlotTable, *, is_ending: bool = False) -> None:
        """Hand over what is owed to whoever is ready for it.

        While the server ends nobody is waited for, and one that drains will do.
        """
        ready = {process.slot: process for process in table.processes(State.READY)}
        if is_ending and not ready:
            ready = {process.slot: process for process in table.processes(State.DRAINING)}
        if not ready:
            return
        for slot in list(self._owed):
            heir = ready.get(slot)
            if heir is None and not is_ending and slot in table.slots and table[slot].has_future:
                continue  # its successor is on the way
            self._hand_over(heir or next(iter(ready.values())), self._owed.pop(slot))

    def close(self) -> None:
        """Say what nobody was left to be told."""
        lost = sum(map(len, self._owed.values()))
        if lost:
            log.error("nobody is left to tell that %d connections of dead shards ended", lost)
        self._owed.clear()

    def _hand_over(self, heir: ShardProcess, owed: list[int]) -> None:
        for start in range(0, len(owed), BATCH):
            batch: Any = b"".join(one.to_bytes(8, "little") for one in owed[start : start + BATCH])
            self._tell(heir, messages.LOST_CONNECTIONS, batch)
