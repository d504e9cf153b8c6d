"""POST /send: the dashboard's "Send to this id", by the control command `send`.

Owns parsing of the body, {"id": N, "text": "..."}, and the permission, which requires a token.
Without one every user of this host can read the admin server, but must not be able to send to
clients; the control socket, restricted to the server's own user, is there for that.
"""

import json
from typing import Final

from shardws_supervisor.admin.http import BadRequest, Request, Response
from shardws_supervisor.admin.supervision import Declined, Supervision

PATH: Final = "/send"
NEEDS_TOKEN: Final = Response(
    b"the page can send when AdminToken is set; until then: shardws send ID TEXT\n", status=403
)
NOT_POST: Final = Response(b"POST it\n", status=405, headers={"Allow": "POST"})
SHAPE: Final = 'the body is a JSON object like {"id": 5, "text": "hello"}'


async def send(supervision: Supervision, request: Request, *, has_token: bool) -> Response:
    """Send one text to one connection; 409 says why it was not sent. BadRequest, Unanswered."""
    if request.method != "POST":
        return NOT_POST
    if not has_token:
        return NEEDS_TOKEN
    connection_id, text = read(request.body)
    try:
        outcome = await supervision.send(connection_id, text)
    except Declined as error:
        return Response(f"{error}\n".encode(errors="replace"), status=409)
    return Response(json.dumps({"outcome": outcome}).encode() + b"\n", "application/json")


def read(body: bytes) -> tuple[int, str]:
    """Return id and text of a body; BadRequest when it is invalid."""
    try:
        given = json.loads(body)
        connection_id, text = given["id"], given["text"]
    except (ValueError, RecursionError, TypeError, KeyError):
        raise BadRequest(400, SHAPE) from None
    if type(connection_id) is not int or not isinstance(text, str):
        raise BadRequest(400, SHAPE)
    return connection_id, text
