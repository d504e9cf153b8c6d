"""The shards as processes: forked, listened to, watched, ended and reaped.

Owns the lives in the slots and what their messages mean; must not know why a shard is started or
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
from shardws.shard import process
from shardws.wire import messages
from shardws_supervisor import channel, spawn, tally
from shardws_supervisor.backoff import Backoff, Policy
from shardws_supervisor.channels import Channels
from shardws_supervisor.errands import Errands
from shardws_supervisor.estates import Estates
from shardws_supervisor.handoff import Handoff
from shardws_supervisor.listeners import Listening
from shardws_supervisor.plan import Plan
from shardws_supervisor.slots import Life, Slot, SlotTable, State
from shardws_supervisor.watching import STOP_DEADLINE, Watching, send

DRAIN_GRACE = 5.0  # seconds beyond the shard's own drain deadline, as STOP_DEADLINE
LISTEN_PATIENCE = 1.0  # seconds that clients may wait at a slot for the next shard
FORK_PAUSE = 1.0  # seconds until a fork that failed is tried again

log = logger("supervisor.shards")


class Observer(Protocol):
    """Who is told of the lives of shards."""

    def shard_ready(self, life: Life) -> None: ...
    def shard_leaving(self, life: Life) -> None: ...
    def stop_wanted(self, life: Life) -> None: ...
    def shard_ended(self, life: Life, reason: str) -> None: ...


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
        foreign: Callable[[], Iterable[spawn.Closeable]],
    ) -> None:
        self.table = SlotTable()
        self._observer = observer
        self._listeners = listeners
        self._handoff = handoff
        self._memory = memory
        self._boot_nonce = boot_nonce
        self._run_directory = run_directory
        self._effective = effective  # settings as they turned out to be
        self._foreign = foreign  # the supervisor's other descriptors
        self._channels = Channels(selector, self._understand)
        self.errands = Errands(self._channels.tell)
        self._estates = Estates(census, self._channels.tell)
        self._is_ending = False
        self._node = 0
        self._watching = Watching(memory)

    @property
    def is_serving(self) -> bool:
        """Whether somebody accepts connections, and somebody takes them."""
        is_accepting = self._handoff is None or bool(self._handoff.pid)
        return is_accepting and bool(self.table.lives(State.READY))

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
        """Give a slot up that nobody lives in; ValueError while somebody does."""
        self.table.remove(index)
        self._estates.settle(self.table, is_ending=self._is_ending)

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
        self._estates.settle(self.table, is_ending=True)  # before the heirs are told to drain

    # Starting

    def start(self, slot: Slot, plan: Plan, now: float) -> Life | None:
        """Fork a life into the slot; None while both of its rows are in use.

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
        context = process.ShardContext(
            slot=slot.index,
            generation=generation,
            node=plan.node,
            boot_nonce=self._boot_nonce,
            stats=self._memory,
            census=self._estates.census,
            listener=self._listeners.add(slot.index),
            way=way,
            port=self._listeners.address.port,
            channel=theirs,
            run_directory=self._run_directory,
            overrides=[*plan.overrides, *self._effective],
            site=plan.site,
        )
        try:
            pid = spawn.fork(
                lambda: process.run(plan.load, context),
                name=f"shardws-{slot.index}",
                foreign=[*self._foreign_to(slot.index), ours],
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
        life = slot.begin(generation, pid, now, now + plan.start_timeout)
        tally.begun(self._memory, life, is_first=is_first)
        self._channels.open(life, ours)
        self._watching.begin(life, plan.heartbeat_timeout, now)
        log.debug("shard %d: generation %d has pid %d", slot.index, generation, pid)
        return life

    def _foreign_to(self, slot: int) -> list[spawn.Closeable]:
        """Return the descriptors a new shard of that slot must not keep."""
        return [*self._foreign(), *self.foreign(slot)]

    def foreign(self, slot: int = -1) -> list[spawn.Closeable]:
        """Return the descriptors of this room that the shard of a slot, or no shard, may have."""
        ways = self._handoff.foreign() if self._handoff else []
        return [*self._channels.all(), *self._listeners.others(slot), *ways]

    # Listening to them

    def _understand(self, life: Life, kind: int, fields: list[Any]) -> None:
        if kind == messages.HELLO:
            life.is_meshed = True
            self.announce()
        elif kind == messages.READY and life.state is State.STARTING:
            life.move(State.READY, life.since)
            if self._handoff:
                self._handoff.add(life)
            self._estates.settle(self.table, is_ending=self._is_ending)
            self._observer.shard_ready(life)
        elif kind == messages.FAILED:
            life.complaint = str(fields[0])
        elif kind == messages.REPLY:
            self.errands.replied(life, *fields)
        elif kind == messages.LEAVING and life.state is State.READY and not life.is_leaving:
            life.is_leaving = True
            self._observer.shard_leaving(life)
        elif kind == messages.SHUTDOWN:
            self._observer.stop_wanted(life)

    def announce(self) -> None:
        """Tell every shard who is in the mesh now."""
        peers = self.table.peers()
        for life in self.table.lives():
            if life.is_meshed:
                self._channels.tell(life, messages.PEERS, peers)

    # Ending

    def _take_no_more(self, life: Life) -> None:
        """Have no more connections handed to a shard."""
        if self._handoff:
            self._handoff.drop(life.row)

    def drain(self, life: Life, code: int, plan: Plan, now: float) -> None:
        """Have a shard close its clients with `code` at the plan's rate, then end."""
        self._take_no_more(life)
        if life.state is State.STARTING:
            self.stop(life, now)
        elif life.state is State.READY:
            life.is_expected_to_end = True
            life.move(State.DRAINING, now, now + plan.drain_deadline + DRAIN_GRACE)
            deadline_ms = int(plan.drain_deadline * 1000)
            self._channels.tell(life, messages.DRAIN, code, plan.drain_rate, deadline_ms)

    def stop(self, life: Life, now: float) -> None:
        """Have a shard end at once; what does not within STOP_DEADLINE is killed."""
        self._take_no_more(life)
        if life.state is not State.STOPPING:
            life.is_expected_to_end = True
            life.move(State.STOPPING, now, now + STOP_DEADLINE)
            self._channels.tell(life, messages.STOP, True)

    def kill_all(self) -> None:
        """End every shard by force; they are reaped as always."""
        for life in self.table.lives():
            send(life, signal.SIGKILL)

    def leave(self) -> None:
        """Let go of all; some shards are left only after an error of our own."""
        self.kill_all()
        self._estates.close()

    def reap(self, now: float) -> None:
        """Take note of every shard that has ended."""
        for life in self.table.lives():
            pid, status, usage = os.wait4(life.pid, os.WNOHANG)
            if pid:
                tally.ended(self._memory, life, status, usage)
                self._bury(life, status, now)

    def _bury(self, life: Life, status: int, now: float) -> None:
        for kind, *fields in self._channels.close(life):
            if kind == messages.FAILED:
                life.complaint = str(fields[0])
        self._watching.end(life)
        self.table[life.slot].end(life, now)
        self._estates.ended(life, self._node)
        self._memory.clear_gauges(life.row)
        self.errands.ended(life)
        self._take_no_more(life)
        reason = spawn.ending(status)
        if life.complaint:
            reason += f": {life.complaint}"
        self.announce()
        self._observer.shard_ended(life, reason)
        self._estates.settle(self.table, is_ending=self._is_ending)

    # Watching

    def check(self, now: float) -> None:
        """Kill what is late, abort what has stopped turning its loop."""
        self.errands.expire(now)
        for life in self.table.lives():
            self._watching.look(life, now)
