"""The accepted end of a link on a transport made of nothing: who may speak, and garbage."""

import asyncio
import os
import socket
from typing import Any, cast

import pytest

from shardws.errors import WireError
from shardws.routing.inbound_link import HELLO_SECONDS, InboundLink
from shardws.routing.unix import CREDENTIALS
from shardws.wire import messages as m
from shardws.wire.codec import encode

HELLO = encode(m.HELLO, m.VERSION, 0, 1, 0, os.getpid(), "nonce")
START = encode(m.START, 5)


class Transport:
    def __init__(self) -> None:
        self.is_aborted = False

    def get_extra_info(self, name: str) -> Any:
        assert name == "socket"
        return self

    def getsockopt(self, level: int, option: int, size: int) -> bytes:
        assert (level, option, size) == (socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
        return CREDENTIALS.pack(4711, 1000, 1000)

    def abort(self) -> None:
        self.is_aborted = True


class Loop:
    """Keeps the one timer there is."""

    def __init__(self) -> None:
        self.timer: tuple[Any, ...] | None = None

    def call_later(self, *timer: Any) -> "Loop":
        self.timer = timer
        return self

    def cancel(self) -> None:
        self.timer = None


class Owner:
    def __init__(self) -> None:
        self.got: list[tuple[Any, ...]] = []
        self.lost: list[str] = []
        self.refusal = ""

    def admit(self, inbound: InboundLink, hello: tuple[Any, ...]) -> int:
        if self.refusal:
            raise WireError(self.refusal)
        assert (inbound.pid, inbound.uid) == (4711, 1000)
        return 77

    def receive(self, inbound: InboundLink, messages: list[tuple[Any, ...]]) -> None:
        for message in messages:
            if message[0] == m.SYNC:
                raise WireError("out of step")
        self.got += messages

    def inbound_lost(self, inbound: InboundLink, reason: str) -> None:
        self.lost.append(reason)


class Rig:
    def __init__(self) -> None:
        self.owner, self.loop, self.transport = Owner(), Loop(), Transport()
        loop = cast(asyncio.AbstractEventLoop, self.loop)
        self.inbound = InboundLink(self.owner, self.owner, loop, 1000)
        self.inbound.connection_made(cast(asyncio.Transport, self.transport))


@pytest.fixture
def rig() -> Rig:
    return Rig()


@pytest.mark.parametrize("step", [1, 7, 10_000])
def test_opening(rig: Rig, step: int) -> None:
    data = HELLO + START + encode(m.GOODBYE) + encode(m.READY_TO_SEND, 9)
    for at in range(0, len(data), step):
        rig.inbound.data_received(data[at : at + step])
    assert (rig.inbound.incarnation, rig.inbound.count, rig.inbound.is_open) == (77, 4, True)
    assert rig.owner.got == [(m.GOODBYE,), (m.READY_TO_SEND, 9)]
    assert (rig.owner.lost, rig.loop.timer) == ([], None)


def test_deadline(rig: Rig) -> None:
    rig.inbound.data_received(HELLO)
    assert rig.loop.timer is not None
    seconds, act, reason = rig.loop.timer
    assert seconds == HELLO_SECONDS
    act(reason)
    assert rig.owner.lost == ["no HELLO came in time"]
    assert rig.transport.is_aborted


BAD = {
    "garbage": (b"\x00" * 20, "unknown kind 0"),
    "http": (b"GET / HTTP/1.1\r\n\r\n", "above the limit"),
    "no HELLO": (encode(m.GOODBYE), "the first message is no HELLO"),
    "no START": (HELLO + encode(m.GOODBYE), "the second message is no START"),
    "START at 0": (HELLO + encode(m.START, 0), "the second message is no START"),
    "wrong version": (encode(m.HELLO, 9, 0, 1, 0, 1, ""), "speaks wire version 9"),
    "the supervisor's": (HELLO + START + encode(m.STOP, True), "STOP from a wrong sender"),
    "out of step": (HELLO + START + encode(m.SYNC, 1), "out of step"),
    "too long": (HELLO + START + b"\xff\xff\x00\x00\x0a", "above the limit of 1000"),
}


@pytest.mark.parametrize(("data", "reason"), BAD.values(), ids=BAD)
def test_bad_frame_closes_this_link_with_one_line(rig: Rig, data: bytes, reason: str) -> None:
    rig.inbound.data_received(data)
    rig.inbound.data_received(data)
    rig.inbound.connection_lost(None)
    assert len(rig.owner.lost) == 1
    assert reason in rig.owner.lost[0]
    assert rig.transport.is_aborted
    assert (rig.owner.got, rig.loop.timer) == ([], None)


def test_refused_by_the_owner(rig: Rig) -> None:
    rig.owner.refusal = "not ours"
    rig.inbound.data_received(HELLO + START + encode(m.GOODBYE))
    assert (rig.owner.lost, rig.owner.got) == (["not ours"], [])


@pytest.mark.parametrize(
    ("error", "reason"), [(None, ""), (ConnectionResetError("reset"), "reset")]
)
def test_lost(rig: Rig, error: Exception | None, reason: str) -> None:
    assert not rig.inbound.eof_received()
    rig.inbound.connection_lost(error)
    assert (rig.owner.lost, rig.loop.timer) == ([reason], None)


def test_refused_while_it_was_being_accepted() -> None:
    transport = Transport()
    loop = cast(asyncio.AbstractEventLoop, Loop())
    inbound = InboundLink(Owner(), Owner(), loop, 1000)
    inbound.refuse("the shard ends")
    inbound.connection_made(cast(asyncio.Transport, transport))
    inbound.data_received(HELLO)
    assert transport.is_aborted
