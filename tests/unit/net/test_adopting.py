"""adopting and listener: a socket that cannot be served, an accept that fails again and again."""

import asyncio
import errno
import logging
import os
import socket
from typing import Any, cast

import pytest
import uvloop

from shardws.net.adopting import Adopting
from shardws.net.listener import Listener
from shardws.net.pump import Pump, Wire


class Refusing:
    """A pump that takes nothing, or has nothing to accept for want of a descriptor."""

    owns_sockets = True
    error = errno.EMFILE
    asked = 0

    def adopt(self, wire: Wire, fd: int) -> None:
        raise OSError(errno.ENOSPC, "no room for a watch")

    def accept(self, fd: int, most: int) -> tuple[list[int], int]:
        self.asked += 1
        return [], self.error


def is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


@pytest.mark.parametrize("is_made", [True, False])
def test_a_socket_that_cannot_be_served_is_closed(
    is_made: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """It raised out of the loop of accepted sockets: the others were never served or closed."""

    def make() -> asyncio.BaseProtocol:
        if not is_made:
            raise LookupError("no protocol")
        return cast(asyncio.BaseProtocol, Wire())

    loop = uvloop.new_event_loop()
    ours, theirs = socket.socketpair()
    fd = ours.detach()
    with theirs, caplog.at_level(logging.ERROR):
        Adopting(loop, cast(Pump, Refusing()), make).adopt(fd)
        assert theirs.recv(1) == b""
    assert not is_open(fd)
    assert "cannot be served" in caplog.text
    loop.close()


def test_a_lasting_want_of_descriptors_is_logged_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten warnings a second were, for as long as it lasted."""
    monkeypatch.setattr("shardws.net.listener.PAUSE_S", 0.0)
    pump = Refusing()

    async def until_asked(count: int) -> None:
        while pump.asked < count:  # noqa: ASYNC110  the loop is turned, nothing is waited for
            await asyncio.sleep(0)

    async def main() -> None:
        sock = socket.create_server(("127.0.0.1", 0))
        listener = Listener(lambda: cast(Any, None), sock, pump=cast(Pump, pump))
        await listener.start(8)
        with socket.create_connection(sock.getsockname()):
            await asyncio.wait_for(until_asked(5), 10)
            assert caplog.text.count("cannot accept") == 1
            pump.error = 0
            await asyncio.wait_for(until_asked(pump.asked + 2), 10)
            pump.error = errno.EMFILE
            await asyncio.wait_for(until_asked(pump.asked + 3), 10)
            assert caplog.text.count("cannot accept") == 2, "a new want is told anew"
        listener.close()

    with caplog.at_level(logging.WARNING), asyncio.Runner(loop_factory=uvloop.new_event_loop) as r:
        r.run(main())
