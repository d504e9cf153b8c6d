"""The supervisor: one loop that decides which processes run.

Owns the phases of the server (starting, serving, stopping) and the reaction to a signal, an exit or
a command; shards/ carries it out, and reload/ has the steps of a reload. It has no threads and no
asyncio event loop, so that fork is safe, and never imports the application.

    TERM   stop gracefully; again: at once; again: by force     INT, QUIT   at once; again: by force
    HUP    reload; as TERM when the terminal was closed         TTIN, TTOU  one shard more, less
    USR1   reopen the log file                                  CHLD        a child ended
    USR2   upgrade: execute the new version of this program
"""

import selectors
import signal
import time
from typing import Final

from shardws.close_reasons import SERVER_STOPS
from shardws.errors import EXIT_CANNOT_START, EXIT_FAILED, EXIT_OK, EXIT_USAGE, StartError
from shardws.log import logger
from shardws_supervisor.admin import upkeep
from shardws_supervisor.control import commands
from shardws_supervisor.control.server import ControlServer
from shardws_supervisor.control.socket_watch import SocketWatch
from shardws_supervisor.plan import plan as plans
from shardws_supervisor.plan.plan import Plan, Planner, effective
from shardws_supervisor.reload.reload import Reloads
from shardws_supervisor.resources import Resources
from shardws_supervisor.shards import respawn
from shardws_supervisor.shards.scaling import Scaling
from shardws_supervisor.shards.shard_requests import ShardRequests
from shardws_supervisor.shards.shards import Shards
from shardws_supervisor.shards.slots import ShardProcess, Slot, SlotTable, State
from shardws_supervisor.shards.stopping import ASKED, Escalation, Level
from shardws_supervisor.shards.takeovers import Takeovers
from shardws_supervisor.system import init_reaper, spawn
from shardws_supervisor.system.auxiliary import Auxiliary
from shardws_supervisor.system.backoff import Policy
from shardws_supervisor.system.signals import Signals
from shardws_supervisor.system.terminal import Terminal
from shardws_supervisor.upgrade.image import Image
from shardws_supervisor.upgrade.state import ServerState
from shardws_supervisor.upgrade.upgrades import Upgrades

TICK: Final = 0.5  # seconds between two checks of the heartbeats
START_GRACE: Final = 1.0  # seconds beyond StartTimeout until the port must be listening
QUICK: Final = 0.02  # seconds between two polls of things that send no event

log = logger("supervisor")


class Supervisor:
    """See the module docstring."""

    def __init__(
        self,
        planner: Planner,
        plan: Plan,
        program: Image | None = None,
        kept: ServerState | None = None,
    ) -> None:
        """Acquire port, run directory and memory; StartError when one is not available.

        `program` is how to execute this program again. With `kept` nothing is acquired: it is the
        state that an older version of this program has left in this process.
        """
        self.planner = planner
        self.plan = plan
        self.level = Level.NONE
        self.has_served = kept is not None
        self.started = kept.started if kept else time.monotonic()
        if kept is None:
            self.resources = Resources(plan, self.fds_to_close)
        else:
            now = time.monotonic()
            self.resources = Resources.adopt(plan, kept.resources, self.fds_to_close, now)
        self._exit_code = EXIT_FAILED  # with a complaint
        self._complaint = ""
        self._drain_at: float | None = None
        self._escalation = Escalation()
        self.signals = Signals()
        self._terminal = Terminal()
        self._selector = selectors.DefaultSelector()
        self.reloads = Reloads(self, self._selector)
        self.upgrades = Upgrades(self, self._selector, program)
        self._shards = Shards(
            self,
            self._selector,
            self.resources.accepting,
            self.resources.memory,
            self.resources.census,
            self.resources.boot_nonce,
            str(self.resources.run_directory.path),
            effective(self.resources.max_connections),
            lambda: [*self._own_descriptors(), *self.resources.admin_listeners],
        )
        policy = Policy(attempts=plan.respawn_attempts)
        self._scaling = Scaling(self._shards, policy, self.resources.memory.slots)
        self.auxiliaries: list[Auxiliary] = [
            *self.resources.accepting.auxiliaries,
            *upkeep.auxiliaries(
                self.resources, plan, self.started, self.fds_to_close, kept.admin if kept else None
            ),
        ]
        self.control = ControlServer(
            self.resources.run_directory.control_path,
            self._selector,
            lambda request: commands.run(self, request),
            time.monotonic,
            commands.PUSHES,
            lambda: [auxiliary.pid for auxiliary in self.auxiliaries],
            commands.CHANGES,
            kept.control if kept else None,
        )
        self._socket_watch = SocketWatch(self.resources.run_directory, self.control)
        self._is_adopted = kept is not None
        if kept is not None:
            self._shards.adopt(kept.shards, policy, plan, time.monotonic())
            self.reloads.adopt(kept.reloads)
            self.upgrades.adopt(kept.upgrade)

    def keep(self) -> ServerState:
        """Return what a new version of this program needs to go on in this process."""
        admin = [one.keep() for one in self.auxiliaries if one.name == upkeep.NAME]
        return ServerState(
            started=self.started,
            plan=plans.keep(self.plan),
            resources=self.resources.keep(),
            control=self.control.keep(),
            shards=self._shards.keep(),
            reloads=self.reloads.keep(),
            admin=admin[0] if admin else None,
            upgrade=self.upgrades.keep(),
        )

    @property
    def table(self) -> SlotTable:
        return self._shards.table

    @property
    def shard_requests(self) -> ShardRequests:
        return self._shards.shard_requests

    @property
    def takeovers(self) -> Takeovers:
        return self._shards.takeovers

    @property
    def is_ready(self) -> bool:
        """Whether a load balancer should send clients here."""
        return self.has_served and not self.level and self._shards.is_serving

    def run(self) -> int:
        """Serve until stopped; return the exit code. StartError when it cannot start."""
        self.signals.install()
        self._selector.register(self.signals, selectors.EVENT_READ, lambda: None)
        try:
            if self._is_adopted:
                self.signals.release()
                self.reload()
            else:
                self._start()
            while not self._is_over():
                self._turn()
        finally:
            self._leave()
        if self._complaint:
            raise StartError(self._complaint, exit_code=self._exit_code)
        return EXIT_OK

    def _start(self) -> None:
        """Start the first shards."""
        self.resources.log_room(self.plan)
        for index in range(self.plan.shards):
            self._scaling.grow(index, self.plan)
            if self.table[index].leader is None:
                self._cannot_start(f"shard {index} cannot be forked")
                break  # a shard started now would miss the stop

    def _is_over(self) -> bool:
        return bool(self.level) and self._drain_at is None and not self.table.processes()

    def _turn(self) -> None:
        for key, _ in self._selector.select(self._patience()):
            key.data()
        for number in self.signals.take():
            self._handle_signal(number)
        now = time.monotonic()
        self._shards.reap(now)
        if init_reaper.is_first_process():
            init_reaper.reap(self._known_children())
        self._shards.check(now)
        self.control.expire(now)
        self._socket_watch.advance(now)
        for auxiliary in self.auxiliaries:
            auxiliary.advance(now)
        self._advance(now)
        self.resources.notifier.update(commands.phase(self), lambda: commands.summary(self), now)

    def _patience(self) -> float:
        """Return how long the loop may sleep: until the next deadline, at most a tick."""
        if not self.has_served and self.table.are_all(State.READY):
            return QUICK
        now = time.monotonic()
        ends = [] if self.level else self.table.ends_of_rest()
        ends += [
            process.deadline for process in self.table.processes() if process.deadline is not None
        ]
        ends += self._shards.takeovers.ends()
        ends += [] if self._drain_at is None else [self._drain_at]
        return max(0.0, min([TICK, *(end - now for end in ends)]))

    def _advance(self, now: float) -> None:
        """Do what is due."""
        if self.level:
            if self._drain_at is not None and now >= self._drain_at:
                self._drain_at = None
                self._end_shards(now)
            return
        if not self.has_served:
            self._announce_listening(now)
            return
        self.reloads.advance(now)
        self.upgrades.advance(now)
        for slot in self.table:
            if slot.is_due(now):
                slot.wake()
                self._shards.start(slot, self.plan, now)

    def _announce_listening(self, now: float) -> None:
        """Announce the server once clients can connect: all sockets listen."""
        if not self.table.are_all(State.READY):
            return
        if self.resources.accepting.are_listening():
            self.has_served = True
            self.resources.announce(self.plan, len(self.table))
        elif now - self.started > self.plan.start_timeout + START_GRACE:
            self._cannot_start(f"{self.resources.url} is not listening in time")

    # Events of shards (shards.Observer)

    def shard_ready(self, process: ShardProcess) -> None:
        if self.has_served:
            log.info("%s is ready (pid %d)", process.name, process.pid)
        for other in self.table[process.slot].processes:
            if other.is_leaving:
                self.retire(other, process)

    def shard_ended(self, process: ShardProcess, reason: str) -> None:
        slot = self.table[process.slot]
        if slot.is_retiring and not slot.processes:
            self._shards.remove_slot(slot.index)
            log.info("%s removed; %d shards remain", process.name, len(self.table))
        elif process.is_expected_to_end or self.level:
            log.debug("%s (pid %d) %s", process.name, process.pid, reason)
        elif not self.has_served:
            is_final = process.exit_code in (EXIT_USAGE, EXIT_CANNOT_START)
            self._cannot_start(
                process.complaint or f"{process.name} {reason} before it was ready",
                EXIT_CANNOT_START if is_final else EXIT_FAILED,
            )
        else:
            now = time.monotonic()
            respawn.died(slot, process, reason, now)
            self._shards.rest(slot, now)
            if respawn.is_hopeless(self.table):
                self._complaint = f"every shard is quarantined; the last: {reason}"
                self.stop(Level.NOW)

    def _cannot_start(self, reason: str, exit_code: int = EXIT_FAILED) -> None:
        self._complaint = reason
        self._exit_code = exit_code
        self.stop(Level.NOW)

    def shard_leaving(self, process: ShardProcess) -> None:
        """Have a successor started; when that is ready, `shard_ready` retires this one."""
        if self.has_served and not self.level:
            respawn.leaving(self.table[process.slot], process, time.monotonic())

    def stop_wanted(self, process: ShardProcess) -> None:
        """Stop as by TERM."""
        if not self.level:
            log.info("%s (pid %d) asks the server to stop", process.name, process.pid)
            self.stop(Level.GRACEFUL)

    # Requests, by signals and by control/

    def _handle_signal(self, number: int) -> None:
        if number in ASKED:
            self.stop(self._escalation.level(self.level, ASKED[signal.Signals(number)]))
        elif number == signal.SIGHUP and self._terminal.is_closed:
            log.info("the terminal was closed")
            self.stop(Level.GRACEFUL)
        elif number == signal.SIGHUP:
            self._reload_by_signal()
        elif number in (signal.SIGTTIN, signal.SIGTTOU):
            self._step(1 if number == signal.SIGTTIN else -1)
        elif number == signal.SIGUSR1:
            self.reopen_logs()
        elif number == signal.SIGUSR2:
            self.upgrade()

    def _reload_by_signal(self) -> None:
        if self.upgrades.is_running:
            self.upgrades.follow()
        elif self.reloads.is_running:
            self.reloads.follow()
        else:
            self.reload()

    def stop(self, asked: Level) -> None:
        """Stop the server at this level, or the harsher one in effect; repeating has no effect."""
        if asked <= self.level:
            return
        now = time.monotonic()
        log.info("stopping (%s)", asked.name.lower())
        is_first, self.level = not self.level, asked
        self.upgrades.cancel()
        self.reloads.cancel()
        delay = self.plan.drain_delay if is_first and asked is Level.GRACEFUL else 0.0
        self._drain_at = now + delay if delay else None
        if self._drain_at is None:
            self._end_shards(now)

    def _end_shards(self, now: float) -> None:
        self._shards.close_port()
        for process in self.table.processes():
            if self.level is Level.GRACEFUL:
                self._shards.drain(process, SERVER_STOPS, self.plan, now)
            elif self.level is Level.NOW:
                self._shards.stop(process, now)
        if self.level is Level.KILL:
            self._shards.kill_all()

    def reload(self) -> str:
        """Start a reload with the current code and settings; return why it cannot be, or ""."""
        refusal = "no reload while the server is starting or stopping"
        if self.upgrades.is_running and not self.upgrades.is_reloading:
            refusal = "an upgrade is in progress, which reloads"
        elif self.has_served and not self.level:
            refusal = self.reloads.begin()
        if refusal:
            log.warning("%s", refusal)
        return refusal

    def upgrade(self) -> str:
        """Start an upgrade to the version of this program on disk; return as `reload` does."""
        refusal = "no upgrade while the server is starting or stopping"
        if self.has_served and not self.level:
            refusal = self.upgrades.begin(time.monotonic())
        if refusal:
            log.warning("%s", refusal)
        return refusal

    def scale(self, count: int) -> None:
        """Change the number of shards; ValueError when it is out of range."""
        log.info("scaling from %d to %d shards", self._scaling.to(count, self.plan), count)

    def _step(self, step: int) -> None:
        if self.has_served and not self.level:
            try:
                self.scale(self._scaling.count + step)
            except (ValueError, StartError) as error:
                log.warning("%s", error)

    def reopen_logs(self) -> None:
        self.resources.log_handler.reopen()
        log.info("log file reopened")

    # What a reload needs (rolling.ShardStarter, reload.Owner)

    def begin(self, slot: Slot) -> ShardProcess | None:
        return self._shards.start(slot, self.plan, time.monotonic())

    def retire(self, process: ShardProcess, successor: ShardProcess) -> None:
        cause = "upgrade" if self.upgrades.is_running else "reload"
        self._shards.hand_over(process, successor, cause, self.plan, time.monotonic())

    def fds_to_close(self) -> list[spawn.Closeable]:
        """Return all descriptors that a child other than a shard must close."""
        return [*self._own_descriptors(), *self._shards.fds_to_close()]

    def _known_children(self) -> set[int]:
        shards = {process.pid for process in self.table.processes()}
        return (
            shards
            | self._shards.keepers.pids
            | self.reloads.pids
            | self.upgrades.pids
            | {auxiliary.pid for auxiliary in self.auxiliaries}
        )

    def _own_descriptors(self) -> list[spawn.Closeable]:
        return [
            self._selector,
            self.signals,
            *self.resources.fds_to_close(),
            *self.control.fds_to_close(),
        ]

    def _leave(self) -> None:
        self._shards.leave()
        for auxiliary in self.auxiliaries:
            auxiliary.end()
        self.control.close()
        self.resources.leave()
        self._selector.close()
        self.signals.leave()
