"""A reload: the probe first, then slot by slot.

Owns the sequence; uses the supervisor as an `Owner`. A failure before the first successor is ready
leaves the server as it was: broken code or a bad setting is refused with its reason.
"""

import logging
import selectors
from dataclasses import dataclass
from typing import Protocol

from shardws.errors import ShardwsError
from shardws.log import logger
from shardws_supervisor.plan import plan as plans
from shardws_supervisor.plan.probe import Probe, ProbeError
from shardws_supervisor.reload import certificates
from shardws_supervisor.reload.outcome import Kind, ReloadOutcome
from shardws_supervisor.reload.rolling import Progress, Rolling
from shardws_supervisor.shards.shard_requests import ShardRequests
from shardws_supervisor.shards.slots import ShardProcess, Slot, SlotTable
from shardws_supervisor.shards.takeovers import Takeovers
from shardws_supervisor.system import spawn
from shardws_supervisor.system.log_formats import BLOCK

log = logger("supervisor.reload")


class Owner(Protocol):
    """What a reload needs of the supervisor; also a rolling.ShardStarter."""

    plan: plans.Plan
    planner: plans.Planner

    @property
    def table(self) -> SlotTable: ...
    @property
    def shard_requests(self) -> ShardRequests: ...
    @property
    def takeovers(self) -> Takeovers: ...
    def fds_to_close(self) -> list[spawn.Closeable]: ...
    def begin(self, slot: Slot) -> ShardProcess | None: ...
    def retire(self, process: ShardProcess, successor: ShardProcess) -> None: ...


class Reload:
    """One reload, from the probe to the last slot; `outcome` is None until it is over."""

    def __init__(self, owner: Owner, selector: selectors.BaseSelector) -> None:
        log.info("reloading")
        self.outcome: ReloadOutcome | None = None
        self._owner = owner
        self._selector = selector
        self._rolling: Rolling | None = None
        self._old_plan = owner.plan
        self._moved_before = self._moves()
        self._probe: Probe | None = None
        try:
            early = owner.planner.early()  # a bad file is refused before anything is forked
            # The application may have set StartTimeout itself, which the first plan knows.
            timeout = max(early.start_timeout, owner.plan.start_timeout)
            self._probe = Probe(early.load, timeout, owner.fds_to_close())
        except (ShardwsError, OSError) as error:
            self._refuse(str(error))
            return
        selector.register(self._probe, selectors.EVENT_READ, lambda: None)

    @property
    def pids(self) -> set[int]:
        return {self._probe.pid} if self._probe else set()

    def advance(self, now: float) -> bool:
        """Continue; True when the reload is over."""
        if self._probe is not None:
            self._advance_probe(self._probe, now)
        if self.outcome is None and self._rolling is not None:
            self._advance_shards(self._rolling)
        return self.outcome is not None

    def _advance_shards(self, rolling: Rolling) -> None:
        progress = rolling.advance(self._owner.table, self._owner)
        if progress is Progress.DONE:
            before, now = self._moved_before, self._moves()
            moved, unmoved = now[0] - before[0], now[1] - before[1]
            outcome = ReloadOutcome(Kind.DONE, rolling.replaced, moved=moved, unmoved=unmoved)
            self._end(outcome)
        elif progress is Progress.FAILED:
            assert rolling.failed is not None
            self._owner.plan = self._old_plan
            reason, slot = rolling.failed.complaint, rolling.failed.slot
            self._end(ReloadOutcome(Kind.FAILED, rolling.replaced, reason, slot))

    def _moves(self) -> tuple[int, int]:
        """Return how many connections of the server have moved, and how many could not."""
        takeovers = self._owner.takeovers
        return takeovers.moved_connections, takeovers.unmoved.total()

    def _advance_probe(self, probe: Probe, now: float) -> None:
        if not probe.receive() and not probe.is_late(now):
            return
        self._probe = None
        self._selector.unregister(probe)
        try:
            new = self._owner.planner.plan(probe.finish())
        except ProbeError as error:
            if error.detail:
                log.debug("%s", error.description, extra={BLOCK: error.detail})
            self._refuse(error.description)
            return
        except ShardwsError as error:
            self._refuse(error.description)
            return
        for name in plans.changed_at_boot_only(self._old_plan, new):
            log.warning("%s has changed, but only a restart of the server applies it", name)
        self._owner.plan = new
        self._rolling = Rolling(self._owner.table)

    def _refuse(self, reason: str) -> None:
        self._end(ReloadOutcome(Kind.REFUSED, reason=reason))

    def _end(self, outcome: ReloadOutcome) -> None:
        self.outcome = outcome
        log.log(logging.INFO if outcome.is_success else logging.ERROR, "%s", outcome)

    def cancel(self) -> None:
        """Cancel it: the server stops. Shards it started are ended with all others."""
        if self._probe is not None:
            self._selector.unregister(self._probe)
            self._probe.abandon()
            self._probe = None
        if self.outcome is None:
            replaced = self._rolling.replaced if self._rolling else 0
            self.outcome = ReloadOutcome(Kind.CANCELLED, replaced, "the server stops")
            log.info("%s", self.outcome)


@dataclass(frozen=True, slots=True)
class KeptReloads:
    """What became of reloads, kept over an exec."""

    count: int
    outcome: ReloadOutcome | None
    renewals: int  # of certificates


class Reloads:
    """The reloads of a server, one at a time."""

    def __init__(self, owner: Owner, selector: selectors.BaseSelector) -> None:
        self.count = 0  # how many were started
        self.outcome: ReloadOutcome | None = None  # the outcome of the last one that ended
        self.certificates = certificates.CertificateWatch(owner)
        self._owner = owner
        self._selector = selector
        self._current: Reload | None = None
        self._is_followed = False  # by another

    def keep(self) -> KeptReloads:
        """Return what `adopt` needs; none may be running."""
        return KeptReloads(self.count, self.outcome, self.certificates.renewals)

    def adopt(self, kept: KeptReloads) -> None:
        """Go on counting after an exec."""
        self.count, self.outcome = kept.count, kept.outcome
        self.certificates.renewals = kept.renewals

    @property
    def is_running(self) -> bool:
        return self._current is not None

    @property
    def pids(self) -> set[int]:
        """The pid of a running probe."""
        return self._current.pids if self._current else set()

    def begin(self) -> str:
        """Start one; return why it cannot be started, or ""."""
        if self._current is not None:
            return "a reload is already in progress"
        self.count += 1
        self._current = Reload(self._owner, self._selector)
        return ""

    def follow(self) -> None:
        """Start another when this one is over: what it reads may have changed meanwhile."""
        if not self._is_followed:
            log.info("a reload is already in progress; another follows")
        self._is_followed = True

    def advance(self, now: float) -> None:
        """Continue the one in progress; without one, check the certificates."""
        if self._current is None:
            self.certificates.advance(now)
        elif self._current.advance(now):
            self.outcome = self._current.outcome
            self._current = None
            if self._is_followed:
                self._is_followed = False
                self.begin()

    def cancel(self) -> None:
        """Cancel it: the server stops."""
        if self._current is not None:
            self._current.cancel()
            self.outcome = self._current.outcome
            self._current = None
