"""socket_watch: looked for each PERIOD, what was mended is told, and trouble once."""

import logging

import pytest

from shardws.errors import StartError
from shardws_supervisor.control.socket_watch import PERIOD, SocketWatch


class Thing:
    """Something that may be taken away."""

    def __init__(self) -> None:
        self.is_gone = False
        self.trouble = ""
        self.looks = 0

    def mend(self) -> bool:
        self.looks += 1
        if self.trouble:
            raise StartError(self.trouble)
        was_gone, self.is_gone = self.is_gone, False
        return was_gone


def test_watch(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    directory, sock = Thing(), Thing()
    watch = SocketWatch(directory, sock)
    watch.advance(100.0)
    watch.advance(100.0 + PERIOD / 2)
    assert (directory.looks, sock.looks, caplog.messages) == (1, 1, [])
    directory.is_gone = sock.is_gone = True
    watch.advance(100.0 + PERIOD)
    assert not directory.is_gone
    assert not sock.is_gone
    assert len(caplog.messages) == 1
    directory.trouble = "somebody is there"
    for turn in range(2, 5):
        watch.advance(100.0 + turn * PERIOD)
    assert sock.looks == 2
    assert caplog.messages[1:] == ["operators cannot reach this server: somebody is there"]
    directory.trouble = ""
    sock.is_gone = True
    watch.advance(100.0 + 5 * PERIOD)
    assert "restored" in caplog.messages[-1]
