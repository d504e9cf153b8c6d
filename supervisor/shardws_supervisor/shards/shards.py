"""The shards as processes: forked, monitored, ended and reaped.

Owns the processes in the slots and the handling of their messages; why a shard is started or
stopped is decided above (supervisor.py, reload/rolling.py). An `Observer` is told what happens.
Every wait has a deadline: STARTING StartTimeout, DRAINING the drain deadline plus DRAIN_GRACE,
STOPPING STOP_DEADLINE; a process that misses it is killed. Only pids of this table are reaped.
"""

import os
import random
import selectors
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from shardws import ids, stats
from shardws.census import Census
from shardws.close_reasons import SERVER_RESTARTS, CloseReason
from shardws.log import logger
from shardws.settings import Source
from shardws.shard import process as shard_process
from shardws.wire import messages
from shardws_supervisor.listening.strategy import AcceptStrategy
from shardws_supervisor.plan.plan import Plan
from shardws_supervisor.shards import accounting, channel, kept_shards, takeovers
from shardws_supervisor.shards.channels import Channels
from shardws_supervisor.shards.keepers import Keepers
from shardws_supervisor.shards.kept_shards import KeptShards
from shardws_supervisor.shards.lost_connections import LostConnections
from shardws_supervisor.shards.shard_requests import ShardRequests
from shardws_supervisor.shards.slots import ShardProcess, Slot, SlotTable, State
from shardws_supervisor.shards.takeovers import Takeovers
from shardws_supervisor.shards.watchdog import STOP_DEADLINE, Watchdog, send
from shardws_supervisor.system import spawn
from shardws_supervisor.system.backoff import Backoff, Policy

DRAIN_GRACE = 5.0  # seconds beyond the shard's own drain deadline, as STOP_DEADLINE
LISTEN_PATIENCE = 1.0  # seconds that clients may wait in a slot's backlog for the next shard
START_FAILURES = (messages.FAILED, messages.NOT_IMPORTED)
FORK_PAUSE = 1.0  # seconds before a failed fork is retried

log = logger("supervisor.shards")


class Observer(Protocol):
    """Is told what happens to shard processes."""

    def shard_ready(self, process: ShardProcess) -> None: ...
    def shard_leaving(self, process: ShardProcess) -> None: ...
    def stop_wanted(self, process: ShardProcess) -> None: ...
    def shard_ended(self, process: ShardProcess, reason: str) -> None: ...


class Shards:
    """See the module docstring; anyone may read `table`."""

    def __init__(
        self,
        observer: Observer,
        selector: selectors.BaseSelector,
        accepting: AcceptStrategy,
        memory: stats.Stats,
        census: Census,
        boot_nonce: str,
        run_directory: str,
        effective: Sequence[tuple[str, object, Source]],
        fds_to_close: Callable[[], Iterable[spawn.Closeable]],
    ) -> None:
        self.table = SlotTable()
        self._observer = observer
        self._accepting = accepting
        self._memory = memory
        self._boot_nonce = boot_nonce
        self._run_directory = run_directory
        self._effective = effective  # settings resolved at boot, such as the port
        self._fds_to_close = fds_to_close  # the supervisor's other descriptors
        self._channels = Channels(selector, self._understand)
        self.shard_requests = ShardRequests(self._channels.tell)
        self.lost_connections = LostConnections(census, self._channels.tell)
        self.takeovers = Takeovers(self, census)
        self.keepers = Keepers()
        self._is_ending = False
        self._watchdog = Watchdog(memory)

    @property
    def is_serving(self) -> bool:
        """Whether connections are accepted and a shard is ready for them."""
        return self._accepting.is_accepting and bool(self.table.processes(State.READY))

    def add_slot(self, index: int, policy: Policy) -> Slot:
        """Add a slot; StartError when its socket cannot be bound."""
        self._accepting.add_slot(index)
        slot = Slot(index, Backoff(policy, random.random))
        self.table.add(slot)
        return slot

    def retire_slot(self, index: int) -> None:
        """Begin to remove a slot: it gets no new connections from now on."""
        self.table[index].is_retiring = True
        self._accepting.remove_slot(index)

    def remove_slot(self, index: int) -> None:
        """Remove a slot without processes; ValueError while it has one."""
        self.table.remove(index)
        self.lost_connections.settle(self.table, is_ending=self._is_ending)

    def rest(self, slot: Slot, now: float) -> None:
        """Keep clients from waiting in the backlog of a slot that will not serve soon."""
        if slot.rests_until(now) > LISTEN_PATIENCE:
            self._accepting.slot_rests(slot.index)

    def keep(self) -> KeptShards:
        """Return what `adopt` needs; no takeover may be under way."""
        slots = [kept_shards.of_slot(slot, self._channels.keep) for slot in self.table]
        return KeptShards(
            slots=slots,
            token=self.shard_requests.token,
            owed=self.lost_connections.keep(),
            keepers=self.keepers.keep(),
            takeovers=self.takeovers.keep(),
        )

    def adopt(self, kept: KeptShards, policy: Policy, plan: Plan, now: float) -> None:
        """Take on the slots and processes that this process had before an exec."""
        self.shard_requests.token = kept.token
        self.lost_connections.adopt(kept.owed)
        self.keepers.adopt(kept.keepers)
        self.takeovers.adopt(kept.takeovers)
        for one in kept.slots:
            slot = kept_shards.slot_of(one, Backoff(policy, random.random))
            self.table.add(slot)
            for process, its in zip(slot.processes, one.processes, strict=True):
                self._channels.adopt(process, its.channel)
                self._watchdog.begin(process, plan.heartbeat_timeout, now)

    def close_port(self) -> None:
        """Close the port: connects are refused once the shards have closed their sockets too."""
        self._accepting.close()
        self._is_ending = True
        # Before the shards that report them are told to drain.
        self.lost_connections.settle(self.table, is_ending=True)

    # Starting

    def start(self, slot: Slot, plan: Plan, now: float) -> ShardProcess | None:
        """Fork a process into the slot; None while both of its rows are in use.

        None also when fork fails: then the slot waits for FORK_PAUSE.
        """
        processes = self.table.processes()
        generation = slot.next_generation(
            lambda number: takeovers.is_served(plan.node, slot.index, number, processes)
        )
        if generation is None:
            return None
        row = ids.row_of(slot.index, generation)
        self._memory.clear_gauges(row)
        self.keepers.end(row)
        ours, theirs = channel.pair()
        try:
            with theirs, self._accepting.source(slot.index, row) as source:
                context = shard_process.ForkContext(
                    slot=slot.index,
                    generation=generation,
                    node=plan.node,
                    boot_nonce=self._boot_nonce,
                    stats=self._memory,
                    census=self.lost_connections.census,
                    source=source,
                    channel=theirs,
                    run_directory=self._run_directory,
                    overrides=[*plan.overrides, *self._effective],
                    certificates=plan.site,
                )
                pid = self._fork(slot.index, plan, context, ours)
        except OSError as error:
            ours.close()
            log.error("shard %d cannot be forked: %s", slot.index, error.strerror)
            slot.pause(now + FORK_PAUSE)
            return None
        is_first = slot.generation < 0
        process = slot.begin(generation, pid, now, now + plan.start_timeout)
        accounting.begun(self._memory, process, is_first=is_first)
        self._channels.open(process, ours)
        self._watchdog.begin(process, plan.heartbeat_timeout, now)
        log.debug("shard %d: generation %d has pid %d", slot.index, generation, pid)
        return process

    def _fork(
        self,
        slot: int,
        plan: Plan,
        context: shard_process.ForkContext,
        ours: channel.Channel,
    ) -> int:
        """Fork a shard and return its pid; OSError when fork fails."""
        return spawn.fork(
            lambda: shard_process.run(plan.load, context),
            name=f"shardws-{slot}",
            fds_to_close=[*self._fds_to_close(), *self.fds_to_close(slot), ours],
            is_group=True,
        )

    def fds_to_close(self, slot: int | None = None) -> list[spawn.Closeable]:
        """Return the descriptors that the shard of a slot, or any child for None, must close."""
        return [*self._channels.all(), *self._accepting.fds_to_close(slot)]

    # Messages from shards

    def _understand(self, process: ShardProcess, kind: int, fields: list[Any]) -> None:
        if kind == messages.HELLO:
            process.is_meshed = True
            self.announce()
        elif kind == messages.READY and process.state is State.STARTING:
            process.move(State.READY, process.since)
            self._accepting.shard_ready(process.row)
            self.lost_connections.settle(self.table, is_ending=self._is_ending)
            self._observer.shard_ready(process)
        elif kind in START_FAILURES:
            process.complaint = str(fields[0])
            process.lacks_code = kind == messages.NOT_IMPORTED
        elif kind == messages.REPLY:
            self.shard_requests.replied(process, *fields)
        elif kind == messages.KEEPER:
            self.keepers.begin(process, fields[0])
        elif kind == messages.MOVED:
            self.takeovers.moved(process, fields[0], time.monotonic())
        elif kind == messages.SWITCHED:
            self.takeovers.switched(process, time.monotonic())
        elif kind == messages.LEAVING and process.state is State.READY and not process.is_leaving:
            process.is_leaving = True
            self._observer.shard_leaving(process)
        elif kind == messages.SHUTDOWN:
            self._observer.stop_wanted(process)

    def announce(self) -> None:
        """Send every shard the current members of the mesh."""
        peers = self.table.peers()
        for process in self.table.processes():
            if process.is_meshed:
                self._channels.tell(process, messages.PEERS, peers)

    # Ending

    def hand_over(
        self, process: ShardProcess, target: ShardProcess | None, cause: str, plan: Plan, now: float
    ) -> None:
        """Have a shard end: its connections go to `target` where they can, the others are closed.

        `cause` is what the application of the target is told. Without a target, and with ReloadMode
        drain, all are closed.
        """
        can_move = plan.hands_over and target is not None and target.state is State.READY
        if can_move and process.state is State.READY:
            assert target is not None
            self.takeovers.begin(process, target, cause, plan, now)
        else:
            self.drain(process, SERVER_RESTARTS, plan, now)

    def least_loaded(self) -> ShardProcess | None:
        """Return the ready shard with the fewest connections, of the slots that stay."""
        ready = [
            process
            for process in self.table.processes(State.READY)
            if not self.table[process.slot].is_retiring
        ]
        rows = self._memory.row
        return min(ready, key=lambda one: rows(one.row)[stats.CONNECTIONS], default=None)

    def stops_accepting(self, process: ShardProcess) -> None:
        self._accepting.shard_leaves(process.row)

    def tell(self, process: ShardProcess, kind: int, *fields: Any) -> None:
        self._channels.tell(process, kind, *fields)

    def drain_rest(self, process: ShardProcess, plan: Plan, now: float) -> None:
        self.drain(process, SERVER_RESTARTS, plan, now)

    def drain(self, process: ShardProcess, reason: CloseReason, plan: Plan, now: float) -> None:
        """Have a shard close its connections for `reason` at the plan's rate, then end."""
        self._accepting.shard_leaves(process.row)
        if process.state is State.STARTING:
            self.stop(process, now)
        elif process.state in (State.READY, State.MOVING):
            process.is_expected_to_end = True
            process.move(State.DRAINING, now, now + plan.drain_deadline + DRAIN_GRACE)
            deadline_ms = int(plan.drain_deadline * 1000)
            fields = reason.number, plan.drain_rate, deadline_ms
            self._channels.tell(process, messages.DRAIN, *fields)

    def stop(self, process: ShardProcess, now: float) -> None:
        """Have a shard end at once; it is killed if it has not after STOP_DEADLINE."""
        self._accepting.shard_leaves(process.row)
        if process.state is not State.STOPPING:
            process.is_expected_to_end = True
            process.move(State.STOPPING, now, now + STOP_DEADLINE)
            self._channels.tell(process, messages.STOP, True)

    def kill_all(self) -> None:
        """Kill every shard; they are reaped as usual."""
        for process in self.table.processes():
            send(process, signal.SIGKILL)

    def leave(self) -> None:
        """Kill the remaining shards; there are some only after an internal error."""
        self.kill_all()
        self.keepers.end()
        self.lost_connections.close()

    def reap(self, now: float) -> None:
        """Reap every shard that has ended, and keepers."""
        self.keepers.advance(now)
        for process in self.table.processes():
            if os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                continue
            spawn.kill_group(process.pid)  # while the zombie keeps its pid from being reused
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                accounting.ended(self._memory, process, status, usage)
                self._bury(process, status, now)

    def _bury(self, process: ShardProcess, status: int, now: float) -> None:
        for kind, *fields in self._channels.close(process):
            if kind in (*START_FAILURES, messages.KEEPER):
                self._understand(process, kind, fields)
        self._watchdog.end(process)
        self.table[process.slot].end(process, now)
        self.lost_connections.ended(process, self.takeovers.target_of(process))
        self.takeovers.ended(process, now)
        self.keepers.shard_ended(process, now)
        self._memory.clear_gauges(process.row)
        self.shard_requests.ended(process)
        self._accepting.shard_leaves(process.row)
        process.exit_code = os.waitstatus_to_exitcode(status)
        reason = spawn.ending(status)
        if process.complaint:
            reason += f": {process.complaint}"
        self.announce()
        self._observer.shard_ended(process, reason)
        self.lost_connections.settle(self.table, is_ending=self._is_ending)

    # Watchdog

    def check(self, now: float) -> None:
        """Kill shards past their deadline, abort shards whose event loop is blocked."""
        self.shard_requests.expire(now)
        self.takeovers.expire(now)
        for process in self.table.processes():
            self._watchdog.look(process, now)
