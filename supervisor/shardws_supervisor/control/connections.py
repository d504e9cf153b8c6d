"""The control commands that concern connections.

Owns their names, the choice of the shards that are asked, and the merging of their replies; the
shards' side is shardws.shard.operator_commands. The owner of a connection is computed from its id,
so no other shard is asked.
"""

import ipaddress
import json
import time
from collections.abc import Callable
from typing import Any, Final, Protocol

from shardws import ids
from shardws.errors import NoSuchConnection, ShardwsError, UsageError
from shardws_supervisor.plan.plan import Plan
from shardws_supervisor.shards.replies import Pending, Reply, Request
from shardws_supervisor.shards.shard_requests import Answer, ShardRequests
from shardws_supervisor.shards.slots import ShardProcess, SlotTable, State
from shardws_supervisor.shards.takeovers import Takeovers

MOST_LISTED: Final = 500  # of each shard: shard.connection_list.MOST
MOST_IN_ALL: Final = 6000  # of all shards in one reply: at 600 bytes each below LONGEST_REPLY
CLOSING: Final = ("code", "reason")
PAYLOAD: Final = ("text", "data")
PUSHES: Final = frozenset({"send", "publish", "broadcast"})  # for other programs
SORTED_BY: Final = ("id", "queue_bytes", "silent", "address")


class Server(Protocol):
    """What these commands need of the supervisor."""

    plan: Plan

    @property
    def table(self) -> SlotTable: ...
    @property
    def shard_requests(self) -> ShardRequests: ...
    @property
    def takeovers(self) -> Takeovers: ...


def _serving(server: Server) -> list[ShardProcess]:
    return server.table.processes(State.READY, State.MOVING, State.DRAINING)


def _ask(
    server: Server,
    processes: list[ShardProcess],
    connection_id: int,
    request: dict[str, Any],
    finish: Callable[[list[Answer | None]], Reply],
) -> Pending:
    what = json.dumps(request)
    return server.shard_requests.begin(processes, connection_id, what, finish, time.monotonic())


def _only(answers: list[Answer | None]) -> Reply:
    """Return the reply of the one shard that was asked; ShardwsError when it refused."""
    answer = answers[0]
    if answer is None:
        raise ShardwsError("its shard is down or does not reply", code=10065)
    if not answer.is_ok:
        raise _refusal(answer)
    reply: Reply = json.loads(answer.body)
    return reply


def _refusal(answer: Answer) -> ShardwsError:
    """Return the error with which a shard refused."""
    refused = json.loads(answer.body)
    return ShardwsError(refused["error"], code=refused["code"])


def _to_owner(server: Server, request: Request, do: str, *names: str) -> Pending:
    """Send a request to the shard that owns `id`; NoSuchConnection when there is none."""
    connection_id: Any = request.get("id")
    owners = _owners(server, connection_id)
    return _ask(server, owners, connection_id, _shard_request(request, do, *names), _first)


def _first(answers: list[Answer | None]) -> Reply:
    """Return the reply of the shard that has the connection: during a takeover two are asked."""
    found: list[Answer | None] = [
        answer for answer in answers if answer is not None and answer.is_ok
    ]
    return _only(found or answers)


def _owners(server: Server, connection_id: Any) -> list[ShardProcess]:
    """Return the process that owns an id, or the two between which its connections move.

    NoSuchConnection, ValueError.
    """
    if not isinstance(connection_id, int) or isinstance(connection_id, bool):
        raise ValueError("id must be a whole number")
    try:
        parts = ids.unpack(connection_id)
    except ValueError:
        raise NoSuchConnection(connection_id) from None
    wanted = ids.incarnation_of(connection_id)
    for process in _serving(server):
        is_own = (process.slot, process.generation) == (parts.slot, parts.generation)
        if wanted in process.adopted or (is_own and parts.node == server.plan.node):
            target = server.takeovers.target_of(process)
            return [process] if target is None else [process, target]
    raise NoSuchConnection(connection_id)


def _shard_request(request: Request, do: str, *names: str) -> dict[str, Any]:
    return {"do": do, **{name: request[name] for name in names if name in request}}


def _conn(server: Server, request: Request) -> Pending:
    return _to_owner(server, request, "show")


def _send(server: Server, request: Request) -> Pending:
    return _to_owner(server, request, "send", *PAYLOAD)


def _disconnect(server: Server, request: Request) -> Pending:
    if "id" in request:
        return _to_owner(server, request, "disconnect", *CLOSING)
    request = {
        **_shard_request(request, "disconnect_address", *CLOSING),
        "address": _address(request),
    }
    return _ask(server, _serving(server), 0, request, _sum)


def _address(request: Request) -> str:
    """Return the IP address as shards write it; UsageError 213 when it is invalid."""
    text = request.get("address")
    try:
        if isinstance(text, str):
            # `conns` shows IPv6 in brackets.
            return str(ipaddress.ip_address(text.removeprefix("[").removesuffix("]")))
    except ValueError:
        pass
    raise UsageError(f"{text!r:.60} is not an IP address", code=213)


def _sum(answers: list[Answer | None]) -> Reply:
    return {"count": sum(part["count"] for part in _parts(answers)), **_silent(answers)}


def _parts(answers: list[Answer | None]) -> list[Reply]:
    """Return the replies that came; ShardwsError when a shard refused."""
    refusals = [answer for answer in answers if answer is not None and not answer.is_ok]
    if refusals:
        raise _refusal(refusals[0])
    return [json.loads(answer.body) for answer in answers if answer is not None]


def _silent(answers: list[Answer | None]) -> Reply:
    silent = sum(answer is None for answer in answers)
    return {"silent_shards": silent} if silent else {}


def _conns(server: Server, request: Request) -> Pending:
    after = request.get("after")
    processes = _serving(server) if after is None else _owners(server, after)[-1:]
    shard = request.get("shard")
    if shard is not None:
        processes = [process for process in processes if process.slot == shard]
        if not processes:
            raise ValueError(f"shard {shard!r:.20} is not serving")
    key = request.get("sort", SORTED_BY[0])
    if key not in SORTED_BY:
        raise ValueError(f"sort by one of {', '.join(SORTED_BY)}")
    limit = request.get("limit", MOST_LISTED)
    if isinstance(limit, int):
        limit = min(limit, max(1, MOST_IN_ALL // max(1, len(processes))))
    request = {"do": "connections", "limit": limit, "after": after or 0}

    def finish(answers: list[Answer | None]) -> Reply:
        parts = _parts(answers)
        slots = [answer.process.slot for answer in answers if answer is not None]
        rows = [
            row | {"shard": slot}
            for slot, part in zip(slots, parts, strict=True)
            for row in part["connections"]
        ]
        # Descending where large values are of interest.
        rows.sort(key=lambda row: row[key], reverse=key in ("queue_bytes", "silent"))
        total = sum(part["total"] for part in parts)
        following = [part["next"] for part in parts if "next" in part]
        more = {"next": following} if following else {}
        return {"total": total, "connections": rows, **more, **_silent(answers)}

    return _ask(server, processes, 0, request, finish)


def _by_any_shard(server: Server, request: Request, do: str, *names: str) -> Pending:
    """Have one shard do what takes effect on all shards."""
    # Preferably not one that is about to end: it might do it and end before it replies.
    processes = (server.table.processes(State.READY) or _serving(server))[:1]
    if not processes:
        raise ValueError("no shard is serving")
    return _ask(server, processes, 0, _shard_request(request, do, *names), _only)


def _publish(server: Server, request: Request) -> Pending:
    return _by_any_shard(server, request, "publish", "group", *PAYLOAD)


def _broadcast(server: Server, request: Request) -> Pending:
    return _by_any_shard(server, request, "broadcast", *PAYLOAD)


COMMANDS: Final[dict[str, Callable[[Server, Request], Pending]]] = {
    "conns": _conns,
    "conn": _conn,
    "send": _send,
    "disconnect": _disconnect,
    "kick": _disconnect,  # former name, still typed by users
    "publish": _publish,
    "broadcast": _broadcast,
}
