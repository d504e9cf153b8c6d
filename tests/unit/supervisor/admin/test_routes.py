"""routes: what each path answers, with and without a supervisor that does."""

import asyncio
import json
from typing import Any, cast

import pytest

from shardws import stats
from shardws_supervisor.admin.access import Access
from shardws_supervisor.admin.history import History
from shardws_supervisor.admin.http import Request, Response
from shardws_supervisor.admin.routes import Routes
from shardws_supervisor.admin.supervision import Report, Supervision, Unanswered

REPORT: Report = {
    "ready": True,
    "phase": "serving",
    "max_connections": 10,
    "uptime": 1.5,
    "auxiliaries": [],
    "reloads": 0,
    "upgrades": 0,
    "takeovers": 2,
    "moved_connections": 7,
    "unmoved_connections": {"tls": 4},
    "log_lines_lost": 0,
    "shards": [],
}


ADMIN = {"name": "admin", "pid": 7}
ACCEPTOR = {"name": "acceptor", "pid": 8}


class Supervisor:
    """Answers with a report, or not at all."""

    def __init__(self, report: Report | None) -> None:
        self.report = report
        self.limits: list[int] = []

    async def status(self) -> Report:
        if self.report is None:
            raise Unanswered("it took too long")
        return self.report

    async def connections(self, limit: int) -> Report:
        self.limits.append(limit)
        await self.status()
        return {"total": 0, "connections": []}


def answer(
    path: str, report: Report | None = REPORT, query: dict[str, str] | None = None, **headers: str
) -> Response:
    """Return what a server bound to loopback answers."""
    memory = stats.Stats(1)
    memory.row(0)[stats.PID] = 1
    history = History(memory)
    history.note(1.0)
    supervisor = cast(Supervision, Supervisor(report))
    routes = Routes(Access(""), memory, supervisor, history)
    fields = {"host": "localhost", **headers}
    return asyncio.run(routes.handle(Request("GET", path, query or {}, fields)))


@pytest.mark.parametrize(
    ("changes", "status", "text"),
    [
        ({}, 200, "ok"),
        ({"ready": False, "phase": "starting"}, 503, "starting"),
        ({"ready": False, "phase": "draining"}, 503, "draining"),
        ({"ready": False, "phase": "stopping"}, 503, "stopping"),
        ({"ready": False, "phase": "serving"}, 503, "no shard is ready"),
        ({"ready": False, "phase": "reloading"}, 503, "no shard is ready"),
        ({"ready": False, "auxiliaries": [ADMIN, ACCEPTOR]}, 503, "no shard is ready"),
        (
            {"ready": False, "auxiliaries": [{**ACCEPTOR, "pid": 0}]},
            503,
            "nobody accepts connections",
        ),
        ({"ready": True, "phase": "reloading"}, 200, "ok"),
    ],
)
def test_readiness_and_its_reason(changes: dict[str, Any], status: int, text: str) -> None:
    response = answer("/readyz", {**REPORT, **changes})
    assert (response.status, response.body) == (status, f"{text}\n".encode())
    assert answer("/livez", {**REPORT, **changes}).status == 200, "it processes all the same"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/livez", 503),
        ("/readyz", 503),
        ("/status", 503),
        ("/connections", 503),
        ("/metrics", 200),
        ("/history", 200),
        ("/", 200),
    ],
)
def test_while_the_supervisor_is_silent(path: str, status: int) -> None:
    response = answer(path, None)
    assert response.status == status
    if status == 503:
        assert response.body == b"the supervisor does not reply: it took too long\n"


def test_bodies_and_their_types() -> None:
    assert json.loads(answer("/status").body) == REPORT
    assert answer("/status").content_type == "application/json"
    assert answer("/").content_type == "text/html; charset=utf-8"
    assert answer("/metrics").content_type.startswith("text/plain; version=0.0.4")
    accept = "application/openmetrics-text; version=1.0.0"
    assert answer("/metrics", accept=accept).content_type.startswith("application/openmetrics-text")
    (point,) = json.loads(answer("/history").body)["points"]
    assert point == {"at": 1.0, "shards": {"0": {"messages": 0, "connections": 0, "lag": 0}}}


def test_an_unknown_path_names_the_others() -> None:
    response = answer("/favicon.ico")
    assert response.status == 404
    assert response.body.startswith(b"there are /livez, /readyz, /, /status, ")


def test_probes_alone_are_answered_under_any_name() -> None:
    for path in ("/livez", "/readyz"):
        assert answer(path, host="evil.example").status == 200
    for path in ("/", "/status", "/metrics", "/connections", "/history", "/nosuch"):
        assert answer(path, host="evil.example").status == 403


@pytest.mark.parametrize("limit", ["1", "500", "007"])
def test_a_limit(limit: str) -> None:
    assert answer("/connections", query={"limit": limit}).status == 200


@pytest.mark.parametrize("limit", ["", "0", "501", "-1", "+1", "1.0", "x", "\u0661", "9" * 40])
def test_a_bad_limit(limit: str) -> None:
    response = answer("/connections", query={"limit": limit})
    assert (response.status, response.body) == (400, b"limit must be 1 to 500\n")
