"""One shard in the calling process: `listening`, `do_events`, `shutdown` without a supervisor.

Owns the loop of such a program and the turns it is given. When a loop runs already in the calling
thread (a notebook, a test, an asyncio program) the shard lives on that one, and do_events is not
needed. Must not know what the application does.
"""

import asyncio
import os
import secrets
from typing import Final

import uvloop

from shardws.errors import StateError
from shardws.net import sockets
from shardws.net.listener import Listener
from shardws.settings import table
from shardws.settings.values import Settings
from shardws.shard import certificates, configuration, drain
from shardws.shard.application import Application
from shardws.shard.shard import Place, Shard
from shardws.stats import Stats

IDLE_S: Final = 0.01  # how long do_events waits when there is nothing to do
CLOSE_S: Final = 2.0  # how long shutdown waits for the clients' close frames


class Pump:
    """Runs one shard here."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._settings: Settings = application.settings
        try:
            self.loop: asyncio.AbstractEventLoop = asyncio.get_running_loop()
            self._is_own = False
        except RuntimeError:
            self.loop = uvloop.new_event_loop()
            self._is_own = True
        place = Place(0, 0, self._settings[table.NODE], secrets.token_hex(8), os.getpid(), Stats(1))
        self.shard = Shard(self.loop, self._settings, application.handlers, place)
        self.shard.start()
        self.listener: Listener | None = None
        self._starting: asyncio.Task[None] | None = None
        application.attach(self.shard)

    def listen(self) -> None:
        """Bind LocalHost and LocalPort and accept; StartError says why that cannot be."""
        settings = self._settings
        site = certificates.build(settings)
        self.shard.secure(site)
        host, port, use_ipv6, is_exclusive, backlog = configuration.binding(settings)
        address = sockets.resolve(host, port, use_ipv6)
        sock = sockets.bind(address, use_ipv6, share=not is_exclusive)
        sock.listen(backlog)  # at once, so that clients may connect before the loop turns
        self.listener = Listener(self.shard.make_connection, sock)
        configuration.begin_listening(settings, self.listener.port)
        certificates.show(settings, site)
        self._starting = self.loop.create_task(self.listener.start(backlog))

    def stop_listening(self) -> None:
        """Stop accepting; connections stay."""
        if self.listener is not None:
            self.listener.close()
            self.listener = None
            self._settings.end_listening()

    def do_events(self) -> None:
        """Run the loop for what is waiting; wait up to 10 ms when nothing is."""
        if not self._is_own:
            raise StateError("do_events is not needed: the server runs on the loop of this thread")
        loop = self.loop
        idle = loop.call_later(IDLE_S, loop.stop)
        self.shard.dispatch.on_activity = loop.stop
        try:
            loop.run_forever()
        finally:
            self.shard.dispatch.on_activity = None
            idle.cancel()

    def shutdown(self) -> "asyncio.Task[None] | None":
        """Close all clients with 1001 and end; on a foreign loop as a task of it, returned."""
        self.stop_listening()
        if not self._is_own:
            return self.loop.create_task(self._end())
        self.loop.run_until_complete(self._end())
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()
        return None

    async def _end(self) -> None:
        await drain.drain(self.shard, 1001, "the server stops", 0.0, CLOSE_S)
        await self.shard.dispatch.settle(CLOSE_S)
        self.shard.stop()
