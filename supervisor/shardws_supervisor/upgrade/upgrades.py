"""The upgrade: the supervisor executes a new version of itself, which keeps everything.

Owns the sequence. The rehearsal comes first, so what cannot work is refused while nothing has
changed; then control clients get their replies; then the state is written and the program executed.
The new version takes on the state (supervisor.py) and reloads the shards, which completes it.
"""

import enum
import logging
import os
import selectors
import sys
from typing import Any, Final, Protocol

from shardws.errors import ShardwsError
from shardws.log import logger
from shardws_supervisor.control.server import ControlServer
from shardws_supervisor.plan.plan import Plan
from shardws_supervisor.reload.reload import Reloads
from shardws_supervisor.shards.shard_requests import ShardRequests
from shardws_supervisor.shards.takeovers import Takeovers
from shardws_supervisor.system import spawn, versions
from shardws_supervisor.system.kept import descriptors
from shardws_supervisor.system.log_formats import BLOCK
from shardws_supervisor.system.signals import Signals
from shardws_supervisor.upgrade import image, state
from shardws_supervisor.upgrade.outcome import Kind, UpgradeOutcome
from shardws_supervisor.upgrade.rehearsal import Rehearsal, RehearsalError, Versions

GRACE: Final = 5.0  # seconds beyond StartTimeout for a rehearsal
QUIET_SECONDS: Final = 6.0  # for replies of shards under way, which take 5 s at most

log = logger("supervisor.upgrade")


class Owner(Protocol):
    """What an upgrade needs of the supervisor."""

    plan: Plan
    reloads: Reloads
    control: ControlServer
    signals: Signals

    @property
    def shard_requests(self) -> ShardRequests: ...
    @property
    def takeovers(self) -> Takeovers: ...
    def fds_to_close(self) -> list[spawn.Closeable]: ...
    def keep(self) -> state.ServerState: ...
    def reload(self) -> str: ...


class Step(enum.Enum):
    """Where an upgrade stands."""

    NONE = "none"
    REHEARSING = "rehearsing"
    QUIETING = "quieting"  # no control request is begun
    RELOADING = "reloading"  # in the new version


class Upgrades:
    """The upgrades of a server, one at a time."""

    def __init__(
        self, owner: Owner, selector: selectors.BaseSelector, program: image.Image | None
    ) -> None:
        self.count = 0  # how many were begun
        self.outcome: UpgradeOutcome | None = None  # of the last one that ended
        self._owner = owner
        self._selector = selector
        self._program = program
        self._step = Step.NONE
        self._rehearsal: Rehearsal | None = None
        self._quiet_by = 0.0
        self._before = self._running = _running()
        self._is_reload_due = False

    @property
    def is_running(self) -> bool:
        return self._step is not Step.NONE

    @property
    def is_reloading(self) -> bool:
        """Whether the new version runs and only the reload is missing."""
        return self._step is Step.RELOADING

    @property
    def pids(self) -> set[int]:
        """The pid of a running rehearsal."""
        return {self._rehearsal.pid} if self._rehearsal else set()

    def keep(self) -> state.KeptUpgrade:
        """Return what `adopt` needs."""
        return state.KeptUpgrade(self.count, self._running.version, self._running.python)

    def adopt(self, kept: state.KeptUpgrade) -> None:
        """Go on with the upgrade in the new version."""
        self.count = kept.count
        self._before = Versions(kept.version, kept.python)
        self._step = Step.RELOADING
        log.info("shardws %s took over from %s", self._running.version, kept.version)

    def begin(self, now: float) -> str:
        """Start one; return why it cannot be started, or ""."""
        if self._program is None:
            return "no upgrade: the server was not started by the command `shardws run`"
        if self.is_running:
            return "an upgrade is already in progress"
        if self._owner.reloads.is_running:
            return "no upgrade during a reload"
        if not self._owner.takeovers.is_idle:
            return "no upgrade while connections move to another shard"
        self.count += 1
        self._step = Step.REHEARSING
        log.info("upgrading")
        try:
            self._rehearse(self._program, now)
        except (ShardwsError, OSError) as error:
            self._refuse(f"the new version cannot be tried: {error}")
        return ""

    def follow(self) -> None:
        """Reload when this one is over, unless it does: what a reload reads may have changed."""
        self._is_reload_due = self._step is not Step.RELOADING
        if not self._is_reload_due:
            self._owner.reloads.follow()

    def _rehearse(self, program: image.Image, now: float) -> None:
        document = state.encode(self._owner.keep())
        ends = now + self._owner.plan.start_timeout + GRACE
        rehearsal = Rehearsal(program, document, ends, self._owner.fds_to_close())
        self._selector.register(rehearsal, selectors.EVENT_READ, lambda: None)
        self._rehearsal = rehearsal

    def advance(self, now: float) -> None:
        """Continue the one in progress."""
        if self._rehearsal is not None:
            self._advance_rehearsal(self._rehearsal, now)
        if self._step is Step.QUIETING:
            self._advance_quieting(now)
        elif self._step is Step.RELOADING and not self._owner.reloads.is_running:
            self._finish()

    def _advance_rehearsal(self, rehearsal: Rehearsal, now: float) -> None:
        if not rehearsal.receive() and now < rehearsal.ends:
            return
        self._rehearsal = None
        self._selector.unregister(rehearsal)
        try:
            found = rehearsal.finish()
        except RehearsalError as error:
            if error.detail:
                log.debug("%s", error.description, extra={BLOCK: error.detail})
            self._refuse(error.description)
            return
        log.info("shardws %s on Python %s can take over", found.version, found.python)
        self._step = Step.QUIETING
        self._quiet_by = now + QUIET_SECONDS
        self._owner.control.pause()

    def _advance_quieting(self, now: float) -> None:
        are_settled = self._owner.control.is_quiet and self._owner.shard_requests.is_idle
        are_at_rest = self._owner.takeovers.is_idle and not self._owner.reloads.is_running
        if are_settled and are_at_rest:
            self._execute()
        elif now >= self._quiet_by and are_at_rest:
            self._owner.control.refuse_pending()
            self._execute()
        elif now >= self._quiet_by:
            self._refuse("connections are moving to another shard")

    def _execute(self) -> None:
        """Execute the new version. When this returns, that failed, and nothing has changed."""
        assert self._program is not None
        kept = self._owner.keep()
        try:
            document = image.document_of(state.encode(kept))
        except (ShardwsError, OSError) as error:
            self._refuse(f"the state cannot be written: {error}")
            return
        passed = [*descriptors(kept), document]
        log.debug("executing %s with %d descriptors", self._program.program[0], len(passed))
        sys.stdout.flush()
        sys.stderr.flush()
        self._owner.signals.hold()
        try:
            image.let_pass(passed)
            failure = self._program.execute(image.RUN, document, os.environ)
        except OSError as error:
            failure = error
        image.let_none_pass(passed)
        os.close(document)
        self._owner.signals.release()
        self._refuse(f"{self._program.program[0]} cannot be executed: {failure.strerror}")

    def _finish(self) -> None:
        reloaded = self._owner.reloads.outcome
        kind = Kind.DONE if reloaded is not None and reloaded.is_success else Kind.FAILED
        self._end(UpgradeOutcome(kind, self._before, self._running, str(reloaded)))

    def _refuse(self, reason: str) -> None:
        if self._step is Step.QUIETING:
            self._step = Step.NONE
            self._owner.control.resume()
        self._end(UpgradeOutcome(Kind.REFUSED, self._running, self._running, reason))
        if self._is_reload_due:
            self._is_reload_due = False
            self._owner.reload()

    def _end(self, outcome: UpgradeOutcome) -> None:
        self._step = Step.NONE
        self.outcome = outcome
        log.log(logging.INFO if outcome.is_success else logging.ERROR, "%s", outcome)

    def cancel(self) -> None:
        """Cancel it: the server stops."""
        if self._rehearsal is not None:
            self._selector.unregister(self._rehearsal)
            self._rehearsal.abandon()
            self._rehearsal = None
        if self._step is Step.QUIETING:
            self._owner.control.resume()
        if self.is_running:
            running = self._before, self._running
            self._end(UpgradeOutcome(Kind.CANCELLED, *running, "the server stops"))

    def report(self) -> dict[str, Any]:
        """Return what the status report shows."""
        return {
            "upgrades": self.count,
            "upgrade_outcome": str(self.outcome) if self.outcome else "",
            "last_upgrade": self.outcome.report() if self.outcome else None,
        }


def _running() -> Versions:
    mine = versions.report()
    return Versions(mine["version"], mine["python"])
