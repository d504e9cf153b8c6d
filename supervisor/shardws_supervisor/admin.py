"""The admin child: health, metrics and status over HTTP, for operators and their machines.

Owns the paths and who may ask; gets everything it shows from the control socket, so it may die at
any moment and nothing is lost. It has no listener on the public port and changes nothing.

    /livez    200 while the supervisor answers      no token, no data: for probes
    /readyz   200 when new clients should come here, 503 before, while draining, and after
    /status   the report of `shardws status --json`
    /metrics  the same for Prometheus

Without a token it must be bound to loopback (settings/pairs.py sees to that), and then only
requests that name a loopback host are answered: a page of the web cannot read it by giving its own
name our address (DNS rebinding).
"""

import asyncio
import hmac
import json
import signal
import socket
from pathlib import Path
from typing import Any, Final

from shardws_supervisor import http, metrics, rundir

DEADLINE: Final = 5.0  # seconds the supervisor has for an answer
LONGEST_REPLY: Final = 8 << 20
LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})


class Unanswered(Exception):
    """The supervisor did not answer."""


async def ask(run_directory: Path, do: str) -> dict[str, Any]:
    """Ask the supervisor one thing; Unanswered when it does not answer in time."""
    try:
        async with asyncio.timeout(DEADLINE):
            reader, writer = await asyncio.open_unix_connection(
                run_directory / rundir.CONTROL_SOCKET, limit=LONGEST_REPLY
            )
            try:
                writer.write(json.dumps({"do": do}).encode() + b"\n")
                reply: dict[str, Any] = json.loads(await reader.readline())
            finally:
                writer.close()
    except (OSError, ValueError) as error:
        raise Unanswered(str(error)) from None
    return reply


class Admin:
    """Answers requests."""

    def __init__(self, run_directory: Path, token: str) -> None:
        self._run_directory = run_directory
        self._token = token

    async def handle(self, request: http.Request) -> http.Response:
        """Route a request (http.Handler)."""
        probes = {"/livez": self._livez, "/readyz": self._readyz}
        pages = {"/status": self._status, "/metrics": self._metrics}
        if request.path in probes:
            return await probes[request.path]()
        refusal = self._refusal(request)
        if refusal:
            return refusal
        page = pages.get(request.path)
        if page is None:
            paths = ", ".join([*probes, *pages])
            return http.Response(f"there are {paths}\n".encode(), status=404)
        try:
            return await page()
        except Unanswered:
            return http.Response(b"the supervisor does not answer\n", status=503)

    def _refusal(self, request: http.Request) -> http.Response | None:
        """Return the answer to somebody who may not ask, None for who may."""
        if not self._token:
            host = request.headers.get("host", "").lower()
            name = host if host.endswith("]") else host.rpartition(":")[0] or host
            if name in LOOPBACK_NAMES:
                return None
            return http.Response(b"this host name is not served\n", status=403)
        given = request.headers.get("authorization", "").encode()
        if hmac.compare_digest(given, b"Bearer " + self._token.encode()):
            return None
        challenge = {"WWW-Authenticate": 'Bearer realm="shardws"'}
        return http.Response(b"a token is needed\n", status=401, headers=challenge)

    async def _livez(self) -> http.Response:
        try:
            await ask(self._run_directory, "status")
        except Unanswered:
            return http.Response(b"the supervisor does not answer\n", status=503)
        return http.Response(b"ok\n")

    async def _readyz(self) -> http.Response:
        try:
            report = await ask(self._run_directory, "status")
        except Unanswered:
            return http.Response(b"the supervisor does not answer\n", status=503)
        text = "ok" if report["ready"] else report["phase"]
        return http.Response(f"{text}\n".encode(), status=200 if report["ready"] else 503)

    async def _status(self) -> http.Response:
        report = await ask(self._run_directory, "status")
        return http.Response(json.dumps(report).encode() + b"\n", "application/json")

    async def _metrics(self) -> http.Response:
        report = await ask(self._run_directory, "status")
        return http.Response(metrics.exposition(report), metrics.CONTENT_TYPE)


def run(listener: socket.socket, run_directory: Path, token: str) -> int:
    """Be the admin child until killed; `listener` is bound and owned by the supervisor.

    A TERM for the whole process group (systemd, timeout) must not end it: while the shards drain,
    /readyz says so.
    """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    asyncio.run(_serve(listener, Admin(run_directory, token)))
    return 0


async def _serve(listener: socket.socket, admin: Admin) -> None:
    server = await asyncio.start_server(
        http.Server(admin.handle).serve, sock=listener, limit=http.LONGEST_HEAD
    )
    async with server:
        await server.serve_forever()
