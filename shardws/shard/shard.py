"""One shard: a loop's share of the server, and what its connections ask of it.

Owns the registry of its connections, their ids, the timer wheel and the loop's heartbeat;
implements `net.connection.owner.Owner`. A forked process (shard.process) and a program that calls
do_events (shard.embedded) each make one.
"""

import asyncio
import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from shardws import events, ids
from shardws.close_reasons import SERVER_FAILED, SHARD_DIED
from shardws.errors import HandshakeError, NoSuchConnection, StateError
from shardws.events import Handlers
from shardws.interfaces import RoutingSink
from shardws.log import shard_logger
from shardws.net.addresses import plain_address
from shardws.net.config import ConnectionConfig
from shardws.net.connection import Connection
from shardws.net.connection.resumed import Cause
from shardws.net.connection.sharing import Sharing
from shardws.net.connection.states import BLOCKED_WIRE, ENDING, LOST
from shardws.net.interning import InternedTexts
from shardws.net.pump import Pump, Wire
from shardws.outcomes import QUEUED, FailedSend, LaterSend, Outcome, SendOutcome
from shardws.protocol.deflate import Profile
from shardws.protocol.keepalive import Wheel
from shardws.protocol.proxy import Endpoint
from shardws.protocol.request import Request
from shardws.protocol.session import Ending
from shardws.routing.fanout import Share
from shardws.routing.identity import Identity
from shardws.routing.mesh import Mesh
from shardws.routing.registry import Registry
from shardws.routing.router import Router
from shardws.settings import table
from shardws.settings.row import Row, When
from shardws.settings.values import Settings
from shardws.shard import configuration, configuring, owners
from shardws.shard.admission import Admission
from shardws.shard.context import ShardContext
from shardws.shard.dispatch import Dispatcher
from shardws.shard.log_events import EventLog
from shardws.shard.loop_thread import LoopThread
from shardws.shard.opening import Opening
from shardws.shard.partial_messages import PartialMessages
from shardws.shard.routing_sink import ALL_IDS, ShardRoutingSink
from shardws.shard.thread_calls import ThreadCalls
from shardws.shard.tls import ShardTLS
from shardws.shard.turns import Turns
from shardws.shard.view import ConnectionView
from shardws.stats import (
    BYTES_IN,
    BYTES_OUT,
    DISCONNECTED,
    GENERATION,
    HEARTBEAT,
    LOOP_LAG,
    MESSAGES_IN,
    MESSAGES_OUT,
    MOVED,
    PID,
    QUEUE_BYTES,
    REFUSED,
    RESUMED,
    SENDS_FAILED,
    STARTED,
)
from shardws.takeover.giving import Giving, Successor
from shardws.takeover.taking import Taking
from shardws.tls.certificate_set import CertificateSet

RouterMaker = Callable[[Mesh, Registry, RoutingSink, Share], Router]

TICK_S: Final = 0.25  # of the wheel: deadlines are seconds, a quarter late is on time
STALL_S: Final = (
    0.5  # a tick that is so late: the loop did not turn, so nothing was read or written
)


class Shard:
    """The connections of one process; see the module docstring."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        settings: Settings,
        handlers: Handlers,
        context: ShardContext,
        *,
        dispatcher: type[Dispatcher] = Dispatcher,
        router: RouterMaker = Router,
    ) -> None:
        # At most 29 attributes: from 30 on CPython (3.11) keeps them in a dict, and what reads them
        # for each message gets slower, 1 % of an echo.
        self.loop = loop
        self.settings = settings
        self.context = context
        self.log = shard_logger("shard", context.slot)
        self.row = context.stats.row(ids.row_of(context.slot, context.generation))
        self.config: ConnectionConfig = configuration.connection_config(settings)
        self.now = self.awake_since = loop.time()
        self.interned = InternedTexts()
        self.partial_messages = PartialMessages(self.row)
        make = partial(dispatcher, ended=self._leave, forget=self._forget)
        self.dispatch = make(loop, handlers, self.row, self.log, turns=Turns(loop, self.log))
        self.counters = self.dispatch.counters
        self.pump = Pump(
            handlers=handlers,
            dispatch=self.dispatch,
            event_type=events.DataIn,
            queued=QUEUED,
            row=self.row,
            index=(MESSAGES_IN, BYTES_IN, MESSAGES_OUT, BYTES_OUT),
            call_soon=loop.call_soon,
            time=loop.time,
            on_error=self._wire_failed,
        )
        if context.page is not None:
            self.pump.watch_sockets(context.page.sockets)
        self.registry = Registry()
        thread = LoopThread()
        self.routing_sink = ShardRoutingSink(
            self.dispatch, self.registry, self.view, thread, self._configure
        )
        self.calls = ThreadCalls(loop, thread, self.routing_sink, self.row)
        identity = Identity(
            context.node, context.slot, context.generation, context.pid, context.boot_nonce
        )
        self.mesh = Mesh(
            loop,
            identity,
            context.run_directory,
            self.routing_sink,
            link_high_mark=settings[table.LINK_HIGH_MARK],
            row=self.row,
        )
        self.router = router(self.mesh, self.registry, self.routing_sink, Sharing(self.pump).share)
        self._limit()
        self.connections: set[Connection] = set()  # opening ones too
        self._full: set[Connection] = set()
        self._wheel: Wheel[Connection] = Wheel(self.now, TICK_S)
        self._beat_due = 0.0
        self._beat: asyncio.TimerHandle | None = None
        self.log_events = EventLog(self.dispatch, settings, self.mesh.log)
        self._choose_receiver()
        self.admission = Admission(self, self.dispatch, settings, context)
        self.opening = Opening(self, self.admission, self.dispatch, settings, context)
        self.tls: ShardTLS | None = None
        self.taking: Taking | None = None  # from a start that expects connections on
        self._unsubscribe = settings.subscribe(self._setting_changed)

    # -- life ------------------------------------------------------------------------------

    def start(self) -> None:
        """Claim the row of shared memory and start the heartbeat."""
        self.row[PID] = self.context.pid
        self.row[GENERATION] = self.context.generation
        self.row[STARTED] = int(self.loop.time() * 1e9)
        self._beat_due = self.loop.time()
        if self.pump.owns_sockets:
            self.loop.add_reader(self.pump.fileno(), self.pump.turn)
        self._tick()

    def descriptors(self) -> list[int]:
        """Return the descriptors that are no sockets."""
        return [self.pump.fileno()] if self.pump.owns_sockets else []

    def secure(self, site: CertificateSet | None) -> None:
        """Speak TLS with who connects from now on, with these certificates; None: do not."""
        if site is None:
            self.tls = None
        else:
            self.tls = ShardTLS(self.dispatch, self.opening, self.settings, site)

    def stop(self) -> None:
        """Stop the heartbeat, once; connections are ended by `shard.drain` before."""
        self._unsubscribe()
        self.calls.close()
        if self.taking is not None:
            self.taking.close()
        self.admission.close()
        if self.pump.owns_sockets:
            self.loop.remove_reader(self.pump.fileno())
        self.log.sum_up(is_end=True)
        if self._beat is not None:
            self._beat.cancel()
            self._beat = None

    def _tick(self) -> None:
        now = self.now = self.pump.now = self.loop.time()
        row = self.row
        # The loop's clock is CLOCK_MONOTONIC, the same in all processes of the host.
        row[HEARTBEAT] = int(now * 1e9)
        row[LOOP_LAG] = max(0, int((now - self._beat_due) * 1e6))
        if self._full or row[QUEUE_BYTES]:
            row[QUEUE_BYTES] = sum(connection.queued for connection in self._full)
        self.partial_messages.look(now)
        if now - self._beat_due >= STALL_S:
            self.awake_since = now
        for connection in self._wheel.advance(now):
            connection.expire(now)
        self.admission.look()
        self.log.sum_up()
        self._beat_due = now + TICK_S
        self._beat = self.loop.call_at(self._beat_due, self._tick)

    def _setting_changed(self, row: Row[Any]) -> None:
        """Take over a setting that any thread has changed."""
        if self.calls.thread.is_here:
            self.reconfigure(row)
        else:
            self.calls.ask(partial(self.reconfigure, row))

    def _configure(self, values: str) -> None:
        """Set settings as another shard asks; see shard.configuring."""
        configuring.take(self.settings, values)

    def reconfigure(self, row: Row[Any]) -> None:
        """Take over a setting that was changed while the shard runs."""
        self.config = new = configuration.connection_config(self.settings)
        for part in (self.log_events, self.admission, self.opening):
            part.reconfigure()
        self._choose_receiver()
        self._limit()
        if row.when is When.LIVE:  # the others are for connections accepted from now on
            configuration.follow(self.connections, new)

    def _choose_receiver(self) -> None:
        """Set `received` (Owner), and whether the pump may call handlers without it."""
        dispatch = self.dispatch
        self.received = self.log_events.traced(dispatch.received)
        is_traced = self.received != dispatch.received
        self.pump.is_direct = dispatch.is_direct and not is_traced

    def _limit(self) -> None:
        self.router.limit_groups(self.settings[table.MAX_GROUPS])
        settings = self.settings
        self.dispatch.tasks.limit_to(settings[table.HANDLER_TIMEOUT])
        self.dispatch.closes_on_error = settings[table.ON_HANDLER_ERROR] == "close"
        self.dispatch.cancels_on_disconnect = settings[table.CANCEL_ON_DISCONNECT]
        self.partial_messages.limit_to(settings[table.MESSAGE_TIMEOUT])

    def find(self, connection_id: int) -> Connection:
        """Return a connection here that has an id, open or not.

        NoSuchConnection (1117), or StateError (211) when it is another shard's.
        """
        if not isinstance(connection_id, int):
            raise NoSuchConnection(0)
        found = self.registry.find(connection_id) or self.opening.named.get(connection_id)
        if isinstance(found, Connection):
            return found
        slot = owners.other_shard(connection_id, self.context)
        if slot is None:
            raise NoSuchConnection(connection_id)
        raise StateError(owners.advice(connection_id, slot))

    def send_formatted(self, connection_id: int, payload: bytes) -> SendOutcome:
        """Send as the connection's DataFormat says, from any shard.

        NoSuchConnection (1117) as far as that can be known; UsageError (213) when a connection here
        cannot send it in its format. For one of another shard that is an Error event there.
        """
        if owners.other_shard(connection_id, self.context) is None:
            self.find(connection_id)
        return self.router.send_formatted(connection_id, payload)

    def view(self, connection_id: int) -> ConnectionView:
        """Return the properties of a connection here; raises what `find` does."""
        return ConnectionView(self, self.find(connection_id))

    async def all_ids(self) -> list[int]:
        """Return the ids of the open connections of all shards that reply."""
        found = list(self.registry)
        for reply in await self.router.query_shards(ALL_IDS):
            found += json.loads(reply)
        return found

    # -- net.connection.owner.Owner ----------------------------------------------------------

    def make_connection(self) -> asyncio.Protocol:
        """Return a protocol for a newly accepted socket."""
        return self.admission.make_protocol()

    def connect(self, source: Endpoint | None) -> asyncio.Protocol:
        """Return the protocol for a client at `source`; None: at the other end of the socket."""
        connection = Connection(self)
        if source is not None:
            connection.remote_host = self.interned.shared(plain_address(source[0]))
            connection.remote_port = source[1]
        return connection if self.tls is None else self.tls.wrap(connection)

    def accepted(self, connection: Connection) -> None:
        self.connections.add(connection)
        self.admission.accepted(connection)

    def is_secure(self, connection: Connection, request: Request) -> bool:
        return self.admission.is_secure(connection, request, has_tls=self.tls is not None)

    def requested(self, connection: Connection, request: Request) -> None:
        self.opening.requested(connection, request)

    def written_full(self, connection: Connection) -> None:
        self._full.add(connection)

    def drained(self, connection: Connection) -> None:
        """Tell this shard and those that got FULL that the connection takes data again."""
        self._full.discard(connection)
        if connection.was_opened and connection.state < ENDING:
            self.dispatch.fire(connection, "on_ready_to_send", events.ReadyToSend(connection.id))
            self.router.on_drained(connection)

    def refused(self, connection: Connection, error: HandshakeError) -> None:
        self.row[REFUSED] += 1
        self.admission.lingers(connection)
        self.log_events.refused(connection, error)

    def clock(self) -> float:
        return self.loop.time()

    def wait_turn(self, connection: Connection) -> None:
        self.dispatch.turns.add(connection)

    def holding(self, connection: Connection) -> None:
        self.partial_messages.add(connection)

    def left(self, connection: Connection) -> None:
        self.dispatch.left(connection)

    def ended(self, connection: Connection, ending: Ending) -> None:
        """Fire Disconnected, and count the connection out."""
        self.admission.lingers(connection)
        self._end(connection, ending)

    def lost(self, connection: Connection, ending: Ending | None) -> None:
        """Count a TCP connection out and fire Disconnected, when Connected was fired, once."""
        self.connections.discard(connection)
        self._full.discard(connection)
        self.admission.lost(connection)
        if not connection.is_told:
            self._end(connection, ending)
        elif connection.session is None:  # forgotten already, but for what the wait for TCP needed
            connection.extras = None

    def _end(self, connection: Connection, ending: Ending | None) -> None:
        try:
            if connection.was_opened:
                self.row[DISCONNECTED] += 1
                self.router.forget(connection)  # its groups; the record stays for on_disconnected
                if ending is not None:
                    self.log_events.ended(connection, ending)
            else:
                self.opening.lost(connection)
        finally:  # whatever failed, without memory for it: the end is told
            self.dispatch.lost(connection, ending)

    def later(self, connection_id: int) -> LaterSend:
        """Return an outcome that becomes known later."""
        return LaterSend(connection_id, self.routing_sink.send_failed)

    def stream_failed(self, connection: Connection, code: int, description: str) -> None:
        """Fire Error for a message in parts whose source failed."""
        self.dispatch.error(connection.id, code, description)

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.loop.call_soon(callback)

    def idle(self, connection: Connection) -> None:
        """Fire Error for a connection that its Timeout ends."""
        self.dispatch.error(connection.id, 301, f"no data for {connection.timeout:g} s")

    def unsent(self, connection_id: int, outcome: Outcome) -> SendOutcome:
        """Return the outcome of a local send that was not taken."""
        self.row[SENDS_FAILED] += 1
        return FailedSend(connection_id, outcome, self.routing_sink.send_failed)

    def wake_at(self, connection: Connection, due: float) -> None:
        self._wheel.add(connection, due)

    # -- takeover.giving, takeover.taking --------------------------------------------------

    def take_from_others(self) -> None:
        """Listen for processes that hand over connections; OSError, StartError."""
        directory, arrivals = self.context.run_directory, self.router.arrivals
        self.taking = Taking(self, self.mesh.identity, directory, arrivals)
        self.taking.start()

    def giving(self, successor: Successor, cause: Cause) -> Giving:
        """Return what moves the connections to another process."""
        directory, departures = self.context.run_directory, self.router.departures
        return Giving(self, self.mesh.identity, directory, successor, cause, departures)

    @property
    def profile(self) -> Profile:
        """How compression is agreed on, and gone on with."""
        return self.opening.profile

    def detached(self, connection: Connection) -> None:
        """Count out a connection that is on its way to another process."""
        self.connections.discard(connection)
        self._full.discard(connection)
        self.admission.moved()

    def retaken(self, connection: Connection) -> None:
        """Count in a connection that did not go."""
        self.connections.add(connection)
        self.admission.retaken()
        configuration.follow([connection], self.config)
        if connection.blocked & BLOCKED_WIRE:
            self._full.add(connection)

    def moved(self, connection: Connection) -> None:
        """Note that another process has a connection now: its end will be told there."""
        self._leave(connection)
        self.row[MOVED] += 1

    def arrived(self, connection: Connection) -> bool:
        """Count in a connection that comes from another process; False when there is no room."""
        self.connections.add(connection)
        self.enter(connection)
        return self.admission.has_room() and (self.context.page is None or connection.cell >= 0)

    def withdrawn(self, connection: Connection) -> None:
        """Undo `arrived`, and its entry into routing: its giver has it again."""
        self.connections.discard(connection)
        self._leave(connection)
        self.admission.moved()
        self.router.remove(connection)

    def resumed(self, connection: Connection) -> None:
        """Tell the application that a connection goes on here."""
        if self.context.page is not None:
            self.context.page.found(connection.cell, connection.fileno())
        self.row[RESUMED] += 1
        self.log_events.resumed(connection)
        origin = connection.resumed
        assert origin is not None
        fire = self.dispatch.fire
        if self.dispatch.handlers.on_resumed is not None:
            event = events.Resumed(connection.id, origin.cause, connection.user_data, False)
            fire(connection, "on_resumed", event)
            return
        fire(connection, "on_connected", events.Connected(connection.id))
        if connection.is_ready:
            fire(connection, "on_ready_to_send", events.ReadyToSend(connection.id))

    # -- inner -----------------------------------------------------------------------------

    def _wire_failed(self, wire: Wire | None, error: BaseException) -> None:
        """Log what a connection raised into the data path: a fault of ours, and its end."""
        who = 0 if wire is None else wire.id
        try:
            self.log.error(
                "connection %d failed", who, exc_info=error, extra={"connection_id": who}
            )
        finally:
            if isinstance(wire, Connection):
                wire.note_loss(SERVER_FAILED.text)
            if wire is not None and wire.is_attached:
                wire.abort_wire()
            elif isinstance(wire, Connection):  # what failed may be telling its end
                self.loop.call_soon(wire.end_again)

    def enter(self, connection: Connection) -> None:
        """Note in shared memory that a connection is being told Connected."""
        if self.context.page is not None:
            connection.cell = self.context.page.enter(connection.id, connection.fileno())

    def closing(self, connection: Connection) -> None:
        if self.context.page is not None:
            self.context.page.silence(connection.cell)

    def _leave(self, connection: Connection) -> None:
        """Note that Disconnected is told now: before the handler, so that it is told once."""
        if self.context.page is not None:
            self.context.page.leave(connection.cell)
            connection.cell = -1

    def report_lost(self, ids_lost: Sequence[int]) -> None:
        """Fire Disconnected for lost connections, whose process died before it could.

        Not for those that it had handed over to this one before it died.
        """
        if self.taking is not None:
            self.taking.look()
        for connection_id in ids_lost:
            if self.registry.find(connection_id) is not None:
                continue
            self.row[DISCONNECTED] += 1
            event = events.Disconnected(connection_id, SHARD_DIED.code, SHARD_DIED.text)
            self.dispatch.fire_remote("on_disconnected", event)

    def _forget(self, connection: Connection) -> None:
        """Drop the record; the wheel may hold the empty shell until its deadline."""
        self.router.remove(connection)  # with groups it joined in on_disconnected
        connection.session = None
        connection.request = None
        if connection.state == LOST:
            connection.extras = None
