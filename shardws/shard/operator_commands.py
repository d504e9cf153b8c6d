"""Requests of an operator, or of another program on the host, which arrive over the channel.

Owns the requests and the checks of their arguments; router and connections carry them out. A
request is JSON, `{"do": NAME, ...}`, for one connection or, with id 0, for the shard; so is its
reply. The reply to a send is its outcome, the same as the application would see. A client chooses
how long its headers and the names of its groups are, so each text of a reply is cut, some groups
are named and the rest counted, and a reply that is still too long is an error of its request: the
channel, which takes 1 MiB, never breaks.

    id  show                                what is known of the connection
    id  send        text | data (base64)    one message
    id  disconnect  code, reason            start the closing handshake
    0   connections limit, after            the newest connections (connection_list.py)
    0   disconnect_address  address, code, reason   every connection from that address
    0   publish     group, text | data      to all members, on every shard
    0   broadcast   text | data             to every connection of the server
    0   renew                               read the certificates again
"""

import base64
import binascii
import json
from collections.abc import Callable
from typing import Any, Final, Protocol

from shardws.close_reasons import OPERATOR
from shardws.errors import NoSuchConnection, ShardwsError, UsageError
from shardws.events import FORMAT_BINARY, FORMAT_TEXT
from shardws.log import cut
from shardws.net.addresses import parse_address
from shardws.net.connection import Connection
from shardws.outcomes import SendOutcome
from shardws.routing.registry import Registry
from shardws.routing.router import Router
from shardws.shard import connection_list
from shardws.shard.tls import ShardTLS

LONGEST_REPLY: Final = 512 << 10  # bytes; half of what the supervisor takes in one message
LONGEST_TEXT: Final = 1000  # characters of one header field
MOST_GROUPS: Final = 50  # of a connection, named in a reply
TOO_LONG: Final = 135

Request = dict[str, Any]
Reply = dict[str, Any]


class CommandTarget(Protocol):
    """The shard, as a request sees it."""

    registry: Registry
    router: Router
    now: float
    tls: ShardTLS | None


def run(shard: CommandTarget, connection_id: int, what: str) -> bytes:
    """Carry out a request and return its reply as JSON; UsageError when it is invalid.

    ShardwsError 135 when its reply would be longer than LONGEST_REPLY.
    """
    reply = _run(shard, connection_id, what)
    if len(reply) > LONGEST_REPLY:
        text = f"the reply is too long: {len(reply)} bytes, at most {LONGEST_REPLY}"
        raise ShardwsError(text, code=TOO_LONG)
    return reply


def _run(shard: CommandTarget, connection_id: int, what: str) -> bytes:
    try:
        request = json.loads(what)
        name = request["do"]
    except (ValueError, RecursionError, TypeError, KeyError):
        raise UsageError("a request is a JSON object with a name to do", code=213) from None
    if not connection_id:
        if name == "connections":
            limit = _number(request, "limit", connection_list.MOST)
            return connection_list.reply(shard, limit, _number(request, "after", 0))
        whole = _OF_THE_SHARD.get(name)
        if whole is not None:
            return json.dumps(whole(shard, request)).encode()
    else:
        single = _OF_A_CONNECTION.get(name)
        if single is not None:
            connection = shard.registry.find(connection_id)
            if not isinstance(connection, Connection):
                raise NoSuchConnection(connection_id)
            return json.dumps(single(shard, connection, request)).encode()
    raise UsageError(f"no such request: {name!r:.40}", code=214)


def refusal(error: ShardwsError) -> bytes:
    """Return the content of a REPLY for a request that failed."""
    return json.dumps({"error": cut(error.description, LONGEST_TEXT), "code": error.code}).encode()


def _show(shard: CommandTarget, connection: Connection, _: Request) -> Reply:
    reply = connection_list.entry(connection, shard.now)
    request = connection.request
    if request is not None:
        reply["host"] = cut(request.host, LONGEST_TEXT)
        reply["origin"] = cut(request.origin, LONGEST_TEXT)
        reply["sub_protocols"] = cut(request.sub_protocols, LONGEST_TEXT)
    names = sorted(connection.groups or ())
    reply["group_names"] = names[:MOST_GROUPS]
    if len(names) > MOST_GROUPS:
        reply["more_groups"] = len(names) - MOST_GROUPS
    return reply


def _send(shard: CommandTarget, connection: Connection, request: Request) -> Reply:
    return _outcome(shard.router.send(connection.id, *_payload(request)))


def _disconnect(shard: CommandTarget, connection: Connection, request: Request) -> Reply:
    return _outcome(shard.router.disconnect(connection.id, *_closing(request)))


def _disconnect_address(shard: CommandTarget, request: Request) -> Reply:
    try:
        address = parse_address(_text(request, "address"))
    except ValueError:
        raise UsageError("an address to disconnect is an IP address", code=213) from None
    code, reason = _closing(request)
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


def _publish(shard: CommandTarget, request: Request) -> Reply:
    return _outcome(shard.router.publish(_text(request, "group"), *_payload(request)))


def _broadcast(shard: CommandTarget, request: Request) -> Reply:
    return _outcome(shard.router.broadcast(*_payload(request)))


def _renew(shard: CommandTarget, _: Request) -> Reply:
    if shard.tls is not None:
        shard.tls.read_anew()
    return {}


_OF_A_CONNECTION: Final[dict[str, Callable[[CommandTarget, Connection, Request], Reply]]] = {
    "show": _show,
    "send": _send,
    "disconnect": _disconnect,
}
_OF_THE_SHARD: Final[dict[str, Callable[[CommandTarget, Request], Reply]]] = {
    "disconnect_address": _disconnect_address,
    "publish": _publish,
    "broadcast": _broadcast,
    "renew": _renew,
}


def _outcome(sent: SendOutcome) -> Reply:
    # For the owner's own connections, and for publishing to links, the outcome is known
    # immediately.
    return {"outcome": sent.outcome.name if sent.outcome is not None else "QUEUED"}


def _payload(request: Request) -> tuple[int, bytes]:
    """Return kind and payload: `text`, or `data` in base64."""
    if ("text" in request) == ("data" in request):
        raise UsageError("say text or data", code=213)
    if "text" in request:
        try:
            return FORMAT_TEXT, _text(request, "text").encode()
        except UnicodeEncodeError:
            raise UsageError("the text is no UTF-8", code=213) from None
    try:
        return FORMAT_BINARY, base64.b64decode(_text(request, "data"), validate=True)
    except (binascii.Error, ValueError):
        raise UsageError("data must be base64", code=213) from None


def _closing(request: Request) -> tuple[int, str]:
    text = _text({"reason": OPERATOR.text, **request}, "reason")
    return _number(request, "code", OPERATOR.code), text


def _text(request: Request, name: str) -> str:
    value = request.get(name)
    if not isinstance(value, str):
        raise UsageError(f"{name} must be text", code=213)
    return value


def _number(request: Request, name: str, default: int) -> int:
    value = request.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise UsageError(f"{name} must be a whole number of 0 or more", code=213)
    return value
