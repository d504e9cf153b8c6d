"""The channels to all shards.

Owns the channel of each process, from its fork until it is reaped, and its registration with the
supervisor's loop. A shard whose channel breaks is killed; one that closes it, as each does when it
ends, is killed if it has not exited after GONE_DEADLINE.
"""

import contextlib
import selectors
import signal
import time
from collections.abc import Callable
from typing import Any

from shardws.log import logger
from shardws_supervisor.shards.channel import Channel, ChannelError, KeptChannel
from shardws_supervisor.shards.slots import ShardProcess
from shardws_supervisor.shards.watchdog import send

GONE_DEADLINE = 5.0  # seconds from the close of its channel to SIGKILL

log = logger("supervisor.shards")


class Channels:
    """See the module docstring; `heard(process, kind, fields)` is called for each message."""

    def __init__(
        self,
        selector: selectors.BaseSelector,
        heard: Callable[[ShardProcess, int, list[Any]], None],
    ) -> None:
        self._selector = selector
        self._heard = heard
        self._streams: dict[int, Channel] = {}  # by pid

    def open(self, process: ShardProcess, stream: Channel) -> None:
        """Register the channel of a new shard."""
        self._streams[process.pid] = stream
        self._selector.register(stream, selectors.EVENT_READ, lambda: self._readable(process))

    def keep(self, process: ShardProcess) -> KeptChannel:
        """Return what `adopt` needs."""
        return self._streams[process.pid].keep()

    def adopt(self, process: ShardProcess, kept: KeptChannel) -> None:
        """Go on with a channel that this process had before an exec."""
        stream = self._streams[process.pid] = Channel.adopt(kept)
        if not stream.is_closed:
            self._selector.register(stream, selectors.EVENT_READ, lambda: self._readable(process))
            self._watch(stream, process)

    def all(self) -> list[Channel]:
        """Return all channels: no child may keep their descriptors."""
        return list(self._streams.values())

    def tell(self, process: ShardProcess, kind: int, *fields: Any) -> None:
        """Send a message to a shard; one whose channel is broken is killed."""
        stream = self._streams[process.pid]
        if stream.is_closed:
            return
        try:
            stream.send(kind, *fields)
            self._watch(stream, process)
        except ChannelError as error:
            self._kill(process, str(error))

    def close(self, process: ShardProcess) -> list[tuple[Any, ...]]:
        """Remove a dead shard; return the messages still in its channel, such as a FAILED."""
        stream = self._streams.pop(process.pid)
        last: list[tuple[Any, ...]] = []
        with contextlib.suppress(ChannelError, OSError):
            while not stream.is_closed and (received := stream.receive()):
                last += received
        with contextlib.suppress(KeyError):
            self._selector.unregister(stream)
        stream.close()
        return last

    def _readable(self, process: ShardProcess) -> None:
        stream = self._streams[process.pid]
        try:
            if stream.has_unsent:
                stream.flush()
            for kind, *fields in stream.receive():
                self._heard(process, kind, fields)
        except ChannelError as error:
            self._kill(process, str(error))
            return
        if stream.is_closed:
            self._selector.unregister(stream)
            process.is_gone = True
            latest = time.monotonic() + GONE_DEADLINE
            process.deadline = latest if process.deadline is None else min(latest, process.deadline)
        else:
            self._watch(stream, process)

    def _watch(self, stream: Channel, process: ShardProcess) -> None:
        wanted = selectors.EVENT_READ
        if stream.has_unsent:
            wanted |= selectors.EVENT_WRITE
        self._selector.modify(stream, wanted, lambda: self._readable(process))

    def _kill(self, process: ShardProcess, reason: str) -> None:
        log.error("%s (pid %d) killed: %s", process.name, process.pid, reason)
        send(process, signal.SIGKILL)
