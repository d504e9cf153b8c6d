"""A forked shard: from the fork to its exit code.

Owns the order of a start: application imported, mesh socket bound (HELLO), peers known, listening
(READY); and of an end: stop accepting, close the clients, leave the mesh. The supervisor
communicates with it only over the channel.
"""

import asyncio
import gc
import json
import os
import signal
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import uvloop

from shardws import ids
from shardws.census import Census, Page
from shardws.close_reasons import CLOSE_REASONS, SERVER_RESTARTS, SERVER_STOPS, CloseReason
from shardws.errors import (
    EXIT_CANNOT_START,
    EXIT_FAILED,
    EXIT_OK,
    EXIT_ORPHANED,
    ShardwsError,
    StartError,
    code_of_errno,
)
from shardws.log import shard_logger
from shardws.net.connection.resumed import Cause
from shardws.routing.identity import incarnation
from shardws.settings.values import Source
from shardws.shard import (
    certificates,
    child_signals,
    configuration,
    drain,
    forked_children,
    keeper,
    operator_commands,
)
from shardws.shard.application import Application
from shardws.shard.channel import SupervisorChannel
from shardws.shard.connection_source import ConnectionSource
from shardws.shard.context import ShardContext
from shardws.shard.ending import Ending
from shardws.shard.forked_children import Holdings
from shardws.shard.lifecycle import Lifecycle
from shardws.shard.parent import Parent, signal_on_death
from shardws.shard.shard import Shard
from shardws.stats import Stats
from shardws.takeover.giving import Result, Successor
from shardws.tls.certificate_set import CertificateSet
from shardws.wire import codec, messages

ORPHAN_DRAIN_S: Final = 1.0
TERM_DRAIN_S: Final = 5.0
TERM_PATIENCE_S: Final = 10.0  # from SIGTERM until it ends even without a successor
ORPHAN_LIMIT_S: Final = 6.0  # to SIGALRM, which is not handled
MOST_REASON: Final = 2000  # characters of a reason that is reported
TERM_LIMIT_S: Final = 25.0  # likewise, while the supervisor has not sent DRAIN
CANCEL_S: Final = 1.0  # for an on_start that is told to end before it is done


@dataclass(frozen=True, slots=True)
class ForkContext:
    """What a forked shard is given by its supervisor."""

    slot: int
    generation: int
    node: int
    boot_nonce: str  # 16 hex digits
    stats: Stats
    source: ConnectionSource
    channel: socket.socket  # our end of a socketpair
    run_directory: str
    overrides: Sequence[tuple[str, object, Source]]  # settings from file, environment and flags
    # Made before the fork, with the ticket keys; None: no TLS.
    certificates: CertificateSet | None = None
    census: Census | None = None

    def page(self) -> Page | None:
        """Return this process's page of the census, which the supervisor has emptied."""
        if self.census is None:
            return None
        return self.census.page(ids.row_of(self.slot, self.generation))


def run(load: Callable[[], Application], context: ForkContext) -> int:
    """Run a shard until told to stop; return the exit code."""
    log = shard_logger("shard", context.slot)
    page = context.page()
    keeper_pid = keeper.start(page, log)  # before there is more to copy
    if keeper_pid:
        _report(context.channel, messages.KEEPER, keeper_pid)
    try:
        application = load()
        for name, value, source in context.overrides:
            application.settings.assign(name, value, source)
    except ShardwsError as error:
        _report(context.channel, messages.NOT_IMPORTED, error.description[:MOST_REASON])
        return error.exit_code if isinstance(error, StartError) else EXIT_CANNOT_START
    child_signals.let_pass()  # the import may have changed that
    child_signals.give_children_defaults()
    loop, descriptors = forked_children.with_descriptors(uvloop.new_event_loop)
    asyncio.set_event_loop(loop)
    ending = Ending(log)
    code = EXIT_FAILED
    try:
        code = loop.run_until_complete(_main(application, context, page, ending, descriptors))
    except ShardwsError as error:
        log.error("%s", error.description)
        _report(context.channel, messages.FAILED, error.description[:MOST_REASON])
        code = error.exit_code if isinstance(error, StartError) else EXIT_CANNOT_START
    finally:
        ending.finish(loop, code)
    return code


async def _main(
    application: Application,
    context: ForkContext,
    page: Page | None,
    ending: Ending,
    descriptors: frozenset[int],
) -> int:
    return await ForkedShard(application, context, page, ending, descriptors).main()


def _report(channel: socket.socket, kind: int, *fields: Any) -> None:
    """Report to the supervisor before there is a loop; it may be gone already."""
    channel.settimeout(1.0)
    try:
        channel.sendall(codec.encode(kind, *fields))
    except OSError as error:
        shard_logger("shard", 0).debug("could not report to the supervisor: %s", error)


class ForkedShard:
    """Wires a Shard to its channel, its mesh and the source of its connections."""

    def __init__(
        self,
        application: Application,
        context: ForkContext,
        page: Page | None,
        ending: Ending,
        descriptors: frozenset[int],
    ) -> None:
        """Needs a running loop, which has these `descriptors`."""
        settings = application.settings
        self.ending = ending
        self.context = context
        self.loop = asyncio.get_running_loop()
        self.exit_code = EXIT_OK
        self.stopped = asyncio.Event()
        shard_context = ShardContext(
            context.slot,
            context.generation,
            context.node,
            context.boot_nonce,
            os.getpid(),
            context.stats,
            context.run_directory,
            page,
            lambda: self.control.report(messages.SHUTDOWN),
            self._on_short_ids,
        )
        self.shard = Shard(self.loop, settings, application.handlers, shard_context)
        self.log = self.shard.log  # the application hears of its lines too
        self.shard.secure(context.certificates)
        self.mesh = self.shard.mesh
        self.lifecycle = Lifecycle(self.shard)
        self.intake = context.source.open(self.shard)
        self.control = SupervisorChannel(self.log, self._on_message, self._on_orphaned)
        self._parent = Parent()
        self._holdings = Holdings(self.shard, context.run_directory, descriptors, self._descriptors)
        self._is_ready = False
        self._is_leaving = False
        self._starting: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None
        self._cutting: asyncio.Task[int] | None = None
        self._giving: asyncio.Task[None] | None = None
        application.attach(self.shard)

    def _descriptors(self) -> list[int]:
        """Return what a forked child cannot tell for ours."""
        sockets = (self.context.channel, self.context.source.sock)
        return self.shard.descriptors() + [sock.fileno() for sock in sockets if sock.fileno() >= 0]

    async def main(self) -> int:
        """Run from start to stop; return the exit code."""
        context = self.context
        await self.mesh.start(self.shard.router.receiver)
        await self.loop.create_unix_connection(lambda: self.control, sock=context.channel)
        self.shard.start()
        for number in (signal.SIGTERM, signal.SIGCONT):
            signal.signal(number, self._on_signal)
        signal_on_death(signal.SIGCONT)  # until now it was SIGKILL: there were no clients
        who = context.node, context.slot, context.generation, os.getpid(), context.boot_nonce
        self.control.report(messages.HELLO, messages.VERSION, *who)
        gc.collect()
        gc.freeze()  # current objects live for ever: later collections skip them
        await self.stopped.wait()
        return self.exit_code

    def _on_message(self, kind: int, fields: tuple[Any, ...]) -> None:
        if kind == messages.PEERS:
            self.mesh.set_peers(fields[0])
            if not self._is_ready:
                # Only now does a message for a connection of another shard find its link.
                self._is_ready = True
                self._starting = self.loop.create_task(self._accept())
        elif kind == messages.QUERY:
            self._run_command(*fields)
        elif kind == messages.TAKEOVER:
            self._giving = self.loop.create_task(self._hand_over(*fields))
        elif kind == messages.DRAIN:
            signal.setitimer(signal.ITIMER_REAL, 0)  # SIGTERM's: DRAIN has a deadline
            reason, rate, deadline_ms = fields
            self._end(CLOSE_REASONS[reason], float(rate), deadline_ms / 1000)
        elif kind == messages.LOST_CONNECTIONS:
            self.shard.report_lost(memoryview(fields[0]).cast("Q").tolist())
        elif kind == messages.STOP:
            is_now = bool(fields[0])
            self._end(SERVER_STOPS, 0.0, 0.0 if is_now else TERM_DRAIN_S)

    def _run_command(self, token: int, connection_id: int, what: str) -> None:
        try:
            is_ok, reply = True, operator_commands.run(self.shard, connection_id, what)
        except ShardwsError as error:
            is_ok, reply = False, operator_commands.refusal(error)
        self.control.report(messages.REPLY, token, is_ok, reply)

    async def _accept(self) -> None:
        if self._ending is not None:
            return
        port = self.intake.port
        try:
            await self.lifecycle.start()
            self.shard.take_from_others()
            await self.intake.start(configuration.binding(self.shard.settings).backlog)
        except StartError as error:
            self._cannot_start(error.description, error.exit_code)
            return
        except OSError as error:
            self._cannot_listen(port, error)
            return
        self._holdings.ports.add(port)
        configuration.begin_listening(self.shard.settings, port, is_forked=True)
        certificates.show(self.shard.settings, self.context.certificates)
        self.control.report(messages.READY, port)

    async def _hand_over(
        self, row: int, generation: int, pid: int, deadline_ms: int, cause: str
    ) -> None:
        """Give the connections to another process, and report what became of them."""
        await self.intake.finish()
        successor = Successor(row, incarnation(self.context.node, row // 2, generation), pid)
        if self.shard.dispatch.handlers.keeps_clients:
            result = Result(0, {"application": len(self.shard.connections)})
        else:
            result = await self.shard.giving(successor, Cause(cause)).run(deadline_ms / 1000)
        report = {"moved": result.moved, "left": result.left}
        self.control.report(messages.MOVED, json.dumps(report).encode())
        departures = self.shard.router.departures
        departures.when_switched(lambda: self.control.report(messages.SWITCHED))

    def _cannot_listen(self, port: int, error: OSError) -> None:
        """Another program listens on the port since the supervisor bound it."""
        exit_code = StartError("", code=code_of_errno(error.errno)).exit_code
        self._cannot_start(f"cannot listen on port {port}: {error.strerror}", exit_code)

    def _cannot_start(self, reason: str, exit_code: int) -> None:
        self.control.report(messages.FAILED, reason[:MOST_REASON])
        self.exit_code = exit_code
        self._end(SERVER_STOPS, 0.0, 0.0)

    def _on_short_ids(self) -> None:
        """Request a successor, which gives ids of another generation; keep serving until DRAIN."""
        self.log.warning("connection ids run short: this shard ends, to be replaced")
        self._is_leaving = True
        self.control.report(messages.LEAVING)

    def _leave(self) -> None:
        """End when a successor is ready and DRAIN arrives; or at a second signal.

        TERM_PATIENCE_S bounds the wait. To clients that connect meanwhile the server is available.
        """
        if self._is_leaving or not self._is_ready:
            self._end(SERVER_STOPS, 0.0, TERM_DRAIN_S)
            return
        self.log.info("received SIGTERM; a successor is asked for")
        self._is_leaving = True
        self.control.report(messages.LEAVING)
        self.loop.call_later(TERM_PATIENCE_S, self._end, SERVER_RESTARTS, 0.0, TERM_DRAIN_S)

    def _on_orphaned(self) -> None:
        """The channel closed: the supervisor is gone, or we closed it at the end."""
        if not self.stopped.is_set():
            self.log.warning("the supervisor is gone; this shard ends")
            self.exit_code = EXIT_ORPHANED
            self._end(SERVER_STOPS, 0.0, ORPHAN_DRAIN_S)

    def _on_signal(self, number: int, _frame: object) -> None:
        """End gracefully, or by the kernel's timer when the loop no longer runs.

        SIGTERM is for this shard alone; SIGCONT comes from the kernel when the supervisor is gone.
        This is a handler of Python, not of the loop: it also runs inside application code that
        blocks, when nothing else could end this process.
        """
        if self._parent.is_gone:
            signal.setitimer(signal.ITIMER_REAL, ORPHAN_LIMIT_S)
            self.loop.call_soon_threadsafe(self._end, SERVER_STOPS, 0.0, ORPHAN_DRAIN_S)
        elif number == signal.SIGTERM:
            signal.setitimer(signal.ITIMER_REAL, TERM_LIMIT_S)
            self.loop.call_soon_threadsafe(self._leave)

    def _end(self, reason: CloseReason, rate: float, deadline: float) -> None:
        """Start to end; a second call with a shorter deadline shortens it."""
        if self._ending is not None:
            if not deadline and self._cutting is None:
                self.ending.hasten()
                cut = drain.cut(self.shard, SERVER_STOPS)
                self._cutting = self.loop.create_task(cut)
            return
        self.ending.begin(deadline)
        self._ending = self.loop.create_task(self._drain(reason, rate, deadline))

    async def _drain(self, reason: CloseReason, rate: float, deadline: float) -> None:
        self.shard.dispatch.tasks.is_ending = True
        await self._stop_starting()
        if self._giving is not None:
            self._giving.cancel()  # what it has on its way is settled first
            await asyncio.gather(self._giving, return_exceptions=True)
        await self.intake.finish()
        left = await drain.drain(self.shard, reason, rate, deadline)
        if left and deadline:
            self.log.info("%d connections did not close in time", left)
        await self.shard.dispatch.tasks.settle(self.ending.work_left)
        await self.lifecycle.stop(self.ending.work_left)
        await self.ending.end_executor()
        await self.mesh.confirm()  # who sent at the very end hears of failures alone
        await self.mesh.close()
        self.shard.stop()
        self.stopped.set()
        self.control.close()

    async def _stop_starting(self) -> None:
        """Cancel an on_start that still runs: nobody will be served."""
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.wait({self._starting}, timeout=CANCEL_S)
