"""Who is connected: the list that operators see of one shard.

Owns the shape of an entry; changes nothing. Bounded: it is made in one turn of the loop, while
every client of the shard waits, so the newest come first and the rest is only counted. Queries of
request targets are removed: they may hold tokens.
"""

import json
from typing import Any, Final, Protocol

from shardws.log import redact_query
from shardws.net.connection import Connection
from shardws.routing.registry import Registry

MOST: Final = 500  # entries of one reply
LONGEST_PATH: Final = 200


class ListedShard(Protocol):
    """The shard, as this list sees it."""

    registry: Registry
    now: float


def reply(shard: ListedShard, limit: int, after: int = 0) -> bytes:
    """Return the newest connections, `limit` or MOST of them, and how many there are, as JSON.

    `after` is the `next` of the page before, 0 for the first page; the last page has no `next`.
    """
    count = min(limit, MOST)
    newest = shard.registry.newest(count + 1, after)
    page = newest[:count]
    entries = [entry(one, shard.now) for one in page if isinstance(one, Connection)]
    more = {"next": page[-1].id} if page and len(newest) > count else {}
    return json.dumps({"total": len(shard.registry), "connections": entries, **more}).encode()


def entry(connection: Connection, now: float) -> dict[str, Any]:
    """Return what is shown of a connection; `silent` and `ping` in seconds.

    `resumed` is how often it has moved, and `from` names slot and generation of the process that
    had it before, and why it moved.
    """
    host = connection.remote_host
    request = connection.request
    origin = connection.resumed
    came = {} if origin is None else {"from": f"{origin.slot}.{origin.generation} {origin.cause}"}
    return {
        "id": connection.id,
        "address": f"[{host}]" if ":" in host else host,
        "port": connection.remote_port,
        "path": redact_query(request.target)[:LONGEST_PATH] if request is not None else "",
        "silent": round(max(0.0, now - connection.seen), 1),
        "ping": round(connection.rtt, 6),
        "queue_bytes": connection.queued,
        "groups": len(connection.groups or ()),
        "resumed": 0 if origin is None else origin.moves,
        **came,
    }
