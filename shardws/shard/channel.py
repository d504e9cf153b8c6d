"""The shard's end of its channel to the supervisor.

Owns what the supervisor may ask and what the shard reports. A closed channel means that the
supervisor is gone: the shard ends by itself.
"""

import asyncio
from collections.abc import Callable
from typing import Any, cast

from shardws.errors import WireError
from shardws.log import Adapter
from shardws.wire import codec, messages

CHANNEL_LIMIT = 1 << 20  # bytes of one message: PEERS of 512 rows is some 8 KiB


class SupervisorChannel(asyncio.Protocol):
    """Exchanges messages with the supervisor; `on_message(kind, fields)` gets its messages."""

    def __init__(
        self,
        log: Adapter,
        on_message: Callable[[int, tuple[Any, ...]], None],
        on_closed: Callable[[], None],
    ) -> None:
        self._log = log
        self._on_message = on_message
        self._on_closed = on_closed
        self._decoder = codec.Decoder(CHANNEL_LIMIT, messages.SUPERVISOR)
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            received = self._decoder.feed(data)
        except WireError as error:
            self._log.error("malformed message from the supervisor: %s", error)
            assert self._transport is not None
            self._transport.abort()
            return
        for kind, *fields in received:
            self._on_message(kind, tuple(fields))

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._on_closed()

    def report(self, kind: int, *fields: Any) -> None:
        """Send one message to the supervisor, unless it is gone."""
        if self._transport is not None:
            self._transport.write(codec.encode(kind, *fields))

    def close(self) -> None:
        """Close after pending data is written."""
        if self._transport is not None:
            self._transport.close()
