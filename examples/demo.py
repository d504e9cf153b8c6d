"""The demo: who you are, messages to an id, groups, broadcast, and echo.

    make run                      # ws://127.0.0.1:9001

On Connected the client gets {"connection_id": N, "shard": S, "pid": P}. Text that is JSON asks for:

    {"to": N, "text": T}          T to connection N of any shard, as {"from": M, "text": T}
    {"join": G}  {"leave": G}     membership of a group
    {"group": G, "text": T}       to each member, as {"group": G, "from": M, "text": T}
    {"broadcast": T}              to every connection, as {"from": M, "broadcast": T}

A send that failed comes back as {"error": CODE, "to": N}. All else is echoed as it came.
"""

import json
import os
from collections.abc import Awaitable
from typing import Any

from shardws import Connected, DataIn, SendOutcome, WebSocketServer
from shardws.outcomes import OUTCOME_CODES

server = WebSocketServer()
server.local_port = 9001
server.config("BufferMessage=True")


def on_connected(e: Connected) -> None:
    greeting = {"connection_id": e.connection_id, "shard": server.shard, "pid": os.getpid()}
    server.send_text(e.connection_id, json.dumps(greeting))


def on_data_in(e: DataIn) -> Awaitable[None] | None:
    if e.data_format == 1:
        if e.text[:1] == b"{":
            request = parsed(e.text)
            if request is not None and (answer := answer_to(e.connection_id, request)):
                return answer if isinstance(answer, Awaitable) else None
        server.send_text(e.connection_id, e.text)
    elif e.data_format == 2:
        server.send(e.connection_id, e.text)
    return None


def parsed(text: bytes) -> dict[str, Any] | None:
    """Return the JSON object in a message, None when there is none."""
    try:
        request = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return request if isinstance(request, dict) else None


def answer_to(me: int, request: dict[str, Any]) -> Awaitable[None] | bool:
    """Do what a request asks; False when it asks nothing of ours."""
    match request:
        case {"to": int(to), "text": str(text)}:
            outcome = server.send_text(to, json.dumps({"from": me, "text": text}))
            return report_failure(me, to, outcome)
        case {"join": str(group)}:
            server.join(me, group)
        case {"leave": str(group)}:
            server.leave(me, group)
        case {"group": str(group), "text": str(text)}:
            server.publish(group, json.dumps({"group": group, "from": me, "text": text}))
        case {"broadcast": str(text)}:
            server.broadcast(json.dumps({"from": me, "broadcast": text}))
        case _:
            return False
    return True


async def report_failure(me: int, to: int, sent: SendOutcome) -> None:
    outcome = await sent
    if not outcome.is_success:
        server.send_text(me, json.dumps({"error": OUTCOME_CODES[outcome], "to": to}))


server.on_connected = on_connected
server.on_data_in = on_data_in
