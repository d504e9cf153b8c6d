"""App: an application of routes.

Owns the decorators and the order of start and stop. The server below it stays whole: settings,
events and methods of `app.server` work beside the routes, and its handlers get the connections that
no route serves.
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Coroutine
from types import SimpleNamespace
from typing import Any, Final, TypeVar, Unpack

import uvloop

from shardws import arguments
from shardws.app.routes import RouteHandler, Routes
from shardws.app.sessions import Sessions
from shardws.app.timers import Background, On, Timer, Work, checked
from shardws.app.websocket import Data
from shardws.errors import StateError, UsageError
from shardws.events import Start, Stop
from shardws.outcomes import SendOutcome
from shardws.server import WebSocketServer
from shardws.settings.keywords import SettingKeywords
from shardws.settings.names import unknown
from shardws.settings.values import Settings, Source
from shardws.shard.tasks import is_work, raise_if_ours

LOCAL_HOST: Final = "127.0.0.1"
LOCAL_PORT: Final = 9001

R = TypeVar("R", bound=RouteHandler)
W = TypeVar("W", bound=Work)
T = TypeVar("T")


class App:
    """An application: `@app.route("/chat/{room}")` has one coroutine serve each client.

    Settings are keyword arguments; without them it listens on 127.0.0.1:9001. `app.server` is the
    WebSocketServer below, `app.state` a place for what the application shares in one shard.
    `shardws run module:app` serves it on all cores, `app.run()` in this process.
    """

    __slots__ = (
        "__weakref__",
        "_background",
        "_routes",
        "_sessions",
        "_starts",
        "_stops",
        "_timers",
        "server",
        "state",
    )

    def __init__(self, **settings: Unpack[SettingKeywords]) -> None:
        """UsageError: 214 for an unknown name, with the nearest right one; 213 for a bad value."""
        self.server: WebSocketServer = WebSocketServer()
        self.state: Any = SimpleNamespace()
        self._routes = Routes()
        self._starts: list[Work] = []
        self._stops: list[Work] = []
        self._timers: list[Timer] = []
        self._background: Background | None = None
        self._set({"local_host": LOCAL_HOST, "local_port": LOCAL_PORT, **settings})
        self.server.buffer_message = True
        self._sessions = Sessions(self.server, self._routes)
        self._sessions.layer(self._start, self._stop)

    def _set(self, settings: dict[str, object]) -> None:
        for name, value in settings.items():
            if name == "buffer_message":
                raise UsageError("an App always gets whole messages", code=213)
            if name not in SettingKeywords.__annotations__:
                raise UsageError(unknown(name), code=214)
            self.server.settings.assign(name, value)

    @property
    def settings(self) -> Settings:
        """The settings of the server."""
        return self.server.settings

    # -- what an application declares --------------------------------------------------------

    def route(self, pattern: str) -> Callable[[R], R]:
        """Serve the clients of a path by a coroutine function: `handler(ws, **parameters)`.

        `{name}` is one segment, `{name:int}` a number, `{name:path}` the rest of the path. A path
        of no route is 404. UsageError (213) for a pattern or handler that cannot be one, or paths
        that another route has.
        """

        def add(handler: R) -> R:
            self._routes.add(pattern, handler)
            return handler

        return add

    def on_start(self, work: W) -> W:
        """Call a function, plain or async, in each shard before it accepts clients.

        What it raises is a start that failed.
        """
        self._starts.append(_called(work, "on_start"))
        return work

    def on_stop(self, work: W) -> W:
        """Call a function, plain or async, in each shard after its last client.

        The last one added is called first. All together have a second at least; what they raise is
        logged.
        """
        self._stops.append(_called(work, "on_stop"))
        return work

    def every(self, seconds: float, on: On = "each") -> Callable[[W], W]:
        """Call a function, plain or async, every `seconds`, in each shard or in one of the server.

        The one is replaced within a second of its death. UsageError (213) for another `on`, or a
        period below a millisecond.
        """

        def add(work: W) -> W:
            self._timers.append(checked(_called(work, "every"), seconds, on))
            return work

        return add

    # -- while it runs -----------------------------------------------------------------------

    def task(self, coroutine: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """Run a coroutine in the background of this shard, until it is done or the shard ends.

        What it raises is logged. StateError (211) before on_start.
        """
        if self._background is None:
            coroutine.close()
            raise StateError("there is no loop yet: start tasks in on_start or later")
        return self._background.spawn(coroutine, "a task of the app")

    def send(self, connection_id: int, data: Data) -> SendOutcome:
        """Send one message to a client of any shard: str as text, bytes as binary."""
        if isinstance(data, str):
            return self.server.send_text(connection_id, data)
        return self.server.send(connection_id, data)

    def publish(self, group: str, data: Data) -> SendOutcome:
        """Send to every member of a group on all shards: str as text, bytes as binary."""
        return self.server.publish(group, data)

    def broadcast(self, data: Data) -> SendOutcome:
        """Send to every client of all shards: str as text, bytes as binary."""
        return self.server.broadcast(data)

    # -- start and stop ----------------------------------------------------------------------

    async def _start(self, e: Start) -> None:
        # No file and no flag may turn it off: a route takes a message for a whole one.
        self.settings.assign("buffer_message", True, Source.RUNTIME)
        self._sessions.begin(self.server.attached)
        self._background = Background(self.server.attached)
        await _run(self.server.on_start, e)
        for work in self._starts:
            await _run(work)
        self._background.begin(self._timers)

    async def _stop(self, e: Stop) -> None:
        if self._background is not None:
            await self._background.end()
        for work in reversed(self._stops):
            await self._report(work)
        await _run(self.server.on_stop, e)

    async def _report(self, work: Work) -> None:
        """Run one function of on_stop; those that follow run whatever it raises."""
        dispatch = self.server.attached.dispatch
        try:
            await _run(work)
        except dispatch.faults as error:
            raise_if_ours(error)
            dispatch.failed(0, "on_stop", error)

    # -- in this process ---------------------------------------------------------------------

    def run(self) -> None:
        """Serve in this process, one shard, until SIGINT or SIGTERM.

        StartError when the port cannot be had or on_start raises.
        """
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self.serve())

    async def serve(self) -> None:
        """Serve on the running loop until SIGINT or SIGTERM, or until cancelled."""
        loop = asyncio.get_running_loop()
        end = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, end.set)
        try:
            self.server.listening = True
            await self.server.ready()
            await end.wait()
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)
            await self.server.shutdown_complete()


def _called(work: W, what: str) -> W:
    """Return it; UsageError (213) for what cannot be called without arguments."""
    if not callable(work):
        raise arguments.bad(what, "a function", work)
    return work


async def _run(work: Callable[..., Awaitable[None] | None] | None, *given: object) -> None:
    result = None if work is None else work(*given)
    if is_work(result):
        await result
