"""What an operator, or another program on the host, has a shard do: it comes over the channel.

Owns the errands and the checking of their arguments; the doing is the router's and the
connection's. An errand is JSON, `{"do": NAME, ...}`, for one connection or, with id 0, for the
shard; so is its answer. Sends answer with their outcome, the same as the application would see.

    id  show                            what is known of the connection
    id  send    text | data (base64)    one message
    id  close   code, reason            start the closing handshake
    0   roster  limit                   the newest connections (roster.py)
    0   kick    address, code, reason   close every connection from that address
    0   publish group, text | data      to all members, on every shard
    0   broadcast text | data           to every connection of the server
    0   renew                           read the certificates anew
"""

import base64
import binascii
import json
from collections.abc import Callable
from typing import Any, Final, Protocol

from shardws.errors import NoSuchConnection, ShardwsError, UsageError
from shardws.events import FORMAT_BINARY, FORMAT_TEXT
from shardws.net.addresses import parse_address
from shardws.net.connection import Connection
from shardws.outcomes import SendOutcome
from shardws.routing.registry import Registry
from shardws.routing.router import Router
from shardws.shard import roster
from shardws.shard.security import Security

Errand = dict[str, Any]
Answer = dict[str, Any]

REASON: Final = "closed by the operator"


class Place(Protocol):
    """The shard, as an errand sees it."""

    registry: Registry
    router: Router
    now: float
    security: Security | None


def run(shard: Place, connection_id: int, what: str) -> bytes:
    """Do an errand and return its answer as JSON; UsageError when it makes no sense."""
    try:
        errand = json.loads(what)
        name = errand["do"]
    except (ValueError, RecursionError, TypeError, KeyError):
        raise UsageError("an errand is a JSON object with a name to do", code=213) from None
    if not connection_id:
        if name == "roster":
            return roster.answer(shard, _number(errand, "limit", roster.MOST))
        whole = _OF_THE_SHARD.get(name)
        if whole is not None:
            return json.dumps(whole(shard, errand)).encode()
    else:
        single = _OF_A_CONNECTION.get(name)
        if single is not None:
            connection = shard.registry.get(connection_id)
            if not isinstance(connection, Connection):
                raise NoSuchConnection(connection_id)
            return json.dumps(single(shard, connection, errand)).encode()
    raise UsageError(f"no such errand: {name!r:.40}", code=214)


def refusal(error: ShardwsError) -> bytes:
    """Return what a REPLY says of an errand that was not done."""
    return json.dumps({"error": error.description, "code": error.code}).encode()


def _show(shard: Place, connection: Connection, _: Errand) -> Answer:
    answer = roster.entry(connection, shard.now)
    request = connection.request
    if request is not None:
        answer["host"] = request.host
        answer["origin"] = request.origin
        answer["sub_protocols"] = request.sub_protocols
    answer["group_names"] = sorted(connection.groups or ())
    return answer


def _send(shard: Place, connection: Connection, errand: Errand) -> Answer:
    return _outcome(shard.router.send(connection.id, *_payload(errand)))


def _close(shard: Place, connection: Connection, errand: Errand) -> Answer:
    return _outcome(shard.router.disconnect(connection.id, *_closing(errand)))


def _kick(shard: Place, errand: Errand) -> Answer:
    try:
        address = parse_address(_text(errand, "address"))
    except ValueError:
        raise UsageError("an address to kick is an IP address", code=213) from None
    code, reason = _closing(errand)
    count = 0
    known: dict[str, bool] = {}  # an IPv4 client of an IPv6 socket is shown as ::ffff:192.0.2.1
    for connection in shard.registry.snapshot():
        if not isinstance(connection, Connection) or not connection.remote_host:
            continue
        host = connection.remote_host
        if host not in known:
            known[host] = parse_address(host) == address
        if known[host]:
            shard.router.disconnect(connection.id, code, reason)
            count += 1
    return {"count": count}


def _publish(shard: Place, errand: Errand) -> Answer:
    return _outcome(shard.router.publish(_text(errand, "group"), *_payload(errand)))


def _broadcast(shard: Place, errand: Errand) -> Answer:
    return _outcome(shard.router.broadcast(*_payload(errand)))


def _renew(shard: Place, _: Errand) -> Answer:
    if shard.security is not None:
        shard.security.read_anew()
    return {}


_OF_A_CONNECTION: Final[dict[str, Callable[[Place, Connection, Errand], Answer]]] = {
    "show": _show,
    "send": _send,
    "close": _close,
}
_OF_THE_SHARD: Final[dict[str, Callable[[Place, Errand], Answer]]] = {
    "kick": _kick,
    "publish": _publish,
    "broadcast": _broadcast,
    "renew": _renew,
}


def _outcome(sent: SendOutcome) -> Answer:
    # Of the owner's own connections, and of a hand-over to links, the outcome is known at once.
    return {"outcome": sent.outcome.name if sent.outcome is not None else "QUEUED"}


def _payload(errand: Errand) -> tuple[int, bytes]:
    """Return kind and payload: `text`, or `data` in base64."""
    if ("text" in errand) == ("data" in errand):
        raise UsageError("say text or data", code=213)
    if "text" in errand:
        try:
            return FORMAT_TEXT, _text(errand, "text").encode()
        except UnicodeEncodeError:
            raise UsageError("the text is no UTF-8", code=213) from None
    try:
        return FORMAT_BINARY, base64.b64decode(_text(errand, "data"), validate=True)
    except (binascii.Error, ValueError):
        raise UsageError("data must be base64", code=213) from None


def _closing(errand: Errand) -> tuple[int, str]:
    return _number(errand, "code", 1000), _text({"reason": REASON, **errand}, "reason")


def _text(errand: Errand, name: str) -> str:
    value = errand.get(name)
    if not isinstance(value, str):
        raise UsageError(f"{name} must be text", code=213)
    return value


def _number(errand: Errand, name: str, default: int) -> int:
    value = errand.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise UsageError(f"{name} must be a whole number of 0 or more", code=213)
    return value
