"""drain: nobody who was accepted is forgotten."""

import asyncio

import pytest

from shardws.close_reasons import SERVER_RESTARTS
from shardws.protocol.session import Session
from shardws.shard import drain


class Client:
    """A connection that opens when it is let, and ends when it is told."""

    def __init__(self, shard: "Shard") -> None:
        self.shard = shard
        self.session: Session | None = None
        self.is_opening = True
        self.told: list[int] = []
        self.is_aborted = False

    def disconnect(self, code: int, reason: str) -> None:
        self.told.append(code)
        self.shard.connections.discard(self)

    def abort(self) -> None:
        self.is_aborted = True


class Shard:
    def __init__(self) -> None:
        self.connections: set[Client] = set()


@pytest.mark.parametrize("turns", [1, 2])
def test_a_socket_that_was_just_accepted_is_waited_for(turns: int) -> None:
    """An empty shard ended before the loop had made a connection of it: reset without an answer."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        shard = Shard()
        client = Client(shard)

        def accept(left: int) -> None:
            if left:
                loop.call_soon(accept, left - 1)
            else:
                shard.connections.add(client)
                loop.call_later(0.1, finish_opening)

        def finish_opening() -> None:
            client.is_opening = False

        loop.call_soon(accept, turns - 1)
        assert await drain.drain(shard, SERVER_RESTARTS, 0.0, 5.0) == 0
        assert client.told == [1012]
        assert not client.is_aborted

    asyncio.run(main())
