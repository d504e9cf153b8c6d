"""The shards as processes: forked, listened to, watched, ended and reaped.

Owns the processes in the slots and what their messages mean; must not know why a shard is started or
stopped (supervisor.py, rolling.py). What happens is told to an `Observer`. Every wait has a
deadline: STARTING StartTimeout, DRAINING the drain deadline and some, STOPPING STOP_DEADLINE; what
is late is killed. Only pids of this table are reaped.
"""

import os
import random
import selectors
import signal
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from shardws import ids, stats
from shardws.census import Census
from shardws.log import logger
from shardws.settings import Source
from shardws.shard import process as shard_process
from shardws.wire import messages
from shardws_supervisor.listening.handoff import Handoff
from shardws_supervisor.listening.listeners import Listening
from shardws_supervisor.plan.plan import Plan
from shardws_supervisor.shards import accounting, channel
from shardws_supervisor.shards.channels import Channels
from shardws_supervisor.shards.lost_connections import LostConnections
from shardws_supervisor.shards.shard_requests import ShardRequests
from shardws_supervisor.shards.slots import ShardProcess, Slot, SlotTable, State
from shardws_supervisor.shards.watchdog import STOP_DEADLINE, Watchdog, send
from shardws_supervisor.system import spawn
from shardws_supervisor.system.backoff import Backoff, Policy

DRAIN_GRACE = 5.0  # seconds beyond the shard's own drain deadline, as STOP_DEADLINE
LISTEN_PATIENCE = 1.0  # seconds that clients may wait at a slot for the next shard
FORK_PAUSE = 1.0  # seconds until a fork that failed is tried again

log = logger("supervisor.shards")


class Observer(Protocol):
    """Who is told of the processes of shards."""

    def shard_ready(self, process: ShardProcess) -> None: ...
    def shard_leaving(self, process: ShardProcess) -> None: ...
    def stop_wanted(self, process: ShardProcess) -> None: ...
    def shard_ended(self, process: ShardProcess, reason: str) -> None: ...


class Shards:
    """See the module docstring; `table` may be read by everybody."""

    def __init__(
        self,
        observer: Observer,
        selector: selectors.BaseSelector,
        listeners: Listening,
        handoff: Handoff | None,
        memory: stats.Stats,
        census: Census,
        boot_nonce: str,
        run_directory: str,
        effective: Sequence[tuple[str, object, Source]],
        fds_to_close: Callable[[], Iterable[spawn.Closeable]],
    ) -> None:
        self.table = SlotTable()
        self._observer = observer
        self._listeners = listeners
        self._handoff = handoff
        self._memory = memory
        self._boot_nonce = boot_nonce
        self._run_directory = run_directory
        self._effective = effective  # settings as they turned out to be
        self._fds_to_close = fds_to_close  # the supervisor's other descriptors
        self._channels = Channels(selector, self._understand)
        self.shard_requests = ShardRequests(self._channels.tell)
        self.lost_connections = LostConnections(census, self._channels.tell)
        self._is_ending = False
        self._node = 0
        self._watchdog = Watchdog(memory)

    @property
    def is_serving(self) -> bool:
        """Whether somebody accepts connections, and somebody takes them."""
        is_accepting = self._handoff is None or bool(self._handoff.pid)
        return is_accepting and bool(self.table.processes(State.READY))

    def add_slot(self, index: int, policy: Policy) -> Slot:
        """Take a slot into use: bind its socket; StartError when that fails."""
        self._listeners.add(index)
        slot = Slot(index, Backoff(policy, random.random))
        self.table.add(slot)
        return slot

    def retire_slot(self, index: int) -> None:
        """Begin to give a slot up: the kernel sends no new connection its way from now on."""
        self.table[index].is_retiring = True
        self._listeners.remove(index)

    def remove_slot(self, index: int) -> None:
        """Give a slot up that nobody processes in; ValueError while somebody does."""
        self.table.remove(index)
        self.lost_connections.settle(self.table, is_ending=self._is_ending)

    def rest(self, slot: Slot, now: float) -> None:
        """Let no client wait at a slot that will not serve soon."""
        if slot.rests_until(now) > LISTEN_PATIENCE:
            self._listeners.renew(slot.index)

    def close_port(self) -> None:
        """Begin to end: refuse connects, as soon as the shards have closed their sockets too."""
        self._listeners.close()
        if self._handoff:
            self._handoff.end()
        self._is_ending = True
        self.lost_connections.settle(
            self.table, is_ending=True
        )  # before the heirs are told to drain

    # Starting

    def start(self, slot: Slot, plan: Plan, now: float) -> ShardProcess | None:
        """Fork a process into the slot; None while both of its rows are in use.

        None also when the system has no process for it: then the slot rests for FORK_PAUSE.
        """
        generation = slot.next_generation()
        if generation is None:
            return None
        self._node = plan.node
        row = ids.row_of(slot.index, generation)
        self._memory.clear_gauges(row)
        ours, theirs = channel.pair()
        way = self._handoff.open(row) if self._handoff else None
        context = shard_process.ForkContext(
            slot=slot.index,
            generation=generation,
            node=plan.node,
            boot_nonce=self._boot_nonce,
            stats=self._memory,
            census=self.lost_connections.census,
            listener=self._listeners.add(slot.index),
            way=way,
            port=self._listeners.address.port,
            channel=theirs,
            run_directory=self._run_directory,
            overrides=[*plan.overrides, *self._effective],
            certificates=plan.site,
        )
        try:
            pid = spawn.fork(
                lambda: shard_process.run(plan.load, context),
                name=f"shardws-{slot.index}",
                fds_to_close=[*self._foreign_to(slot.index), ours],
                is_group=True,
            )
        except OSError as error:
            ours.close()
            log.error("shard %d cannot be forked: %s", slot.index, error.strerror)
            slot.pause(now + FORK_PAUSE)
            return None
        finally:
            theirs.close()
            if way is not None:
                way.close()
        is_first = slot.generation < 0
        process = slot.begin(generation, pid, now, now + plan.start_timeout)
        accounting.begun(self._memory, process, is_first=is_first)
        self._channels.open(process, ours)
        self._watchdog.begin(process, plan.heartbeat_timeout, now)
        log.debug("shard %d: generation %d has pid %d", slot.index, generation, pid)
        return process

    def _foreign_to(self, slot: int) -> list[spawn.Closeable]:
        """Return the descriptors a new shard of that slot must not keep."""
        return [*self._fds_to_close(), *self.fds_to_close(slot)]

    def fds_to_close(self, slot: int = -1) -> list[spawn.Closeable]:
        """Return the descriptors of this room that the shard of a slot, or no shard, may have."""
        ways = self._handoff.fds_to_close() if self._handoff else []
        return [*self._channels.all(), *self._listeners.others(slot), *ways]

    # Listening to them

    def _understand(self, process: ShardProcess, kind: int, fields: list[Any]) -> None:
        if kind == messages.HELLO:
            process.is_meshed = True
            self.announce()
        elif kind == messages.READY and process.state is State.STARTING:
            process.move(State.READY, process.since)
            if self._handoff:
                self._handoff.add(process.row)
            self.lost_connections.settle(self.table, is_ending=self._is_ending)
            self._observer.shard_ready(process)
        elif kind == messages.FAILED:
            process.complaint = str(fields[0])
        elif kind == messages.REPLY:
            self.shard_requests.replied(process, *fields)
        elif kind == messages.LEAVING and process.state is State.READY and not process.is_leaving:
            process.is_leaving = True
            self._observer.shard_leaving(process)
        elif kind == messages.SHUTDOWN:
            self._observer.stop_wanted(process)

    def announce(self) -> None:
        """Tell every shard who is in the mesh now."""
        peers = self.table.peers()
        for process in self.table.processes():
            if process.is_meshed:
                self._channels.tell(process, messages.PEERS, peers)

    # Ending

    def _take_no_more(self, process: ShardProcess) -> None:
        """Have no more connections handed to a shard."""
        if self._handoff:
            self._handoff.drop(process.row)

    def drain(self, process: ShardProcess, code: int, plan: Plan, now: float) -> None:
        """Have a shard close its clients with `code` at the plan's rate, then end."""
        self._take_no_more(process)
        if process.state is State.STARTING:
            self.stop(process, now)
        elif process.state is State.READY:
            process.is_expected_to_end = True
            process.move(State.DRAINING, now, now + plan.drain_deadline + DRAIN_GRACE)
            deadline_ms = int(plan.drain_deadline * 1000)
            self._channels.tell(process, messages.DRAIN, code, plan.drain_rate, deadline_ms)

    def stop(self, process: ShardProcess, now: float) -> None:
        """Have a shard end at once; what does not within STOP_DEADLINE is killed."""
        self._take_no_more(process)
        if process.state is not State.STOPPING:
            process.is_expected_to_end = True
            process.move(State.STOPPING, now, now + STOP_DEADLINE)
            self._channels.tell(process, messages.STOP, True)

    def kill_all(self) -> None:
        """End every shard by force; they are reaped as always."""
        for process in self.table.processes():
            send(process, signal.SIGKILL)

    def leave(self) -> None:
        """Let go of all; some shards are left only after an error of our own."""
        self.kill_all()
        self.lost_connections.close()

    def reap(self, now: float) -> None:
        """Take note of every shard that has ended."""
        for process in self.table.processes():
            if os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                continue
            spawn.kill_group(process.pid)  # while the zombie keeps its number from being reused
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                accounting.ended(self._memory, process, status, usage)
                self._bury(process, status, now)

    def _bury(self, process: ShardProcess, status: int, now: float) -> None:
        for kind, *fields in self._channels.close(process):
            if kind == messages.FAILED:
                process.complaint = str(fields[0])
        self._watchdog.end(process)
        self.table[process.slot].end(process, now)
        self.lost_connections.ended(process, self._node)
        self._memory.clear_gauges(process.row)
        self.shard_requests.ended(process)
        self._take_no_more(process)
        process.exit_code = os.waitstatus_to_exitcode(status)
        reason = spawn.ending(status)
        if process.complaint:
            reason += f": {process.complaint}"
        self.announce()
        self._observer.shard_ended(process, reason)
        self.lost_connections.settle(self.table, is_ending=self._is_ending)

    # Watchdog

    def check(self, now: float) -> None:
        """Kill what is late, abort what has stopped turning its loop."""
        self.shard_requests.expire(now)
        for process in self.table.processes():
            self._watchdog.look(process, now)
