"""thread_calls: one wake-up for what gathers, a share for each turn, refusals at the end."""

import asyncio
import threading
from typing import Any, cast

import pytest

from shardws.errors import SendInterrupted, StateError
from shardws.outcomes import QUEUED, Outcome, SendOutcome
from shardws.shard import thread_calls
from shardws.shard.loop_thread import LoopThread
from shardws.shard.thread_calls import PER_TURN, ThreadCalls
from shardws.shard.thread_send import SendCall, ThreadSend
from shardws.stats import SENDS_FAILED, Words


class Loop:
    """A loop that is turned by hand."""

    def __init__(self) -> None:
        self.soon: list[Any] = []
        self.wake_ups = 0
        self.is_closed = False

    def call_soon(self, callback: Any, *arguments: Any) -> None:
        self.soon.append((callback, arguments))

    def call_soon_threadsafe(self, callback: Any, *arguments: Any) -> None:
        if self.is_closed:
            raise RuntimeError("Event loop is closed")
        self.wake_ups += 1
        self.call_soon(callback, *arguments)

    def turn(self) -> None:
        soon, self.soon = self.soon, []
        for callback, arguments in soon:
            callback(*arguments)


class Sink:
    def __init__(self) -> None:
        self.failed: list[Any] = []

    def send_failed(self, connection_id: int, outcome: Outcome, count: int = 1) -> None:
        self.failed.append((connection_id, outcome, count))

    def call_failed(self, connection_id: int, error: Exception) -> None:
        self.failed.append((connection_id, type(error)))


class World:
    def __init__(self) -> None:
        self.loop = Loop()
        self.sink = Sink()
        self.row = [0] * 64
        self.thread = LoopThread()
        loop = cast(asyncio.AbstractEventLoop, self.loop)
        self.calls = ThreadCalls(loop, self.thread, self.sink, cast(Words, self.row))
        self.done: list[int] = []

    def send(self, number: int, size: int = 0) -> ThreadSend:
        call = SendCall(self.calls, number, size, self._do, (number,))
        self.calls.offer(call)
        return ThreadSend(call)

    def _do(self, number: int) -> SendOutcome:
        if number < 0:
            raise ValueError(number)
        self.done.append(number)
        return QUEUED


@pytest.fixture
def world() -> World:
    return World()


def test_many_calls_cost_one_wake_up_and_run_in_order_a_share_in_each_turn(world: World) -> None:
    for number in range(PER_TURN + 5):
        world.send(number)
    assert world.loop.wake_ups == 1
    world.loop.turn()
    assert world.done == list(range(PER_TURN))
    world.send(1000)
    world.loop.turn()
    assert world.done == [*range(PER_TURN + 5), 1000]
    assert world.loop.wake_ups == 1
    world.send(1001)
    assert world.loop.wake_ups == 2


def test_the_bound_counts_bytes_and_an_empty_queue_takes_anything(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thread_calls, "MOST_BYTES", 5000)
    assert world.send(1, size=9000).outcome is None
    refused = world.send(2)
    assert refused.outcome is Outcome.FULL
    world.loop.turn()
    assert world.row[SENDS_FAILED] == 1
    assert world.send(3).outcome is None
    assert world.sink.failed == []


def test_failures_that_nobody_sees_are_told_with_their_number(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thread_calls, "MOST_BYTES", 100)
    monkeypatch.setattr(thread_calls, "MOST_FAILURES", 2)
    kept = world.send(1)
    for number in (5, 5, 6, 7, 8):
        world.send(number)
    seen = world.send(5)
    assert seen.outcome is Outcome.FULL
    world.loop.turn()
    full = Outcome.FULL
    assert world.sink.failed == [(5, full, 2), (6, full, 1), (0, full, 2)]
    assert kept.result() is Outcome.QUEUED


def test_what_a_call_raises_is_raised_to_who_looks_or_told(world: World) -> None:
    kept = world.send(-1)
    world.send(-2)
    world.loop.turn()
    for _ in range(2):
        with pytest.raises(ValueError, match="-1"):
            kept.result()
    world.loop.turn()
    assert world.sink.failed == [(-2, ValueError)]


def test_after_the_end_everything_is_refused(world: World) -> None:
    waiting = world.send(1)
    world.calls.close()
    assert [waiting.outcome, world.send(2).outcome] == [Outcome.UNREACHABLE] * 2
    with pytest.raises(StateError, match="has ended"):
        world.calls.ask(lambda: 1)
    assert world.done == []


def test_a_closed_loop_is_the_end(world: World) -> None:
    world.loop.is_closed = True
    assert world.send(1).outcome is Outcome.UNREACHABLE
    world.send(2)  # nobody looks, and nobody can be told


def test_a_question_that_the_loop_does_not_take_is_not_asked_later(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thread_calls, "ANSWER_S", 0.01)
    with pytest.raises(SendInterrupted, match="took no call") as error:
        world.calls.ask(lambda: world.done.append(1))
    assert error.value.code == 301
    world.loop.turn()
    assert world.done == []


def test_a_question_is_answered_or_raises(world: World) -> None:
    def fail() -> None:
        raise TimeoutError("of its own")

    answers: list[object] = []

    def ask() -> None:
        answers.append(world.calls.ask(lambda: 7))
        with pytest.raises(TimeoutError, match="of its own"):
            world.calls.ask(fail)
        answers.append("raised")

    thread = threading.Thread(target=ask)
    thread.start()
    while thread.is_alive():
        world.loop.turn()
        thread.join(0.001)
    assert answers == [7, "raised"]


def test_a_copy_in_a_forked_process_is_refused(world: World) -> None:
    world.thread.leave()
    with pytest.raises(StateError, match="forked"):
        world.send(1)
    with pytest.raises(StateError, match="forked"):
        world.thread.claim()


def test_an_outcome_shows_whether_it_is_known(world: World) -> None:
    sent = world.send(1)
    assert repr(sent) == "<ThreadSend pending>"
    world.loop.turn()
    assert repr(sent) == "<ThreadSend known>"
    seen: list[Outcome] = []
    sent.if_failed(seen.append)
    assert seen == []
