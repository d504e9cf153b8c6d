"""What the control socket can ask for: one function per command.

Owns the names and the checking of their arguments; the doing is the supervisor's.
"""

import os
import time
from collections.abc import Callable
from typing import Any, Protocol

from shardws import stats
from shardws_supervisor import certificates, connections, status, versions
from shardws_supervisor.aide import Aide
from shardws_supervisor.answers import Pending, Reply, Request
from shardws_supervisor.errands import Errands
from shardws_supervisor.ground import Ground
from shardws_supervisor.plan import Plan
from shardws_supervisor.reload import Reloads
from shardws_supervisor.slots import SlotTable
from shardws_supervisor.stopping import Level


class Server(Protocol):
    """What the commands need of the supervisor."""

    ground: Ground
    level: Level
    has_served: bool
    started: float
    reloads: Reloads
    plan: Plan
    aides: list[Aide]

    @property
    def table(self) -> SlotTable: ...
    @property
    def errands(self) -> Errands: ...
    @property
    def is_ready(self) -> bool: ...
    def stop(self, asked: Level) -> None: ...
    def reload(self) -> str: ...
    def scale(self, count: int) -> None: ...
    def reopen_logs(self) -> None: ...


def phase(server: Server) -> str:
    """Return in one word where the server stands."""
    if server.level:
        return "draining" if server.level is Level.GRACEFUL else "stopping"
    if server.reloads.is_running:
        return "reloading"
    return "serving" if server.has_served else "starting"


def summary(server: Server) -> str:
    """Return the same in a line, for `systemctl status`."""
    ground = server.ground
    connections = ground.memory.total(stats.CONNECTIONS)
    return f"{phase(server)} on {ground.url}: {len(server.table)} shards, {connections} connections"


def _status(server: Server, _request: Request) -> Reply:
    ground = server.ground
    return {
        "pid": os.getpid(),
        "url": ground.url,
        "phase": phase(server),
        "ready": server.is_ready,
        "uptime": round(time.monotonic() - server.started, 3),
        "run_directory": str(ground.run_directory.path),
        "max_connections": ground.max_connections,
        "memory_limit": ground.memory_limit,
        "reloads": server.reloads.count,
        "reload_outcome": server.reloads.outcome,
        "tls": certificates.report(server.plan.site, time.time()),
        "certificate_renewals": server.reloads.certificates.renewals,
        "aides": [aide.report(time.monotonic()) for aide in server.aides],
        **versions.report(),
        **status.report(server.table, ground.memory),
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


def _scale(server: Server, request: Request) -> Reply:
    count: Any = request.get("shards")
    if not isinstance(count, int) or isinstance(count, bool):
        raise ValueError("shards must be a whole number")
    if server.level or not server.has_served:
        raise ValueError("the server starts or stops")
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
    "scale": _scale,
    "reopen-logs": _reopen_logs,
}


PUSHES = connections.PUSHES


def run(server: Server, request: Request) -> Reply | Pending:
    """Do what a request asks; ValueError when it cannot be done."""
    name = request["do"]
    if name in COMMANDS:
        return COMMANDS[name](server, request)
    if name in connections.COMMANDS:
        return connections.COMMANDS[name](server, request)
    names = ", ".join([*COMMANDS, *connections.COMMANDS])
    raise ValueError(f"unknown command {name!r}; there are {names}")
