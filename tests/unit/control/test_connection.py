"""connection: requests and answers over a connection whose other end is the test."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from shardws.control.codec import encode
from shardws.control.connection import IDLE, Line, Request
from shardws.control.endpoint import LONGEST_REPLY, LONGEST_REQUEST, PATIENCE
from shardws.errors import ControlError, UsageError


class FakeLoop:
    """A clock that the test turns, and its one timer."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timer: tuple[float, Callable[[], None]] | None = None

    def time(self) -> float:
        return self.now

    def call_later(self, seconds: float, call: Callable[[], None]) -> "FakeLoop":
        self.timer = (self.now + seconds, call)
        return self

    def cancel(self) -> None:
        self.timer = None

    def turn(self) -> None:
        """Go to the timer's time and fire it."""
        assert self.timer is not None
        self.now, call = self.timer
        self.timer = None
        call()


class Transport:
    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.aborts = 0

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def abort(self) -> None:
        self.aborts += 1


class Fixture:
    def __init__(self) -> None:
        self.futures = asyncio.new_event_loop()
        self.loop = FakeLoop()
        self.rooms = 0
        self.transport = Transport()
        self.line = Line(Path("/run/x"), cast(Any, self.loop), self.room)
        self.line.connection_made(cast(Any, self.transport))

    def room(self) -> None:
        self.rooms += 1

    def request(self, line: bytes = b"x\n") -> Request:
        return Request(line, self.futures.create_future())

    def asked(self, count: int) -> list[Request]:
        requests = [self.request() for _ in range(count)]
        assert all(self.line.take(request) for request in requests)
        self.line.write([request.line for request in requests])
        return requests


@pytest.fixture
def fixture() -> Any:
    made = Fixture()
    yield made
    made.futures.close()


def why(request: Request) -> str:
    error = request.answer.exception()
    assert isinstance(error, ControlError)
    assert error.was_sent
    return error.description


def test_answers_go_to_who_asked_first(fixture: Fixture) -> None:
    first, second, third = fixture.asked(3)
    assert fixture.transport.written == [b"x\nx\nx\n"], "one system call"
    fixture.line.data_received(b'{"ok": true, "a": 1}\n{"ok"')
    assert first.answer.result() == {"ok": True, "a": 1}
    assert not second.answer.done()
    fixture.line.data_received(b": fal")
    fixture.line.data_received(b'se}\n{"ok": true}\n')
    assert second.answer.result() == {"ok": False}
    assert third.answer.result() == {"ok": True}


def test_an_answer_to_who_gave_up_is_not_given_to_the_next(fixture: Fixture) -> None:
    first, second = fixture.asked(2)
    first.answer.cancel()
    fixture.line.data_received(b'{"ok": true, "of": 1}\n{"ok": true, "of": 2}\n')
    assert second.answer.result() == {"ok": True, "of": 2}


def test_what_is_under_way_is_bounded_by_what_the_server_keeps(fixture: Fixture) -> None:
    half = b"x" * (LONGEST_REQUEST // 2)
    first, second, third = (fixture.request(half) for _ in range(3))
    assert fixture.line.take(first)
    assert fixture.line.take(second)
    assert not fixture.line.take(third)
    assert not third.is_sent
    fixture.line.data_received(b'{"ok": true}\n')
    assert fixture.rooms == 1
    assert fixture.line.take(third)
    assert third.is_sent


NO_ANSWERS = {
    "no JSON": b"hello\n",
    "empty": b"\n",
    "a list": b"[]\n",
    "no ok": b"{}\n",
    "ok is a word": b'{"ok": "yes"}\n',
    "deep": b"[" * 100_000 + b"\n",
    "no UTF-8": b"\xff\xfe\n",
}


@pytest.mark.parametrize("name", NO_ANSWERS)
def test_what_is_no_answer_ends_the_connection(fixture: Fixture, name: str) -> None:
    first, second = fixture.asked(2)
    fixture.line.data_received(NO_ANSWERS[name])
    assert fixture.transport.aborts == 1
    assert not fixture.line.is_open
    fixture.line.connection_lost(None)
    assert why(first) == why(second) == "what listens in /run/x is no server of this kind"


def test_an_answer_that_nobody_asked_for_ends_the_connection(fixture: Fixture) -> None:
    fixture.line.data_received(b'{"ok": true}\n')
    assert fixture.transport.aborts == 1


def test_a_line_without_end_ends_the_connection(fixture: Fixture) -> None:
    (request,) = fixture.asked(1)
    piece = b"x" * (LONGEST_REPLY // 4)
    for _ in range(4):
        fixture.line.data_received(piece)
        assert fixture.line.is_open
    fixture.line.data_received(b"x")
    fixture.line.connection_lost(None)
    assert why(request) == "the server in /run/x sent a line without end"


def test_a_long_answer_is_taken(fixture: Fixture) -> None:
    (request,) = fixture.asked(1)
    answer = json.dumps({"ok": True, "text": "x" * (LONGEST_REPLY // 2)}).encode()
    for at in range(0, len(answer), 100_000):
        fixture.line.data_received(answer[at : at + 100_000])
    fixture.line.data_received(b"\n")
    assert len(request.answer.result()["text"]) == LONGEST_REPLY // 2


def test_an_end_before_any_answer_may_mean_too_many_clients(fixture: Fixture) -> None:
    (request,) = fixture.asked(1)
    fixture.line.connection_lost(None)
    assert why(request) == "the server in /run/x has gone, or serves 256 clients already"
    assert fixture.rooms == 1


def test_an_end_after_an_answer_means_that_the_server_went(fixture: Fixture) -> None:
    _, request, given_up = fixture.asked(3)
    fixture.line.data_received(b'{"ok": true}\n')
    given_up.answer.cancel()
    fixture.line.connection_lost(ConnectionResetError())
    assert why(request) == "the server in /run/x has gone"
    assert fixture.loop.timer is None


def test_an_idle_connection_is_given_back_before_the_server_ends_it(fixture: Fixture) -> None:
    fixture.loop.now += 5
    fixture.asked(1)
    fixture.line.data_received(b'{"ok": true}\n')
    fixture.loop.turn()
    assert fixture.transport.aborts == 0, "it was used 15 s ago"
    fixture.loop.turn()
    assert not fixture.line.is_open
    assert fixture.transport.aborts == 1
    assert fixture.loop.now == 105 + IDLE
    assert IDLE < PATIENCE
    assert fixture.loop.timer is None


def test_a_connection_that_waits_for_an_answer_is_not_idle(fixture: Fixture) -> None:
    fixture.asked(1)
    fixture.loop.turn()
    assert fixture.transport.aborts == 0
    fixture.line.data_received(b'{"ok": true}\n')
    fixture.loop.turn()
    assert fixture.transport.aborts == 1


def test_a_request_is_one_line(fixture: Fixture) -> None:
    line = encode("send", {"id": 7, "text": "a\nb é"})
    assert line == '{"do":"send","id":7,"text":"a\\nb é"}\n'.encode()


BAD: dict[str, Any] = {
    "lone surrogate": "\ud800",
    "bytes": b"x",
    "too long": "x" * LONGEST_REQUEST,
    "too long in UTF-8": "é" * (LONGEST_REQUEST // 2),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_asked(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        encode("send", {"id": 7, "text": BAD[name]})
    assert caught.value.code == 213


def test_the_longest_request(fixture: Fixture) -> None:
    room = LONGEST_REQUEST - len(encode("send", {"id": 7, "text": ""}))
    line = encode("send", {"id": 7, "text": "x" * room})
    assert len(line) == LONGEST_REQUEST
    assert fixture.line.take(fixture.request(line))
