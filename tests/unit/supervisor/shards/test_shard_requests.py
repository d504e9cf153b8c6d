"""shard_requests: every round is settled once, by answers, deaths or the deadline."""

from typing import Any

import pytest

from shardws.errors import ShardwsError
from shardws.wire import messages
from shardws_supervisor.shards.replies import Pending, Reply
from shardws_supervisor.shards.shard_requests import (
    DEADLINE,
    MOST,
    MOST_BYTES,
    Answer,
    ShardRequests,
)
from shardws_supervisor.shards.slots import ShardProcess


class Fixture:
    """ShardRequests whose channel is a list."""

    def __init__(self) -> None:
        self.told: list[tuple[ShardProcess, tuple[Any, ...]]] = []
        self.shard_requests = ShardRequests(
            lambda process, *message: self.told.append((process, message))
        )

    def begin(self, *processes: ShardProcess) -> Pending:
        return self.shard_requests.begin(processes, 7, "what", joined, 100.0)

    def token(self, at: int) -> int:
        token: int = self.told[at][1][1]
        return token


def joined(answers: list[Answer | None]) -> Reply:
    if any(answer is not None and not answer.is_ok for answer in answers):
        raise ValueError("refused")
    return {"answers": [answer.body if answer else None for answer in answers]}


def settled(pending: Pending) -> bool:
    calls: list[int] = []
    pending.then(lambda: calls.append(1))
    return bool(calls)


def processes(count: int) -> list[ShardProcess]:
    return [ShardProcess(slot, 0, 10 + slot, 0.0) for slot in range(count)]


def test_a_question_and_its_answer() -> None:
    fixture = Fixture()
    (process,) = processes(1)
    pending = fixture.begin(process)
    assert fixture.told == [(process, (messages.QUERY, 1, 7, "what"))]
    assert not settled(pending)
    fixture.shard_requests.replied(process, 1, True, b"yes")
    assert pending.reply() == {"answers": [b"yes"]}


def test_answers_keep_the_order_of_the_questions() -> None:
    fixture = Fixture()
    asked = processes(3)
    pending = fixture.begin(*asked)
    for at in (2, 0, 1):
        assert not settled(pending)
        fixture.shard_requests.replied(asked[at], fixture.token(at), True, b"%d" % at)
    assert pending.reply() == {"answers": [b"0", b"1", b"2"]}


def test_nobody_to_ask() -> None:
    pending = Fixture().begin()
    assert settled(pending)
    assert pending.reply() == {"answers": []}


def test_a_shard_that_ends_has_answered_nothing() -> None:
    fixture = Fixture()
    asked = processes(2)
    pending = fixture.begin(*asked)
    fixture.shard_requests.ended(asked[1])
    fixture.shard_requests.replied(asked[0], fixture.token(0), True, b"yes")
    assert pending.reply() == {"answers": [b"yes", None]}


def test_the_deadline_settles_what_is_missing() -> None:
    fixture = Fixture()
    asked = processes(2)
    pending = fixture.begin(*asked)
    fixture.shard_requests.replied(asked[0], fixture.token(0), True, b"yes")
    fixture.shard_requests.expire(100.0 + DEADLINE - 0.1)
    assert not settled(pending)
    fixture.shard_requests.expire(100.0 + DEADLINE)
    assert pending.reply() == {"answers": [b"yes", None]}
    fixture.shard_requests.replied(asked[1], fixture.token(1), True, b"late")
    assert pending.reply() == {"answers": [b"yes", None]}


def test_nobody_answers_for_another() -> None:
    fixture = Fixture()
    asked = processes(2)
    pending = fixture.begin(asked[0])
    fixture.shard_requests.replied(asked[1], fixture.token(0), True, b"a lie")
    fixture.shard_requests.replied(asked[0], 999, True, b"to nobody")
    assert not settled(pending)


def test_a_refusal_is_raised_to_who_asked() -> None:
    fixture = Fixture()
    (process,) = processes(1)
    pending = fixture.begin(process)
    fixture.shard_requests.replied(process, 1, False, b"no")
    with pytest.raises(ValueError, match="refused"):
        pending.reply()


def test_too_much_at_once_is_refused() -> None:
    fixture = Fixture()
    (process,) = processes(1)
    for _ in range(MOST):
        fixture.begin(process)
    with pytest.raises(ShardwsError, match="too many pending requests") as caught:
        fixture.begin(process)
    assert caught.value.code == 135


def test_too_many_bytes_at_once_are_refused() -> None:
    """A shard that leaves 1 MiB of its channel unread is killed: no client may bring that about."""
    fixture = Fixture()
    (process,) = processes(1)
    large = "x" * (MOST_BYTES // 4)
    for _ in range(4):
        fixture.shard_requests.begin([process], 7, large, joined, 100.0)
    with pytest.raises(ShardwsError, match="too many pending requests"):
        fixture.begin(process)
    fixture.shard_requests.replied(process, 1, True, b"yes")
    fixture.begin(process)
