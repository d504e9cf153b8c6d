"""sending: who may send from the dashboard, and what its body must be."""

import asyncio
import json
from typing import cast

import pytest

from shardws_supervisor.admin import sending
from shardws_supervisor.admin.http import BadRequest, Request, Response
from shardws_supervisor.admin.supervision import Declined, Supervision


class Supervisor:
    def __init__(self) -> None:
        self.sent: list[tuple[int, str]] = []

    async def send(self, connection_id: int, text: str) -> str:
        if connection_id == 99:
            raise Declined("no such connection: 99")
        self.sent.append((connection_id, text))
        return "QUEUED"


def post(
    body: bytes, *, method: str = "POST", has_token: bool = True
) -> tuple[Response, Supervisor]:
    supervisor = Supervisor()
    request = Request(method, "/send", {}, {"host": "h"}, body)
    sent = sending.send(cast(Supervision, supervisor), request, has_token=has_token)
    return asyncio.run(sent), supervisor


def test_a_text_is_sent_as_it_is() -> None:
    """The page sent the demo's JSON, which other applications do not understand."""
    response, supervisor = post('{"id": 5, "text": "é"}'.encode())
    assert supervisor.sent == [(5, "é")]
    assert (response.status, json.loads(response.body)) == (200, {"outcome": "QUEUED"})


def test_what_the_server_declines_is_told() -> None:
    response, _ = post(b'{"id": 99, "text": "x"}')
    assert (response.status, response.body) == (409, b"no such connection: 99\n")


def test_who_has_no_token_may_look_but_not_send() -> None:
    response, supervisor = post(b'{"id": 5, "text": "x"}', has_token=False)
    assert (response.status, supervisor.sent) == (403, [])
    assert b"shardws send ID TEXT" in response.body


def test_a_get_sends_nothing() -> None:
    response, supervisor = post(b'{"id": 5, "text": "x"}', method="GET")
    assert (response.status, response.headers, supervisor.sent) == (405, {"Allow": "POST"}, [])


@pytest.mark.parametrize(
    "body",
    [b"", b"x", b"[]", b"5", b'{"id": 5}', b'{"id": "5", "text": "x"}', b'{"id": true, "text": ""}',
     b'{"id": 5, "text": 5}', b"[" * 50_000],
)  # fmt: skip
def test_a_body_that_is_none(body: bytes) -> None:
    with pytest.raises(BadRequest, match="JSON object"):
        post(body)
