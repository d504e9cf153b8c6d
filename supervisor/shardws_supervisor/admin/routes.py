"""The paths of the admin server.

Owns the response of each path; access control is in access.py. No path changes the server; only
/send has an effect, on a client.

    /livez        200 while the supervisor replies  for probes: no token, no data
    /readyz       200 while the server takes new clients; 503 before, while draining, after
    /status       the report of `shardws status --json`
    /metrics      for Prometheus: shared memory, and states from the supervisor's report
    /             the dashboard
    /connections  the newest connections of all shards; ?limit=N
    /history      the last minutes, for the charts
    /send         POST: a text to one connection; only with a token (sending.py)

While the supervisor does not reply, / and /metrics still work; the others return 503.
"""

import json
from collections.abc import Awaitable, Callable
from typing import Any, Final

from shardws import stats
from shardws_supervisor.admin import http, metrics, page, sending
from shardws_supervisor.admin.access import Access
from shardws_supervisor.admin.history import History
from shardws_supervisor.admin.http import Request, Response
from shardws_supervisor.admin.supervision import Supervision, Unanswered

MOST_LISTED: Final = 500
LISTED: Final = 100
PROBES: Final = ("/livez", "/readyz")
POSTS: Final = (sending.PATH,)

Route = Callable[[Request], Awaitable[Response]]


def as_json(value: Any) -> Response:
    """Return a JSON response."""
    return Response(json.dumps(value).encode() + b"\n", "application/json")


class Routes:
    """Handles requests (http.Handler)."""

    def __init__(
        self,
        access: Access,
        memory: stats.Stats,
        supervision: Supervision,
        history: History,
    ) -> None:
        self._access = access
        self._supervision = supervision
        self._history = history
        self._metrics = metrics.Exposition(memory)
        self._page = page.load()
        livez, readyz = PROBES
        self._probes: dict[str, Route] = {livez: self._livez, readyz: self._readyz}
        self._routes: dict[str, Route] = {
            "/": self._dashboard,
            "/status": self._status,
            "/metrics": self._scrape,
            "/connections": self._connections,
            "/history": self._past,
            sending.PATH: self._send,
        }

    async def handle(self, request: Request) -> Response:
        """Return the response to one request."""
        probe = self._probes.get(request.path)
        if probe is not None:
            return await probe(request)
        refusal = self._access.refusal(request)
        if refusal is not None:
            return refusal
        route = self._routes.get(request.path)
        if route is None:
            paths = ", ".join([*self._probes, *self._routes])
            return Response(f"there are {paths}\n".encode(), status=404)
        try:
            return await route(request)
        except http.BadRequest as error:
            return error.response()
        except Unanswered as error:
            return unanswered(error)

    async def _livez(self, _request: Request) -> Response:
        try:
            await self._supervision.status()
        except Unanswered as error:
            return unanswered(error)
        return Response(b"ok\n")

    async def _readyz(self, _request: Request) -> Response:
        try:
            report = await self._supervision.status()
        except Unanswered as error:
            return unanswered(error)
        if report["ready"]:
            return Response(b"ok\n")
        return Response(f"{reason_of(report)}\n".encode(), status=503)

    async def _dashboard(self, _request: Request) -> Response:
        return self._page

    async def _status(self, _request: Request) -> Response:
        return as_json(await self._supervision.status())

    async def _scrape(self, request: Request) -> Response:
        try:
            report = await self._supervision.status()
        except Unanswered:
            report = None
        body, content_type = self._metrics.page(report, request.headers.get("accept", ""))
        return Response(body, content_type)

    async def _connections(self, request: Request) -> Response:
        limit = number(request.query.get("limit", str(LISTED)), MOST_LISTED)
        return as_json(await self._supervision.connections(limit))

    async def _past(self, _request: Request) -> Response:
        return as_json({"points": self._history.points()})

    async def _send(self, request: Request) -> Response:
        return await sending.send(self._supervision, request, has_token=bool(self._access.token))


def number(text: str, most: int) -> int:
    """Parse a number in a query; BadRequest unless it is 1 to `most`."""
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and 1 <= int(text) <= most):
        raise http.BadRequest(400, f"limit must be 1 to {most}")
    return int(text)


def reason_of(report: dict[str, Any]) -> str:
    """Return a short reason why the server is not ready."""
    if report["phase"] not in ("serving", "reloading", "upgrading"):
        return str(report["phase"])
    if any(
        auxiliary["name"] == "acceptor" and not auxiliary["pid"]
        for auxiliary in report["auxiliaries"]
    ):
        return "nobody accepts connections"
    return "no shard is ready"


def unanswered(error: Unanswered) -> Response:
    """Return the response while the supervisor does not reply."""
    return Response(f"the supervisor does not reply: {error}\n".encode(), status=503)
