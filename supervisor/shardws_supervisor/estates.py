"""What dead shards leave behind: connections that were told Connected and never Disconnected.

Owns the ids a dead shard's page of the census shows, until a living one has been asked to tell the
application: the successor in the slot, or any ready shard when the slot is given up. Knows no
process and no channel. Each id is handed over once; when the heir dies before it has fired the
event, that event is lost with it.
"""

from collections.abc import Callable
from typing import Any, Final

from shardws import ids
from shardws.census import Census
from shardws.log import logger
from shardws.wire import messages
from shardws_supervisor.slots import Life, SlotTable, State

BATCH: Final = 8192  # ids in one message: 64 KiB

log = logger("supervisor.estates")


class Estates:
    """Ids still owed a Disconnected, by slot."""

    def __init__(self, census: Census, tell: Callable[..., None]) -> None:
        self.census = census
        self._tell = tell
        self._owed: dict[int, list[int]] = {}

    def ended(self, life: Life, node: int) -> None:
        """Take what a dead shard leaves; one that ended in order leaves nothing."""
        left = [
            ids.pack(node, life.slot, life.generation, serial)
            for serial in self.census.collect(life.row)
        ]
        if left:
            log.warning("%s left %d connections behind", life.name, len(left))
            self._owed.setdefault(life.slot, []).extend(left)

    def settle(self, table: SlotTable) -> None:
        """Hand over what is owed to whoever is ready for it."""
        ready = {life.slot: life for life in table.lives(State.READY)}
        if not ready:
            return
        for slot in list(self._owed):
            heir = ready.get(slot)
            if heir is None and slot in table.slots:
                continue  # its successor is on the way
            self._hand_over(heir or next(iter(ready.values())), self._owed.pop(slot))

    def _hand_over(self, heir: Life, owed: list[int]) -> None:
        for start in range(0, len(owed), BATCH):
            batch: Any = b"".join(one.to_bytes(8, "little") for one in owed[start : start + BATCH])
            self._tell(heir, messages.BEREAVED, batch)
