"""An auxiliary child, which is not a shard: kept running, replaced when it dies, ended last.

Owns its one process. The child dies with the supervisor (SIGKILL by the kernel). The server keeps
serving without it: its death costs a line in the log and a growing delay before the restart.
"""

import contextlib
import math
import os
import random
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from shardws.log import logger
from shardws_supervisor.system import spawn
from shardws_supervisor.system.backoff import Policy

POLICY = Policy(first=0.5, stable=30.0)
PATIENCE = 2.0  # seconds that a child has to end which is to be replaced

log = logger("supervisor.auxiliary")


@dataclass(frozen=True, slots=True)
class KeptChild:
    """An auxiliary, kept over an exec; times are monotonic seconds."""

    pid: int
    begun: int
    started: float
    due: float
    failures: int
    last_end: str


class Auxiliary:
    """One auxiliary child."""

    def __init__(
        self,
        name: str,
        body: Callable[[], int],
        fds_to_close: Callable[[], list[spawn.Closeable]],
        policy: Policy = POLICY,
        *,
        process_name: str = "",
    ) -> None:
        """`process_name` is shown by ps, truncated to 15 characters; default: prefixed `name`."""
        self.name = name
        self._process_name = process_name or f"shardws-{name}"
        self.pid = 0  # 0 while it is not running
        self.last_end = ""
        self._body = body
        self._fds_to_close = fds_to_close
        self._policy = policy
        self._failures = 0
        self._begun = 0  # processes
        self._started = 0.0
        self._due = 0.0
        self._must_end = 0.0  # by when; 0: it is not to be replaced

    def keep(self) -> KeptChild:
        """Return what `adopt` needs."""
        when = self._started, self._due
        return KeptChild(self.pid, self._begun, *when, self._failures, self.last_end)

    def adopt(self, kept: KeptChild, now: float) -> None:
        """Take on the child that this process had before an exec, and replace it.

        It runs the code of that time.
        """
        self.pid, self._begun = kept.pid, kept.begun
        self._started, self._due = kept.started, kept.due
        self._failures, self.last_end = kept.failures, kept.last_end
        if self.pid:
            self._must_end = now + PATIENCE
            self._ask_to_end()

    def _ask_to_end(self) -> None:
        """Have a child end that is to be replaced."""
        self.kill()

    def advance(self, now: float) -> None:
        """Reap it when it has ended, start it when it is due."""
        if self._must_end and now >= self._must_end:
            self.kill()
        if self.pid:
            self._reap(now)
        if not self.pid and now >= self._due:
            self._start(now)

    def _prepare(self) -> list[spawn.Closeable]:
        """Prepare for a new child; return additional descriptors that it must close."""
        return []

    def _forked(self) -> None:
        """A new child has been forked."""

    def _start(self, now: float) -> None:
        prepared = self._prepare()
        try:
            self.pid = spawn.fork(
                self._body,
                name=self._process_name,
                fds_to_close=[*self._fds_to_close(), *prepared],
            )
        except OSError as error:
            log.error("%s cannot be forked: %s", self.name, error.strerror)
            self._postpone(now)
        self._begun += bool(self.pid)
        self._started = now
        self._forked()

    def _reap(self, now: float) -> None:
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if not pid:
            return
        if self._must_end:
            log.debug("%s (pid %d) ended, to be replaced", self.name, self.pid)
            self.pid, self._must_end = 0, 0.0
            return
        self.last_end = spawn.ending(status)
        log.error("%s (pid %d) %s", self.name, self.pid, self.last_end)
        self.pid = 0
        if now - self._started >= self._policy.stable:
            self._failures = 0
        self._postpone(now)

    def _postpone(self, now: float) -> None:
        self._failures += 1
        self._due = now + self._policy.delay(self._failures, random.random())  # noqa: S311 - not a secret

    def report(self, now: float) -> dict[str, Any]:
        """Return its part of `status`; `now` is monotonic seconds."""
        return {
            "name": self.name,
            "pid": self.pid,
            "restarts": max(0, self._begun - 1),
            "last_end": self.last_end,
            "uptime": round(now - self._started, 3) if self.pid else 0.0,
        }

    def kill(self) -> None:
        """Kill the current child; a new one follows."""
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def end(self) -> None:
        """End it for good."""
        if self.pid:
            self.kill()
            os.waitpid(self.pid, 0)
            self.pid = 0
        self._due = math.inf
