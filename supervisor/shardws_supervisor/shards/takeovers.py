"""Takeovers: a shard hands its connections to another one and then ends, without cutting them.

Owns the steps of each takeover and which process serves the connections of which incarnation
(`ShardProcess.adopted`). The order:

    TAKEOVER to the source    it stops accepting and hands over what can move to the target
    MOVED from the source     the target serves its incarnations: all shards hear so by PEERS
    SWITCHED from the source  nobody sends to the source for them any more; now it drains the rest

Every step has a deadline, and whatever fails (the source or the target dies, a step is late) the
source drains what it still has, as it would without a takeover.
"""

import json
import logging
from collections import Counter
from dataclasses import dataclass
from typing import Any, Final, Protocol

from shardws.census import Census
from shardws.log import logger
from shardws.routing.identity import incarnation
from shardws.wire import messages
from shardws_supervisor.plan.plan import Plan
from shardws_supervisor.shards.slots import ShardProcess, State

MOVE_SECONDS: Final = 10.0  # for connections that are busy: those at rest move within one or two
MOVE_GRACE: Final = 5.0  # for the report
SWITCH_SECONDS: Final = 5.0

log = logger("supervisor.shards")


class Owner(Protocol):
    """What takeovers need of the shards."""

    def tell(self, process: ShardProcess, kind: int, *fields: Any) -> None: ...
    def announce(self) -> None: ...
    def stops_accepting(self, process: ShardProcess) -> None: ...
    def drain_rest(self, process: ShardProcess, plan: Plan, now: float) -> None: ...


@dataclass(slots=True, eq=False)
class Takeover:
    """One that is under way."""

    source: ShardProcess
    target: ShardProcess
    cause: str  # reload, scale or upgrade: what the application is told
    plan: Plan
    ends: float  # monotonic seconds: the deadline of the current step
    is_moved: bool = False


@dataclass(frozen=True, slots=True)
class KeptCounts:
    """What takeovers have counted, kept over an exec."""

    count: int
    moved: int
    unmoved: dict[str, int]


class Takeovers:
    """All takeovers of a server; times are monotonic seconds."""

    def __init__(self, owner: Owner, census: Census) -> None:
        self._owner = owner
        self._census = census
        self._current: dict[int, Takeover] = {}  # by the source's pid
        self._waiting: dict[int, Takeover] = {}  # for another one that has a process in common
        self.count = 0
        self.moved_connections = 0
        self.unmoved: Counter[str] = Counter()  # connections that could not move, by reason

    @property
    def is_idle(self) -> bool:
        """Whether none is under way or waits."""
        return not self._current and not self._waiting

    def keep(self) -> KeptCounts:
        """Return what `adopt` needs; it has to be idle."""
        return KeptCounts(self.count, self.moved_connections, dict(self.unmoved))

    def adopt(self, kept: KeptCounts) -> None:
        """Go on counting after an exec."""
        self.count, self.moved_connections = kept.count, kept.moved
        self.unmoved = Counter(kept.unmoved)

    def begin(
        self, source: ShardProcess, target: ShardProcess, cause: str, plan: Plan, now: float
    ) -> None:
        """Have a ready shard hand over its connections to another ready one.

        It waits while the source is still given connections; a target that itself hands over
        names the one to give to.
        """
        target = self._last(target)
        if source.pid not in self._current and source.pid not in self._waiting:
            self._waiting[source.pid] = Takeover(source, target, cause, plan, now)
            self._start_waiting(now)

    def _start_waiting(self, now: float) -> None:
        for takeover in list(self._waiting.values()):
            source = takeover.source
            target = takeover.target = self._last(takeover.target)
            if source.state is not State.READY:
                del self._waiting[source.pid]
            elif target.state is not State.READY:
                del self._waiting[source.pid]
                self._owner.drain_rest(source, takeover.plan, now)
            elif not self._is_blocked(takeover):
                del self._waiting[source.pid]
                self._start(takeover, now)

    def _is_blocked(self, takeover: Takeover) -> bool:
        """Whether one of the two is still given connections: one source at a time."""
        targets = {other.target.pid for other in self._current.values()}
        return bool(targets & {takeover.source.pid, takeover.target.pid})

    def _last(self, target: ShardProcess) -> ShardProcess:
        while target.pid in self._current:
            target = self._current[target.pid].target
        return target

    def _start(self, takeover: Takeover, now: float) -> None:
        source, target = takeover.source, takeover.target
        self.count += 1
        source.is_expected_to_end = True
        source.move(State.MOVING, now)
        self._owner.stops_accepting(source)
        takeover.ends = now + MOVE_SECONDS + MOVE_GRACE
        self._current[source.pid] = takeover
        who = target.row, target.generation, target.pid
        deadline_ms = int(MOVE_SECONDS * 1000)
        self._owner.tell(source, messages.TAKEOVER, *who, deadline_ms, takeover.cause)

    def target_of(self, process: ShardProcess) -> ShardProcess | None:
        """Return where the connections of a process are going to."""
        takeover = self._current.get(process.pid)
        return None if takeover is None else takeover.target

    def moved(self, process: ShardProcess, body: bytes, now: float) -> None:
        """Take the source's report: its target serves its incarnations from now on."""
        takeover = self._current.get(process.pid)
        if takeover is None or takeover.is_moved:
            return
        takeover.is_moved = True
        takeover.ends = now + SWITCH_SECONDS
        if not self._note(takeover, json.loads(body)):
            self._finish(takeover, now)  # all of them are still to be found at the source
            return
        self._assign(takeover, has_moved=True)
        self._owner.announce()

    def _assign(self, takeover: Takeover, *, has_moved: bool) -> bool:
        """Have the target serve the incarnations of what it has taken; True if it has any."""
        source, target, node = takeover.source, takeover.target, takeover.plan.node
        left = incarnation(node, source.slot, source.generation)
        # Those without a living connection are over: their numbers may be used again.
        living = self._census.incarnations(target.row)
        if not has_moved and not living & (source.adopted | {left}):
            return False
        own = incarnation(node, target.slot, target.generation)
        target.adopted = frozenset((living | {left}) - {own})
        source.adopted = frozenset()
        return True

    def _note(self, takeover: Takeover, report: dict[str, Any]) -> int:
        """Count and log what was moved, and return how many."""
        moved, stayed = int(report["moved"]), Counter(dict(report["left"]))
        self.moved_connections += moved
        self.unmoved += stayed
        reasons = ", ".join(f"{count} {reason}" for reason, count in stayed.most_common())
        log.log(
            logging.INFO if moved or stayed else logging.DEBUG,
            "%s: %d connections moved to %s (pid %d)%s",
            takeover.source.name,
            moved,
            takeover.target.name,
            takeover.target.pid,
            f"; {stayed.total()} stayed, to be closed: {reasons}" if stayed else "",
        )
        return moved

    def switched(self, process: ShardProcess, now: float) -> None:
        """Nobody sends to the source for moved connections: it may drain what is left."""
        takeover = self._current.get(process.pid)
        if takeover is not None and takeover.is_moved:
            self._finish(takeover, now)

    def ended(self, process: ShardProcess, now: float) -> None:
        """A process is gone: what it was to hand over is lost, what it was to get stays."""
        takeover = self._current.pop(process.pid, None)
        if takeover is not None and not takeover.is_moved:
            self._assign(takeover, has_moved=False)  # PEERS follows the death of a process
        self._start_waiting(now)
        for takeover in list(self._current.values()):
            if takeover.target is process:
                log.warning("the successor of %s died during the takeover", takeover.source.name)
                self._finish(takeover, now)

    def expire(self, now: float) -> None:
        """Finish those that are late."""
        for takeover in list(self._current.values()):
            if now >= takeover.ends:
                source, step = takeover.source, "switched" if takeover.is_moved else "moved"
                log.warning("%s (pid %d) has not %s in time", source.name, source.pid, step)
                self._finish(takeover, now)
        self._start_waiting(now)

    def _finish(self, takeover: Takeover, now: float) -> None:
        del self._current[takeover.source.pid]
        is_unfinished = not takeover.is_moved and takeover.target.state is State.READY
        if is_unfinished and self._assign(takeover, has_moved=False):
            self._owner.announce()
        if takeover.source.state is State.MOVING:
            self._owner.drain_rest(takeover.source, takeover.plan, now)
        self._start_waiting(now)

    def ends(self) -> list[float]:
        """Return the deadlines of the steps under way."""
        return [takeover.ends for takeover in self._current.values()]

    def report(self) -> dict[str, Any]:
        """Return what the status report shows; keys as in the metrics table."""
        return {
            "takeovers": self.count,
            "moved_connections": self.moved_connections,
            "unmoved_connections": dict(self.unmoved),
        }


def is_served(node: int, slot: int, generation: int, processes: list[ShardProcess]) -> bool:
    """Tell whether connections of an incarnation live on in another process."""
    wanted = incarnation(node, slot, generation)
    return any(wanted in process.adopted for process in processes)
