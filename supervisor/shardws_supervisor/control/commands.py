"""The commands of the control socket: one function each.

Owns their names and the checks of their arguments; the supervisor carries them out.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from shardws import stats
from shardws_supervisor.control import connections, status
from shardws_supervisor.plan.plan import Plan
from shardws_supervisor.reload import certificates
from shardws_supervisor.reload.reload import Reloads
from shardws_supervisor.shards.replies import Pending, Reply, Request
from shardws_supervisor.shards.shard_requests import ShardRequests
from shardws_supervisor.shards.slots import SlotTable
from shardws_supervisor.shards.stopping import Level
from shardws_supervisor.shards.takeovers import Takeovers
from shardws_supervisor.system import versions
from shardws_supervisor.system.auxiliary import Auxiliary


class Directory(Protocol):
    """The run directory, as `status` shows it."""

    path: Path


class LogHandler(Protocol):
    """The log, as `status` shows it."""

    def count_lost(self) -> int: ...


class Resources(Protocol):
    """What `status` shows of the resources acquired before the first fork."""

    memory: stats.Stats
    max_connections: int
    memory_limit: int | None

    @property
    def log_handler(self) -> LogHandler: ...
    @property
    def run_directory(self) -> Directory: ...
    @property
    def url(self) -> str: ...


class Upgrades(Protocol):
    """The upgrades, as `status` shows them."""

    count: int

    @property
    def is_running(self) -> bool: ...
    def report(self) -> dict[str, Any]: ...


class Server(Protocol):
    """What the commands need of the supervisor."""

    @property
    def resources(self) -> Resources: ...

    level: Level
    has_served: bool
    started: float
    reloads: Reloads
    plan: Plan

    @property
    def upgrades(self) -> Upgrades: ...

    auxiliaries: list[Auxiliary]

    @property
    def table(self) -> SlotTable: ...
    @property
    def shard_requests(self) -> ShardRequests: ...
    @property
    def takeovers(self) -> Takeovers: ...
    @property
    def is_ready(self) -> bool: ...
    def stop(self, asked: Level) -> None: ...
    def reload(self) -> str: ...
    def upgrade(self) -> str: ...
    def scale(self, count: int) -> None: ...
    def reopen_logs(self) -> None: ...


def phase(server: Server) -> str:
    """Return the phase of the server as one word."""
    if server.level:
        return "draining" if server.level is Level.GRACEFUL else "stopping"
    if server.upgrades.is_running:
        return "upgrading"
    if server.reloads.is_running:
        return "reloading"
    return "serving" if server.has_served else "starting"


def summary(server: Server) -> str:
    """Return the phase and figures in one line, for `systemctl status`."""
    resources = server.resources
    connections = resources.memory.total(stats.CONNECTIONS)
    return (
        f"{phase(server)} on {resources.url}: {len(server.table)} shards, {connections} connections"
    )


def _status(server: Server, _request: Request) -> Reply:
    resources, outcome = server.resources, server.reloads.outcome
    return {
        "pid": os.getpid(),
        "url": resources.url,
        "phase": phase(server),
        "ready": server.is_ready,
        "uptime": round(time.monotonic() - server.started, 3),
        "run_directory": str(resources.run_directory.path),
        "max_connections": resources.max_connections,
        "memory_limit": resources.memory_limit,
        "log_lines_lost": resources.log_handler.count_lost(),
        "reloads": server.reloads.count,
        "reload_outcome": str(outcome) if outcome else "",
        "last_reload": outcome.report() if outcome else None,
        **server.upgrades.report(),
        "tls": certificates.report(server.plan.site, time.time()),
        "certificate_renewals": server.reloads.certificates.renewals,
        "auxiliaries": [auxiliary.report(time.monotonic()) for auxiliary in server.auxiliaries],
        **server.takeovers.report(),
        **versions.report(),
        **status.report(server.table, resources.memory),
    }


def _stop(server: Server, request: Request) -> Reply:
    is_now = request.get("now", False)
    if not isinstance(is_now, bool):
        raise ValueError("now must be true or false")
    server.stop(Level.NOW if is_now else Level.GRACEFUL)
    return {"phase": phase(server)}


def _drain(server: Server, _request: Request) -> Reply:
    server.stop(Level.GRACEFUL)
    return {"phase": phase(server)}


def _reload(server: Server, _request: Request) -> Reply:
    refusal = server.reload()
    if refusal:
        raise ValueError(refusal)
    return {"reloads": server.reloads.count}


def _upgrade(server: Server, _request: Request) -> Reply:
    refusal = server.upgrade()
    if refusal:
        raise ValueError(refusal)
    return {"upgrades": server.upgrades.count}


def _scale(server: Server, request: Request) -> Reply:
    count: Any = request.get("shards")
    if not isinstance(count, int) or isinstance(count, bool):
        raise ValueError("shards must be a whole number")
    if server.level or not server.has_served:
        raise ValueError("the server is starting or stopping")
    server.scale(count)
    return {"shards": count}


def _reopen_logs(server: Server, _request: Request) -> Reply:
    server.reopen_logs()
    return {}


COMMANDS: dict[str, Callable[[Server, Request], Reply]] = {
    "status": _status,
    "stop": _stop,
    "drain": _drain,
    "reload": _reload,
    "upgrade": _upgrade,
    "scale": _scale,
    "reopen-logs": _reopen_logs,
}


PUSHES = connections.PUSHES
CHANGES = frozenset({*COMMANDS, *connections.COMMANDS}) - PUSHES - {"status", "conns", "conn"}


def run(server: Server, request: Request) -> Reply | Pending:
    """Carry out a request; ValueError when it cannot be done."""
    name = request["do"]
    if name in COMMANDS:
        return COMMANDS[name](server, request)
    if name in connections.COMMANDS:
        return connections.COMMANDS[name](server, request)
    names = ", ".join([*COMMANDS, *connections.COMMANDS])
    raise ValueError(f"unknown command {name!r:.60}; there are {names}")
