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


class LinkFixture:
    def __init__(self) -> None:
        self.owner, self.loop, self.transport = Owner(), Loop(), Transport()
        loop = cast(asyncio.AbstractEventLoop, self.loop)
        self.inbound = InboundLink(self.owner, self.owner, loop, 1000)
        self.inbound.connection_made(cast(asyncio.Transport, self.transport))


@pytest.fixture
def fixture() -> LinkFixture:
    return LinkFixture()


@pytest.mark.parametrize("step", [1, 7, 10_000])
def test_opening(fixture: LinkFixture, step: int) -> None:
    data = HELLO + START + encode(m.GOODBYE) + encode(m.READY_TO_SEND, 9)
    for at in range(0, len(data), step):
        fixture.inbound.data_received(data[at : at + step])
    assert (fixture.inbound.incarnation, fixture.inbound.count, fixture.inbound.is_open) == (
        77,
        4,
        True,
    )
    assert fixture.owner.got == [(m.GOODBYE,), (m.READY_TO_SEND, 9)]
    assert (fixture.owner.lost, fixture.loop.timer) == ([], None)


def test_deadline(fixture: LinkFixture) -> None:
    fixture.inbound.data_received(HELLO)
    assert fixture.loop.timer is not None
    seconds, act, reason = fixture.loop.timer
    assert seconds == HELLO_SECONDS
    act(reason)
    assert fixture.owner.lost == ["no HELLO came in time"]
    assert fixture.transport.is_aborted


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
def test_bad_frame_closes_this_link_with_one_line(
    fixture: LinkFixture, data: bytes, reason: str
) -> None:
    fixture.inbound.data_received(data)
    fixture.inbound.data_received(data)
    fixture.inbound.connection_lost(None)
    assert len(fixture.owner.lost) == 1
    assert reason in fixture.owner.lost[0]
    assert fixture.transport.is_aborted
    assert (fixture.owner.got, fixture.loop.timer) == ([], None)


def test_refused_by_the_owner(fixture: LinkFixture) -> None:
    fixture.owner.refusal = "not ours"
    fixture.inbound.data_received(HELLO + START + encode(m.GOODBYE))
    assert (fixture.owner.lost, fixture.owner.got) == (["not ours"], [])


@pytest.mark.parametrize(
    ("error", "reason"), [(None, ""), (ConnectionResetError("reset"), "reset")]
)
def test_lost(fixture: LinkFixture, error: Exception | None, reason: str) -> None:
    assert not fixture.inbound.eof_received()
    fixture.inbound.connection_lost(error)
    assert (fixture.owner.lost, fixture.loop.timer) == ([reason], None)


def test_refused_while_it_was_being_accepted() -> None:
    transport = Transport()
    loop = cast(asyncio.AbstractEventLoop, Loop())
    inbound = InboundLink(Owner(), Owner(), loop, 1000)
    inbound.refuse("the shard ends")
    inbound.connection_made(cast(asyncio.Transport, transport))
    inbound.data_received(HELLO)
    assert transport.is_aborted
