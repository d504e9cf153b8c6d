"""From what happens on connections to the application's handlers, in order.

Owns the rule that handlers of one connection run one after another: a plain handler is a call, an
`async def` one becomes a task, and while it runs nothing of this connection is parsed and its
further events wait in its backlog (bounded by what one slice had brought). Whatever a handler
raises becomes an Error event and a log record: no exception of the application gets through.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

from shardws import events, hotpath
from shardws.close_reasons import HANDLER_FAILED
from shardws.errors import HandshakeError
from shardws.events import DataIn, Handlers
from shardws.log import Adapter
from shardws.net.connection import Connection
from shardws.net.connection.states import HOLD_APPLICATION, HOLD_DECISION, HOLD_TASK, LOST, OPEN
from shardws.protocol.closing import ABNORMAL
from shardws.protocol.frames import BINARY, CLOSE, PING
from shardws.protocol.session import Ending, Item
from shardws.shard.reports import Reports
from shardws.shard.tasks import Tasks, is_work, raise_if_ours
from shardws.shard.turns import Turns
from shardws.stats import PROTOCOL_ERRORS, Words

make_data_in = hotpath.implementation.maker(DataIn)
make_connected = hotpath.implementation.maker(events.Connected)
make_ready_to_send = hotpath.implementation.maker(events.ReadyToSend)
make_disconnected = hotpath.implementation.maker(events.Disconnected)

D = TypeVar("D", bound=events.Decision)

# What waits in a backlog: a name of Handlers and the event.
Waiting = tuple[str, Any]
ConnectionCallback = Callable[[Connection], None]


def _next(backlog: list[Waiting], holds: int) -> int:
    """Return the position of the first event that may run, -1 if none may.

    AcceptData False holds back data and nothing else.
    """
    if holds & ~HOLD_APPLICATION:
        return -1
    if not holds:
        return 0
    return next((at for at, (name, _) in enumerate(backlog) if name != "on_data_in"), -1)


class Dispatcher:
    """Runs handlers; one for each shard."""

    # What a handler may raise without harm: it is reported. `sys.exit` in one of them is not meant
    # to take the connections of all, and a CancelledError is of something that it awaited.
    faults: tuple[type[BaseException], ...] = (BaseException,)
    # Whether the data path may call on_data_in itself instead of `received`.
    is_direct: bool = True

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        handlers: Handlers,
        row: Words,
        log: Adapter,
        *,
        ended: ConnectionCallback,
        forget: ConnectionCallback,
        turns: Turns,
    ) -> None:
        """`ended` is called before on_disconnected, `forget` when no handler needs the record."""
        self.loop = loop
        self.turns = turns
        self.closes_on_error = False  # OnHandlerError
        self.cancels_on_disconnect = False
        self.handlers = handlers
        self.row = row
        self.counters = hotpath.counters(row)
        self.log = log
        self._reports = Reports(row, log, self.fire_remote)
        self.failed = self._reports.failed
        self.error = self._reports.error
        self.outlived = self._reports.outlived
        self._ended = ended
        self._forget = forget
        self.tasks = Tasks(loop)

    # -- data, the hot path ----------------------------------------------------------------

    def received(self, connection: Connection, items: list[Item], size: int) -> None:
        """Hand the items of one read to on_data_in; control frames end here."""
        messages = 0
        handler = self.handlers.on_data_in
        connection_id = connection.id
        for kind, payload, eom in items:
            if kind <= BINARY:
                if connection.state != OPEN and connection.state != LOST:
                    break  # its handler disconnected it: what came behind is as if never read
                messages += eom
            elif not self._is_data(connection, kind, payload, len(items) == 1):
                continue
            if connection.holds:
                self.hold(connection, "on_data_in", DataIn(connection_id, kind, payload, eom))
            elif handler is not None:
                try:
                    result = handler(make_data_in(connection_id, kind, payload, eom))
                except self.faults as error:
                    self.handler_failed(connection, "on_data_in", error)
                else:
                    if result is not None:
                        self.start(connection, "on_data_in", result)
        self.counters.received(messages, size)

    @staticmethod
    def _is_data(connection: Connection, kind: int, payload: bytes, is_alone: bool) -> bool:
        """Tell whether a control frame concerns the application: a pong it asked for does."""
        if kind == PING:
            connection.take_reply()
        if kind in (PING, CLOSE):
            return False  # of a close frame: the connection follows the session
        return not connection.take_pong(payload, is_alone)  # the reply to our own ping does not

    # -- any event -------------------------------------------------------------------------

    def opened(self, connection: Connection) -> None:
        """Fire Connected, and the ReadyToSend of a new connection."""
        self.fire(connection, "on_connected", make_connected(connection.id))
        # An event that has to wait is for the handler that is there when its turn comes.
        is_now = self.is_direct and not connection.holds
        if not is_now or self.handlers.on_ready_to_send is not None:
            self.fire(connection, "on_ready_to_send", make_ready_to_send(connection.id))

    def fire(self, connection: Connection, name: str, event: Any) -> None:
        """Run the handler for `event`, or let it wait for the one before it."""
        if connection.holds & ~HOLD_APPLICATION:
            self.hold(connection, name, event)
        else:
            self.run(connection, name, event)

    def in_order(self, step: Callable[[], None]) -> None:
        """Run what may fire events, behind the events that wait for their handlers."""
        step()

    def fire_remote(self, name: str, event: Any) -> None:
        """Run the handler for an event of a connection that lives on another shard."""
        handler = getattr(self.handlers, name)
        if handler is None:
            return
        try:
            result = handler(event)
        except self.faults as error:
            self.failed(event.connection_id, name, error)
            return
        if is_work(result):
            self.tasks.spawn(self._guard(result, partial(self.failed, event.connection_id, name)))

    def run(self, connection: Connection, name: str, event: Any) -> None:
        """Run the handler now; a coroutine it returns becomes this connection's task."""
        is_end = name == "on_disconnected"
        if is_end:
            self._ended(connection)
        handler = getattr(self.handlers, name)
        if handler is not None:
            try:
                result = handler(event)
            except self.faults as error:
                self.handler_failed(connection, name, error)
            else:
                if result is not None:
                    self.start(connection, name, result)
        if is_end and connection.task is None:
            self._forget(connection)

    def hold(self, connection: Connection, name: str, event: Any) -> None:
        """Let an event wait until the connection is released."""
        if connection.backlog is None:
            connection.backlog = []
        connection.backlog.append((name, event))

    def start(self, connection: Connection, name: str, result: Awaitable[None]) -> None:
        """Run a coroutine as the connection's only task; any other result is ignored."""
        if not is_work(result):
            return
        self.take(connection, HOLD_TASK)
        failed = partial(self.handler_failed, connection, name)
        task = self.tasks.spawn(self._guard(result, failed))
        connection.task = task
        task.add_done_callback(lambda done: self._finished(connection, done))

    async def _guard(
        self, result: Awaitable[None], failed: Callable[[BaseException], None]
    ) -> None:
        try:
            await self.tasks.within(result)
        except self.faults as error:
            raise_if_ours(error)
            failed(error)

    def _finished(self, connection: Connection, task: asyncio.Task[None]) -> None:
        connection.task = None
        if self.tasks.is_over and connection.backlog:
            connection.backlog = [one for one in connection.backlog if one[0] != "on_data_in"]
        connection.active = connection.owner.now  # while it was not read it could not be idle
        self.release(connection, HOLD_TASK)
        is_over = connection.state == LOST or connection.is_told
        waits = connection.task or connection.backlog or connection.has_input
        if is_over and not waits:
            self._forget(connection)

    def take(self, connection: Connection, hold: int) -> None:
        """Have what comes for a connection wait, for one more reason."""
        connection.holds |= hold
        connection.wait()

    def release(self, connection: Connection, hold: int) -> None:
        """Drop a reason; what waited for it runs, and with the last one the connection goes on."""
        connection.holds &= ~hold
        while connection.backlog:
            position = _next(connection.backlog, connection.holds)
            if position < 0:
                return
            name, event = connection.backlog.pop(position)
            self.run(connection, name, event)
        connection.backlog = None
        if not connection.holds:
            connection.go_on()

    # -- decisions before a connection is open ---------------------------------------------

    def decide(
        self, connection: Connection, name: str, event: D, decided: Callable[[Connection, D], None]
    ) -> None:
        """Ask a handler; `decided` follows at once or when its task is done.

        A handler that raises refuses the connection.
        """
        handler = getattr(self.handlers, name)
        if handler is None:
            decided(connection, event)
            return
        try:
            result = handler(event)
        except self.faults as error:
            self.failed(connection.id, name, error)
            connection.refuse(HandshakeError(500, "the application failed"))
            return
        if not is_work(result):
            decided(connection, event)
            return
        self.take(connection, HOLD_DECISION)
        task = self.tasks.spawn(self._decide_later(connection, name, event, decided, result))
        connection.task = task

    async def _decide_later(
        self,
        connection: Connection,
        name: str,
        event: D,
        decided: Callable[[Connection, D], None],
        result: Awaitable[None],
    ) -> None:
        try:
            await self.tasks.within(result)
        except self.faults as error:
            connection.task = None
            raise_if_ours(error)
            self.failed(connection.id, name, error)
            connection.refuse(HandshakeError(500, "the application failed"))
            self.release(connection, HOLD_DECISION)
        else:
            connection.task = None
            self.release(connection, HOLD_DECISION)
            decided(connection, event)

    # -- the end ---------------------------------------------------------------------------

    def left(self, connection: Connection) -> None:
        """The client has gone: cancel what runs for it, if that is wanted."""
        if self.cancels_on_disconnect:
            connection.drop_input()
            if connection.backlog:
                connection.backlog = [one for one in connection.backlog if one[0] != "on_data_in"]
            if connection.task is not None:
                connection.task.cancel()
        if connection.holds & HOLD_APPLICATION:  # it does not hold back the end, nor the order
            self.release(connection, HOLD_APPLICATION)

    def lost(self, connection: Connection, ending: Ending | None) -> None:
        """Fire Disconnected, once and last; the record goes when its handler is done."""
        if ending is not None and connection.was_opened:
            event = make_disconnected(connection.id, ending.code, ending.reason)
            try:
                self._report_end(connection, ending)
            finally:  # whatever failed, without memory for it: the end is told
                self._fire_end(connection, event)
        else:
            self._forget(connection)

    def _report_end(self, connection: Connection, ending: Ending) -> None:
        if ending.error is not None:
            self.row[PROTOCOL_ERRORS] += 1
            self._reports.ended(connection, "broke the protocol", ending)
            self.error(connection.id, ending.error.code, ending.error.description)
        elif ending.code == ABNORMAL:
            self._reports.ended(connection, "ended without a close frame", ending)

    def _fire_end(self, connection: Connection, event: events.Disconnected) -> None:
        # What an application has paused (AcceptData) does not hold back the end.
        connection.holds &= HOLD_TASK
        backlog, connection.backlog = connection.backlog, None
        for name, waiting in backlog or ():
            self.fire(connection, name, waiting)
        self.fire(connection, "on_disconnected", event)
        if connection.task is not None:
            outlived, patience = self._reports.outlived, self.tasks.patience
            self.tasks.expect(connection.task, lambda: outlived(connection.id, patience))

    def handler_failed(self, connection: Connection, name: str, error: BaseException) -> None:
        """Report an exception of a connection's handler, and do what OnHandlerError says."""
        self.failed(connection.id, name, error)
        if self.closes_on_error:
            connection.disconnect(HANDLER_FAILED.code, HANDLER_FAILED.text)
