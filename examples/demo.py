"""The demo: who you are, messages to an id, groups, broadcast, and echo.

    make run                      # ws://127.0.0.1:9001

On Connected the client gets {"connection_id": N, "shard": S, "pid": P}. JSON text is a request:

    {"to": N, "text": T}          T to connection N of any shard, as {"from": M, "text": T}
    {"join": G}  {"leave": G}     membership of a group
    {"group": G, "text": T}       to each member, as {"group": G, "from": M, "text": T}
    {"broadcast": T}              to every connection, as {"from": M, "broadcast": T}
    {"user_data": T}              keeps T with the connection

When another process takes the connection over, the client gets one {"resumed": CAUSE,
"connection_id": N, "shard": S, "pid": P, "user_data": T}.

A failed send is reported as {"error": CODE, "to": N}, an invalid group name and too much user data
as {"error": 213}. Everything else is echoed unchanged.
"""

import json
import os
from functools import partial
from typing import Any

from shardws import Connected, DataIn, Outcome, Resumed, ShardwsError, WebSocketServer
from shardws.outcomes import OUTCOME_CODES

server = WebSocketServer()
server.local_port = 9001
server.config("BufferMessage=True")


def on_connected(e: Connected) -> None:
    greeting = {"connection_id": e.connection_id, "shard": server.shard, "pid": os.getpid()}
    server.send_text(e.connection_id, json.dumps(greeting))


def on_resumed(e: Resumed) -> None:
    news = {
        "resumed": e.cause,
        "connection_id": e.connection_id,
        "shard": server.shard,
        "pid": os.getpid(),
        "user_data": e.user_data.decode(errors="replace"),
    }
    server.send_text(e.connection_id, json.dumps(news))


def on_data_in(e: DataIn) -> None:
    if e.data_format == 1:
        request = parsed(e.text) if e.text.lstrip()[:1] == b"{" else None
        try:
            if request is None or not is_done(e.connection_id, request):
                server.send_text(e.connection_id, e.text)
        except ShardwsError as error:  # an invalid group name, too much user data
            server.send_text(e.connection_id, json.dumps({"error": error.code}))
    elif e.data_format == 2:
        server.send(e.connection_id, e.text)


def parsed(text: bytes) -> dict[str, Any] | None:
    """Return the JSON object in a message, None when there is none."""
    try:
        request = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return request if isinstance(request, dict) else None


def is_done(me: int, request: dict[str, Any]) -> bool:
    """Carry out a request; False when it is not one of those above."""
    to, group, text = request.get("to"), request.get("group"), request.get("text")
    if type(to) is int and type(text) is str:
        sent = server.send_text(to, json.dumps({"from": me, "text": text}))
        sent.if_failed(partial(report, me, to))
    elif type(group) is str and group and type(text) is str:
        server.publish(group, json.dumps({"group": group, "from": me, "text": text}))
    elif type(request.get("broadcast")) is str:
        server.broadcast(json.dumps({"from": me, "broadcast": request["broadcast"]}))
    elif type(request.get("join")) is str and request["join"]:
        server.join(me, request["join"])
    elif type(request.get("leave")) is str and request["leave"]:
        server.leave(me, request["leave"])
    elif type(request.get("user_data")) is str:
        server.set_user_data(me, request["user_data"].encode(errors="replace"))
    else:
        return False
    return True


def report(me: int, to: int, outcome: Outcome) -> None:
    server.send_text(me, json.dumps({"error": OUTCOME_CODES[outcome], "to": to}))


server.on_connected = on_connected
server.on_resumed = on_resumed
server.on_data_in = on_data_in
