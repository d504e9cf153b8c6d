"""WebSocketServer: the public API.

Owns the names; each method is a line or two that calls the module responsible. The same object
serves both uses: `shardws run module:attr` loads it in every shard; a program that sets `listening`
itself has one shard in its own process, driven by `do_events()`.
"""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Final, Never, cast

from shardws import arguments, attributes, events
from shardws.accessors import ConnectionAccessors, Connections
from shardws.errors import NoSuchConnection, ShardwsError, StateError
from shardws.events import Handlers
from shardws.handlers import HandlerAttributes
from shardws.net.pump import Sender
from shardws.outcomes import Outcome, SendOutcome
from shardws.routing.router import Router
from shardws.settings import config
from shardws.settings.properties import SettingProperties
from shardws.settings.values import Settings
from shardws.shard import certificates, configuration, configuring, files, snapshot
from shardws.shard.embedded import IDLE_S, EmbeddedShard
from shardws.shard.loop_thread import LoopThread
from shardws.shard.routing_sink import CONFIGURE, SET, change, encoded
from shardws.shard.shard import Shard
from shardws.shard.snapshot import ConnectionSnapshot
from shardws.shard.thread_router import ThreadRouter
from shardws.stats import CONNECTIONS

AnyRouter = Router | ThreadRouter
Data = bytes | bytearray | memoryview

QUERY_S: Final = 10.0  # for a thread, of a query that has a shorter deadline of its own
SHUTDOWN_S: Final = 60.0  # likewise
NOT_RUNNING: Final = "the server does not run yet: set listening, or use `shardws run`"


class Nowhere:
    """Stands in for the router until there is one, so that a send need not check."""

    def __getattr__(self, name: str) -> Never:
        if name.startswith("_"):  # what copy and the like look for
            raise AttributeError(name)
        raise StateError(NOT_RUNNING)


NOWHERE: Final = cast(Router, Nowhere())


class WebSocketServer(SettingProperties, HandlerAttributes, ConnectionAccessors, Sender):
    """A WebSocket server: settings are properties, `on_<event>` attributes take handlers.

    Any thread may call any method (docs/topics/threads.md). Setting a misspelt attribute raises
    UsageError (214); a subclass declares its own attributes in the class body.
    """

    __slots__ = (
        "__weakref__",
        "_choose",
        "_embedded",
        "_other_router",
        "_router",
        "_shard",
        "_shutdown",
        "connections",
        "handlers",
        "settings",
    )

    def __init__(self) -> None:
        self.settings = Settings()
        certificates.show_selection(self.settings)
        self.handlers = Handlers()
        self.connections = Connections()
        self._shard: Shard | None = None
        self._choose = LoopThread().mark.choose  # between the two, by the calling thread
        self._router: Router = NOWHERE  # for calls of the loop's thread
        self._other_router: AnyRouter = NOWHERE  # for those of all others
        self.route(self._choose, NOWHERE, NOWHERE, None)
        self._embedded: EmbeddedShard | None = None
        self._shutdown: asyncio.Task[None] | None = None

    def __setattr__(self, name: str, value: object) -> None:
        attributes.check(type(self), name)
        super().__setattr__(name, value)

    # -- how it runs -----------------------------------------------------------------------

    def attach(self, shard: Shard) -> None:
        """Attach the shard that serves this object; called by the shard's creator."""
        self._shard = shard
        self._choose = shard.calls.thread.mark.choose
        self._router = shard.router
        self._other_router = ThreadRouter(shard.router, shard.calls)
        self.route(self._choose, self._router, self._other_router, shard.router.direct)
        self.connections.shard = shard

    @property
    def attached(self) -> Shard:
        """The shard that serves this object, for the layer above; StateError (211) before."""
        return self._running()

    @property
    def shard(self) -> int:
        """The slot of the shard that runs this code, 0 in a single process."""
        return self._running().context.slot

    @property
    def listening(self) -> bool:
        """Whether the server accepts connections. True binds and accepts; False keeps open ones.

        UsageError (213) for a value that is neither True nor False.
        """
        return self.settings.is_listening

    @listening.setter
    def listening(self, wanted: bool) -> None:
        wanted = arguments.boolean(wanted, "listening")
        if self._embedded is not None and not self._embedded.is_over:
            self._on_loop(lambda: self._set_listening(wanted))
        else:
            self._set_listening(wanted)

    def _set_listening(self, wanted: bool) -> None:
        if wanted == self.settings.is_listening:
            return
        if self._shard is not None and self._embedded is None:
            raise StateError("the supervisor decides whether this server listens")
        if wanted:
            if self._embedded is None or self._embedded.is_over:
                self._embedded = EmbeddedShard(self)
            self._embedded.listen()
        elif self._embedded is not None:
            self._embedded.stop_listening()

    async def ready(self) -> None:
        """Return when clients are accepted: `on_start` is done. StartError when that has failed.

        For a program on whose loop the server runs; under `shardws run` it returns at once.
        """
        if self._embedded is not None:
            await self._embedded.ready()

    def do_events(self) -> None:
        """Process pending work; return within about 10 ms when there is none.

        StartError when `on_start` has raised.

        Handlers run in this call, outside the event loop, so they may block in a send. After
        `shutdown` it only waits, so that a `while True` around it is harmless. Only one thread may
        call it: StateError (211) in another one while that thread is alive.
        """
        if self._embedded is None:
            raise StateError("set listening to True first")
        if self._embedded.is_over:
            time.sleep(IDLE_S)
        else:
            self._embedded.do_events()

    def interrupt(self, connection_id: int) -> None:
        """End a blocking send of a connection with SendInterrupted 301.

        May be called from a handler that runs meanwhile, or from another thread. It has no effect
        when no send of that connection blocks.
        """
        if self._embedded is not None:
            self._embedded.interrupt(connection_id)

    def shutdown(self) -> None:
        """Stop listening, close every client with 1001, and end; idempotent.

        On a running loop this only starts it; await `shutdown_complete()` for the end.
        Under `shardws run` the whole server stops, all shards, as with SIGTERM to the supervisor. A
        call from another thread waits until it has begun.
        """
        if not self._is_over:
            self._on_loop(self._begin_shutdown)

    @property
    def _is_over(self) -> bool:
        return self._embedded is not None and self._embedded.is_over

    def _begin_shutdown(self) -> None:
        if self._embedded is not None:
            if not self._embedded.is_over:
                self._shutdown = self._embedded.shutdown()
        elif self._shard is not None:
            self._shard.context.stop_server()

    async def shutdown_complete(self) -> None:
        """Shut down, and return when the last client is gone.

        Under `shardws run` it returns at once: this process ends with its last client.
        """
        if self._is_elsewhere and not self._is_over:
            await self._running().calls.run(self.shutdown_complete, SHUTDOWN_S)
            return
        self.shutdown()
        if self._shutdown is not None:
            await self._shutdown

    def config(self, text: str) -> str:
        """Read or write a setting: "Name=Value", "Name", "Name[id]".

        In a handler under `shardws run` it holds for this shard alone, until that is replaced, and
        a setting that only a reload applies is refused (211). `configure` sets all shards.

        "Name[id]" is of a connection of this shard; for one of another it raises StateError (211):
        await `connection(id)`, whose snapshot has `uid`, `message_length` and `negotiated`, or
        `set_connection(id, message_length=...)`.
        """
        return config.run(self.settings, self.connections, text)

    async def configure(self, **values: object) -> dict[int, ShardwsError | None]:
        """Set settings of all shards while they run: `await server.configure(max_groups=10)`.

        Returns for each slot None, or the error that prevented it there (10065 went down, 301 no
        reply within 5 s). Raises one SettingError for all names and values that cannot be set; then
        nothing is set. A shard that starts later begins with the values of the file and the code.
        """
        shard = self._running()
        if self._is_elsewhere:
            return await shard.calls.run(lambda: self.configure(**values), QUERY_S)
        text = configuring.check(self.settings, values)
        configuring.take(self.settings, text)
        replies = await self._router.query_each(CONFIGURE + text)
        return configuring.outcomes(shard.context.slot, replies)

    @property
    def web_socket_connection_count(self) -> int:
        """Connections of the whole server, from shared memory."""
        return 0 if self._shard is None else self._shard.context.stats.total(CONNECTIONS)

    async def connection(self, connection_id: int) -> ConnectionSnapshot:
        """Return the current properties of a connection on any shard.

        Raises NoSuchConnection (1117), ShardwsError 10065 when its shard is down, and
        SendInterrupted (301) when that does not reply within 5 s.
        """
        if self._shard is None:
            raise NoSuchConnection(connection_id)
        if self._is_elsewhere:
            return await self._shard.calls.run(lambda: self.connection(connection_id), QUERY_S)
        if connection_id in self.connections:
            return snapshot.take(self.connections[connection_id])
        return snapshot.decode(await self._router.query(connection_id, snapshot.QUERY))

    async def set_connection(
        self, connection_id: int, **values: bool | int | Data
    ) -> ConnectionSnapshot:
        """Set properties of a connection on any shard, and return its properties afterwards.

        They are accept_data, data_format, message_length, timeout and user_data; UsageError (213)
        for others and for values that do not fit. Else it raises what `connection` does.
        """
        if self._shard is not None and self._is_elsewhere:
            make = partial(self.set_connection, connection_id, **values)
            return await self._shard.calls.run(make, QUERY_S)
        if connection_id in self.connections:
            change(self.connections[connection_id], values)
            return await self.connection(connection_id)
        query = SET + encoded(values)
        return snapshot.decode(await self._router.query(connection_id, query))

    async def connection_ids(self) -> list[int]:
        """Return the ids of all open connections of the server, sorted.

        A shard that does not reply within 5 s, or goes down meanwhile, is left out.
        """
        shard = self._running()
        if self._is_elsewhere:
            return await shard.calls.run(self.connection_ids, QUERY_S)
        return sorted(await shard.all_ids())

    # -- sending ---------------------------------------------------------------------------

    def send_file(self, connection_id: int, path: files.Path) -> SendOutcome:
        """Send a file as one message, read as fast as the client receives it, from any shard.

        Raises ShardwsError 302 when it cannot be opened. It is binary unless the connection's
        DataFormat says text; what is sent to the connection meanwhile waits behind it. It has the
        size of the file at the call: what is appended later is left out, and a file that becomes
        shorter is DROPPED with an Error event, and the client closed with 1011 if it has a part of
        it already. The outcome is known when the last of it is in the outgoing queue.
        """
        source = files.FileSource(path)
        return self._routes.stream(connection_id, events.FORMAT_AUTOMATIC, source)

    def disconnect(
        self, connection_id: int, code: int | None = None, reason: str | None = None
    ) -> SendOutcome:
        """Close a connection of any shard with a close frame of that code and reason.

        Without a code: DisconnectStatusCode and its description; with one: no reason unless it is
        given. UsageError (213) for what no close frame may carry (RFC 6455 5.5, 7.4): a code other
        than 1000-1003, 1007-1014 and 3000-4999, or more than 123 bytes of reason.
        """
        closing = configuration.goodbye(self.settings)
        if code is not None:
            closing = code, ""
        if reason is not None:
            closing = closing[0], reason
        return self._routes.disconnect(connection_id, *closing)

    # -- groups ---------------------------------------------------------------------

    def join(self, connection_id: int, group: str) -> SendOutcome:
        """Put a connection of any shard into a group."""
        return self._routes.join(connection_id, group)

    def leave(self, connection_id: int, group: str) -> SendOutcome:
        """Take a connection of any shard out of a group."""
        return self._routes.leave(connection_id, group)

    def publish(self, group: str, data: str | Data) -> SendOutcome:
        """Send to every member of a group on all shards: str as text, bytes as binary.

        The outcome is about the shards: QUEUED when the link to each one with members accepted the
        message, FULL or UNREACHABLE when one did not, so that its members miss it.
        """
        return self._routes.publish(group, *formatted(data))

    def broadcast(self, data: str | Data) -> SendOutcome:
        """Send to every connection of the server: str as text, bytes as binary.

        The outcome is as that of `publish`.
        """
        return self._routes.broadcast(*formatted(data))

    def _send_formatted(self, connection_id: int, payload: bytes) -> None:
        """See ConnectionAccessors.set_web_socket_connection_data_to_send."""
        self._on_loop(lambda: self._send_formatted_here(connection_id, payload))

    def _send_formatted_here(self, connection_id: int, payload: bytes) -> None:
        if self._shard is None:
            raise NoSuchConnection(connection_id)
        outcome = self._shard.send_formatted(connection_id, payload).outcome
        if outcome is Outcome.FULL:
            raise ShardwsError(code=135)
        if outcome is not None and not outcome.is_success:
            self._running().routing_sink.send_failed(connection_id, outcome)

    # -- threads ---------------------------------------------------------------------------

    @property
    def _is_elsewhere(self) -> bool:
        """Whether this thread is not the loop's; false while there is no loop."""
        return self._shard is not None and not self._shard.calls.thread.is_here

    @property
    def _routes(self) -> AnyRouter:
        """The router for calls of this thread."""
        return self._choose(self._router, self._other_router)

    def _on_loop(self, function: Callable[[], None]) -> None:
        """Call a function on the loop's thread; other threads wait for it (ThreadCalls.ask)."""
        if self._shard is not None and not self._shard.calls.thread.is_here:
            self._shard.calls.ask(function)
        else:
            function()

    # -- inner -----------------------------------------------------------------------------

    def _running(self) -> Shard:
        if self._shard is None:
            raise StateError(NOT_RUNNING)
        return self._shard


def formatted(data: str | Data) -> tuple[int, bytes]:
    """Return the data format and payload of a value by its type; UsageError (213)."""
    kind = events.FORMAT_TEXT if isinstance(data, str) else events.FORMAT_BINARY
    return kind, arguments.payload(data)
