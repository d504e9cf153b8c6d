"""Which shard owns a connection id, as far as this process can tell without a query.

Owns the arithmetic on ids and shared memory: an id names the process that owns it, shared memory
says which processes serve and how many ids each has given. Only the owner knows whether the
connection is still open.
"""

from shardws import ids
from shardws.shard.context import ShardContext
from shardws.stats import GENERATION, PID, SERIAL


def other_shard(connection_id: object, context: ShardContext) -> int | None:
    """Return the slot of the other serving process that gave this id; None when none did."""
    if not isinstance(connection_id, int) or not 0 < connection_id <= ids.MAX_ID:
        return None
    node, slot, generation, serial = ids.unpack(connection_id)
    is_own = (slot, generation) == (context.slot, context.generation)
    if node != context.node or is_own or slot >= context.stats.slots:
        return None
    row = context.stats.row(ids.row_of(slot, generation))
    serves = bool(row[PID]) and row[GENERATION] == generation
    return slot if serves and 0 < serial <= row[SERIAL] else None


def advice(connection_id: int, slot: int) -> str:
    """Say what to do instead of reading another shard's connection at once."""
    return (
        f"connection {connection_id} is one of shard {slot}: read it by "
        f"`await server.connection({connection_id})` and set it by "
        f"`await server.set_connection({connection_id}, ...)`"
    )
