"""What routing tells a shard, and asks of it (interfaces.RoutingSink).

Owns the events made of it and the answers; knows no link. What can be asked:

    of a connection   snapshot   its properties, as shard.snapshot has them
    of the shard      ids        the ids of its open connections (id 0)
"""

import json
from typing import TYPE_CHECKING, Final

from shardws import events
from shardws.errors import ERROR_CODES, NoSuchConnection, UsageError
from shardws.outcomes import OUTCOME_CODES, Outcome
from shardws.shard import snapshot

if TYPE_CHECKING:
    from shardws.shard.shard import Shard

ALL_IDS: Final = "ids"


class Reports:
    """One for each shard."""

    def __init__(self, shard: "Shard") -> None:
        self._shard = shard

    def send_failed(self, connection_id: int, outcome: Outcome) -> None:
        """Fire Error for a send nobody awaited; later, since this may run inside any code."""
        if not self._shard.loop.is_closed():
            self._shard.loop.call_soon(self._fire_failed, connection_id, outcome)

    def _fire_failed(self, connection_id: int, outcome: Outcome) -> None:
        code = OUTCOME_CODES[outcome]
        text = f"a send was not delivered: {ERROR_CODES[code].text}"
        self._shard.dispatch.error(connection_id, code, text)

    def sends_lost(self, count: int) -> None:
        """Fire one Error for the sends that were in doubt when a link broke."""
        text = f"{count} sends to a shard that went down may not have arrived"
        self._shard.dispatch.error(0, OUTCOME_CODES[Outcome.UNREACHABLE], text)

    def ready_to_send(self, connection_id: int) -> None:
        """A connection of another shard that answered FULL takes messages again."""
        event = events.ReadyToSend(connection_id)
        self._shard.dispatch.fire_remote("on_ready_to_send", event)

    def answer(self, connection_id: int, what: str) -> bytes | None:
        """Answer another shard about a connection here, or (id 0) this one; None: unknown."""
        if not connection_id:
            if what != ALL_IDS:
                raise UsageError(f"a shard can be asked for {ALL_IDS!r}", code=213)
            return json.dumps(list(self._shard.registry)).encode()
        if what != snapshot.QUESTION:
            raise UsageError(f"a connection can be asked for {snapshot.QUESTION!r}", code=213)
        try:
            return snapshot.encode(snapshot.take(self._shard.view(connection_id)))
        except NoSuchConnection:
            return None

    async def all_ids(self) -> list[int]:
        """Return the ids of the open connections of all shards that answer."""
        found = list(self._shard.registry)
        for body in await self._shard.router.query_shards(ALL_IDS):
            found += json.loads(body)
        return found
