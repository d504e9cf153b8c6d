"""Queries about connections of other shards, and the replies to theirs.

Owns the open queries, each with a deadline; the shard defines what can be asked. A reply is JSON
made by the owner of the connection.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from shardws.errors import NoSuchConnection, SendInterrupted, ShardwsError, UsageError
from shardws.outcomes import Outcome
from shardws.routing.outbound_link import OutboundLink
from shardws.wire.codec import encode
from shardws.wire.messages import QUERY, REPLY

MAX_OPEN: Final = 4096
UNREACHABLE_CODE: Final = 10065
WOULD_BLOCK_CODE: Final = 135

MakeReply = Callable[[int, str], bytes | None]


def _expire(future: asyncio.Future[bytes], timeout: float) -> None:
    if not future.done():
        future.set_exception(SendInterrupted(f"no reply from the shard in {timeout} s"))


class Queries:
    """Open queries of this shard by their tokens."""

    def __init__(self, loop: asyncio.AbstractEventLoop, make_reply: MakeReply) -> None:
        self._loop = loop
        self._make_reply = make_reply
        self._open: dict[int, tuple[int, asyncio.Future[bytes], int]] = {}
        self._token = 0

    def reply(self, token: int, connection_id: int, what: str, room: int) -> bytes:
        """Return the REPLY to a query that came over a link, whose reply may have `room` bytes.

        A longer one is an error of that query: it must not break the link to the peer that asked.
        """
        try:
            body = self._make_reply(connection_id, what)
        except UsageError as error:
            return encode(REPLY, token, False, error.description.encode())
        if body is not None and len(body) > room:
            text = f"its reply of {len(body)} bytes does not fit the link now"
            return encode(REPLY, token, False, text.encode())
        return encode(REPLY, token, body is not None, body or b"")

    async def ask(self, link: OutboundLink, connection_id: int, what: str, timeout: float) -> bytes:
        """Ask the owner of a connection; return its JSON.

        Raises NoSuchConnection, UsageError for an invalid query, SendInterrupted (301) after
        `timeout` seconds, ShardwsError 10065 when the owner went down, 135 when too many queries
        are open.
        """
        if len(self._open) >= MAX_OPEN:
            raise ShardwsError("too many open queries", code=WOULD_BLOCK_CODE)
        self._token = token = self._token + 1
        if not link.offer(encode(QUERY, token, connection_id, what)):
            is_full = link.refusal is Outcome.FULL
            code = WOULD_BLOCK_CODE if is_full else UNREACHABLE_CODE
            raise ShardwsError("the link to the shard takes no query now", code=code)
        future: asyncio.Future[bytes] = self._loop.create_future()
        self._open[token] = (link.incarnation, future, connection_id)
        deadline = self._loop.call_later(timeout, _expire, future, timeout)
        try:
            return await future
        finally:
            deadline.cancel()
            del self._open[token]

    async def relay(
        self, link: OutboundLink, connection_id: int, what: str, timeout: float
    ) -> tuple[bool, bytes]:
        """Ask for a peer; return what its REPLY has to say: whether it is one, and the JSON."""
        try:
            return True, await self.ask(link, connection_id, what, timeout)
        except NoSuchConnection:
            return False, b""
        except ShardwsError as error:
            return False, error.description.encode()

    def resolve(self, incarnation: int, token: int, is_ok: bool, body: bytes) -> None:
        """Take a REPLY; one to nothing, or from the wrong shard, is too late and ignored."""
        peer, future, connection_id = self._open.get(token, (-1, None, 0))
        if future is None or peer != incarnation or future.done():
            return
        if is_ok:
            future.set_result(body)
        elif body:
            future.set_exception(UsageError(body.decode(errors="replace"), code=213))
        else:
            future.set_exception(NoSuchConnection(connection_id))

    def fail(self, incarnation: int) -> None:
        """A shard's link is gone: its replies will not arrive."""
        for peer, future, _ in list(self._open.values()):
            if peer == incarnation and not future.done():
                future.set_exception(ShardwsError("the shard went down", code=UNREACHABLE_CODE))
