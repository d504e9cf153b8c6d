"""One shard in the calling process: `listening`, `do_events`, `shutdown` without a supervisor.

Owns the loop of such a program and runs its turns. When a loop runs already in the calling thread
(a notebook, a test, an asyncio program) the shard uses that one, and do_events is not needed.
"""

import asyncio
import os
import secrets
from functools import partial
from typing import Final

import uvloop

from shardws.close_reasons import SERVER_STOPS
from shardws.errors import StartError, StateError
from shardws.net import sockets
from shardws.net.listener import Listener
from shardws.settings import table
from shardws.settings.values import Settings
from shardws.shard import certificates, configuration, drain, forked_children, interrupts
from shardws.shard.application import Application
from shardws.shard.blocking import BlockingRouter, Wait
from shardws.shard.context import ShardContext
from shardws.shard.deferred import DeferredDispatcher
from shardws.shard.dispatch import Dispatcher
from shardws.shard.lifecycle import Lifecycle
from shardws.shard.shard import Shard
from shardws.stats import Stats

IDLE_S: Final = 0.01  # how long do_events waits when there is nothing to do
WAIT_S: Final = 0.001  # how often a blocking send checks whether its bytes have been sent
CLOSE_S: Final = 2.0  # how long shutdown waits for the clients' close frames


class GuestDispatcher(Dispatcher):
    """On the loop of another program, whose KeyboardInterrupt is not ours to catch."""

    faults = (Exception, SystemExit, asyncio.CancelledError)


class EmbeddedShard:
    """Runs one shard here."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._settings: Settings = application.settings
        try:
            self.loop: asyncio.AbstractEventLoop = asyncio.get_running_loop()
            self._is_own, descriptors = False, frozenset[int]()
        except RuntimeError:
            self._is_own = True
            self.loop, descriptors = forked_children.with_descriptors(uvloop.new_event_loop)
        context = ShardContext(
            0, 0, self._settings[table.NODE], secrets.token_hex(8), os.getpid(), Stats(1)
        )
        arguments = (self.loop, self._settings, application.handlers, context)
        if self._is_own:
            router = partial(BlockingRouter, turner=self)
            self.shard = Shard(*arguments, dispatcher=DeferredDispatcher, router=router)
        else:
            self.shard = Shard(*arguments, dispatcher=GuestDispatcher)
            # In a notebook a handler may run asyncio's loop inside itself (nest_asyncio).
            self.shard.pump.is_nestable = not isinstance(self.loop, uvloop.Loop)
        self.shard.start()
        self._holdings = forked_children.Holdings(
            self.shard, loop=descriptors, others=self.shard.descriptors
        )
        self.listener: Listener | None = None
        self._lifecycle = Lifecycle(self.shard)
        self._failure: StartError | None = None  # of on_start; raised once
        self._starting: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None
        self._waits: list[Wait] = []  # blocking sends, the innermost last
        application.attach(self.shard)

    def listen(self) -> None:
        """Bind LocalHost and LocalPort and accept; StartError says why that failed."""
        settings = self._settings
        site = certificates.build(settings)
        self.shard.secure(site)
        host, port, use_ipv6, is_exclusive, backlog = configuration.binding(settings)
        self.shard.admission.resolve_limit()
        address = sockets.resolve(host, port, use_ipv6)
        bound = sockets.open_port(address, is_shared=not is_exclusive)
        bound.listen(backlog)  # immediately, so that clients may connect before the loop runs
        shard = self.shard
        self.listener = Listener(
            shard.make_connection, bound.sock, shard.log, bound.lock, shard.pump
        )
        self._holdings.ports.add(self.listener.port)
        configuration.begin_listening(settings, self.listener.port)
        certificates.show(settings, site)
        self._starting = self.loop.create_task(self._accept(self.listener, backlog))

    async def _accept(self, listener: Listener, backlog: int) -> None:
        """Accept clients once on_start is done; who connects before that waits in the backlog."""
        try:
            await self._lifecycle.start()
        except StartError as error:
            self._failure = error
            self.shard.log.error("%s", error.description)
            self._starting = None  # it is this task
            self.stop_listening()
        else:
            await listener.start(backlog)

    async def ready(self) -> None:
        """Return when clients are accepted; StartError when on_start failed."""
        if self._starting is not None:
            await asyncio.wait({self._starting})
        self.raise_failure()

    def raise_failure(self) -> None:
        """Raise what on_start failed with, unless that was done."""
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def stop_listening(self) -> None:
        """Stop accepting; connections stay."""
        if self._starting is not None:
            self._starting.cancel()  # it may not have begun
            self._starting = None
        if self.listener is not None:
            self.listener.close()
            self.listener = None
            self._settings.end_listening()

    # -- the turns of an own loop --------------------------------------------------------------

    def do_events(self) -> None:
        """Run the loop for pending work, then the handlers; wait up to 10 ms when there is none."""
        dispatch = self._deferring()
        self.shard.calls.thread.claim()
        if self.loop.is_running():
            raise StateError("do_events cannot be called from a coroutine: await instead")
        blocked = dispatch.block()
        try:
            self._run_loop(0.0 if dispatch.queue else IDLE_S)
            if dispatch.run_queued() and not self.loop.is_closed():
                self._run_loop(0.0)  # what the handlers sent goes out now, not at the next call
        finally:
            dispatch.unblock(blocked)
        self.raise_failure()

    def turn(self, wait: Wait) -> None:
        """Run one loop turn for a blocking send; SendInterrupted (301) when that is over."""
        dispatch = self._deferring()
        now = self.loop.time()
        wait.check(now)
        self._waits.append(wait)
        blocked = dispatch.block()
        try:
            self._run_loop(min(WAIT_S, wait.deadline - now))
            dispatch.run_queued()
        finally:
            dispatch.unblock(blocked)
            self._waits.remove(wait)
        if self.loop.is_closed():
            wait.is_interrupted = True
        wait.check(now)

    def interrupt(self, connection_id: int) -> None:
        """End the blocking sends of a connection; may be called from another thread."""
        for wait in list(self._waits):
            if wait.connection_id == connection_id:
                wait.is_interrupted = True
                self.loop.call_soon_threadsafe(self.loop.stop)

    def _deferring(self) -> DeferredDispatcher:
        dispatch = self.shard.dispatch
        if not isinstance(dispatch, DeferredDispatcher):
            raise StateError("do_events is not needed: the server runs on the loop of this thread")
        return dispatch

    def _run_loop(self, seconds: float) -> None:
        """Run the loop until something is queued, for at most `seconds`."""
        end = self.loop.call_later(seconds, self.loop.stop)
        with interrupts.kept(self.loop.stop):
            try:
                self.loop.run_forever()
            finally:
                end.cancel()
        if self.is_over and not self.loop.is_closed():
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            self.loop.close()

    @property
    def is_over(self) -> bool:
        """Whether everything has ended, and the object cannot be used any more."""
        return self._ending is not None and self._ending.done()

    # -- the end -------------------------------------------------------------------------------

    def shutdown(self) -> "asyncio.Task[None] | None":
        """Close all clients with 1001 and end.

        On another loop, or from a coroutine, it runs as a task of the loop, which is returned.
        """
        self.stop_listening()
        dispatch = self.shard.dispatch
        if isinstance(dispatch, DeferredDispatcher):
            if not self.loop.is_running():
                dispatch.run_queued()
            dispatch.is_deferring = False
        if self._ending is None:
            self._ending = self.loop.create_task(self._end())
        if not self._is_own or self.loop.is_running():
            return self._ending
        while not self._ending.done():
            self._run_loop(IDLE_S)
        self._ending.result()
        return None

    async def _end(self) -> None:
        self.shard.dispatch.tasks.is_ending = True
        await drain.drain(self.shard, SERVER_STOPS, 0.0, CLOSE_S)
        await self.shard.dispatch.tasks.settle(CLOSE_S)
        await self._lifecycle.stop(CLOSE_S)
        self.shard.stop()
        await asyncio.sleep(0)  # connection_lost of what was aborted
