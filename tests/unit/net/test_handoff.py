"""handoff: a socket that is handed over to a process without a free descriptor."""

import asyncio
import os
import resource
import socket
from collections.abc import Iterator
from types import ModuleType

import pytest
import uvloop

from shardws.net.handoff import Receiver
from tests.unit.net.pump.pump_fixture import C, needs_c, new_pump

DEADLINE_S = 10.0


class Made(asyncio.Protocol):
    """Hears of the socket that was taken."""

    def __init__(self) -> None:
        self.is_there = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()
        self.is_there.set()


@pytest.fixture
def way() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Return both ends of the way to a shard."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        yield ours, theirs


@pytest.mark.parametrize("module", [None, pytest.param(C, marks=needs_c)], ids=["loop", "pump"])
def test_a_client_that_is_lost_for_want_of_a_descriptor_is_told_and_the_next_is_taken(
    way: tuple[socket.socket, socket.socket], module: ModuleType | None
) -> None:
    """It was lost in silence, and the acceptor went on counting it as one on its way."""
    ours, theirs = way
    pump = None if module is None else new_pump(module)

    async def main() -> None:
        made, dropped = Made(), asyncio.Event()
        receiver = Receiver(lambda: made, theirs, 9001, dropped.set, pump)
        await receiver.start(1)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            for is_short in (True, False):
                client = socket.create_connection(listener.getsockname())
                accepted, _ = listener.accept()
                with client, accepted:
                    socket.send_fds(ours, [b"c"], [accepted.fileno()])
                    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
                    lowest = os.dup(0)
                    os.close(lowest)
                    if is_short:
                        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
                    try:
                        await asyncio.wait_for((dropped if is_short else made.is_there).wait(), 10)
                    finally:
                        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
                assert made.is_there.is_set() is not is_short
        ours.close()
        await receiver.finish()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.wait_for(main(), DEADLINE_S))
