"""What both clients can ask for: one function per method, which makes a Command.

Owns the arguments of each request and the reading of its reply; knows no connection. So the
asyncio and the blocking client cannot come to differ in anything but how they wait.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from shardws.control import failures
from shardws.control.codec import Data, Reply, accepted, octets, payload
from shardws.errors import Refused
from shardws.outcomes import OUTCOME_CODES, Outcome

OUTCOMES: Final = {code: outcome for outcome, code in OUTCOME_CODES.items()}

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ConnectionList:
    """Who is connected: `connections` as `shardws conns --json` shows them."""

    total: int
    connections: list[dict[str, Any]]
    silent_shards: int  # that did not answer in time; their connections are missing
    next: list[int]  # for each shard that has older ones: what to give as `after` to see them


@dataclass(frozen=True, slots=True)
class Command(Generic[T]):
    """A request; `read` returns what its reply means, or raises Refused or ControlError."""

    do: str
    arguments: dict[str, Any]
    read: Callable[[Reply], T]


def send(connection_id: int, data: str | Data) -> Command[Outcome]:
    """Send one message to a connection."""
    return Command("send", {"id": connection_id, **payload(data)}, _outcome)


def send_text(connection_id: int, text: str | bytes) -> Command[Outcome]:
    """Send one text message; UnicodeDecodeError for bytes that are no UTF-8."""
    return send(connection_id, text if isinstance(text, str) else octets(text).decode())


def publish(group: str, data: str | Data) -> Command[Outcome]:
    """Send to every member of a group."""
    return Command("publish", {"group": group, **payload(data)}, _outcome)


def broadcast(data: str | Data) -> Command[Outcome]:
    """Send to every connection."""
    return Command("broadcast", payload(data), _outcome)


def disconnect(connection_id: int, code: int, reason: str) -> Command[Outcome]:
    """Close a connection."""
    arguments = {"id": connection_id, "code": code, "reason": reason}
    return Command("disconnect", arguments, _outcome)


def kick(address: str, code: int, reason: str) -> Command[int]:
    """Close every connection from an address."""
    arguments = {"address": address, "code": code, "reason": reason}
    return Command("disconnect", arguments, _count)


def connections(
    limit: int, shard: int | None, sort: str, after: int | None
) -> Command[ConnectionList]:
    """List the newest connections, or those of a shard that follow `after`."""
    arguments: dict[str, Any] = {"limit": limit, "sort": sort}
    if shard is not None:
        arguments["shard"] = shard
    if after is not None:
        arguments["after"] = after
    return Command("conns", arguments, _connection_list)


def connection(connection_id: int) -> Command[Reply]:
    """Show one connection."""
    return Command("conn", {"id": connection_id}, accepted)


def status() -> Command[Reply]:
    """Show what the server does."""
    return Command("status", {}, accepted)


def other(do: str, arguments: dict[str, Any]) -> Command[Reply]:
    """Ask for a command by its name."""
    return Command(do, arguments, accepted)


def _outcome(reply: Reply) -> Outcome:
    try:
        return Outcome[accepted(reply)["outcome"]]
    except Refused as error:
        if error.code in OUTCOMES:
            return OUTCOMES[error.code]
        raise
    except (KeyError, TypeError):
        raise failures.other_kind() from None


def _count(reply: Reply) -> int:
    return _number(accepted(reply), "count")


def _connection_list(reply: Reply) -> ConnectionList:
    told = {"silent_shards": 0, "next": [], **accepted(reply)}
    rows = told.get("connections")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise failures.other_kind()
    following = told["next"]
    if not isinstance(following, list) or not all(type(one) is int for one in following):
        raise failures.other_kind()
    return ConnectionList(_number(told, "total"), rows, _number(told, "silent_shards"), following)


def _number(told: Reply, name: str) -> int:
    value = told.get(name)
    if type(value) is not int:  # nor bool
        raise failures.other_kind()
    return value
