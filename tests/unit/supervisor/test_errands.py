"""errands: every round is settled once, by answers, deaths or the deadline."""

from typing import Any

import pytest

from shardws.errors import ShardwsError
from shardws.wire import messages
from shardws_supervisor.answers import Pending, Reply
from shardws_supervisor.errands import DEADLINE, MOST, MOST_BYTES, Answer, Errands
from shardws_supervisor.slots import Life


class Fixture:
    """Errands whose channel is a list."""

    def __init__(self) -> None:
        self.told: list[tuple[Life, tuple[Any, ...]]] = []
        self.errands = Errands(lambda life, *message: self.told.append((life, message)))

    def begin(self, *lives: Life) -> Pending:
        return self.errands.begin(lives, 7, "what", joined, 100.0)

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


def lives(count: int) -> list[Life]:
    return [Life(slot, 0, 10 + slot, 0.0) for slot in range(count)]


def test_a_question_and_its_answer() -> None:
    fixture = Fixture()
    (life,) = lives(1)
    pending = fixture.begin(life)
    assert fixture.told == [(life, (messages.QUERY, 1, 7, "what"))]
    assert not settled(pending)
    fixture.errands.replied(life, 1, True, b"yes")
    assert pending.reply() == {"answers": [b"yes"]}


def test_answers_keep_the_order_of_the_questions() -> None:
    fixture = Fixture()
    asked = lives(3)
    pending = fixture.begin(*asked)
    for at in (2, 0, 1):
        assert not settled(pending)
        fixture.errands.replied(asked[at], fixture.token(at), True, b"%d" % at)
    assert pending.reply() == {"answers": [b"0", b"1", b"2"]}


def test_nobody_to_ask() -> None:
    pending = Fixture().begin()
    assert settled(pending)
    assert pending.reply() == {"answers": []}


def test_a_shard_that_ends_has_answered_nothing() -> None:
    fixture = Fixture()
    asked = lives(2)
    pending = fixture.begin(*asked)
    fixture.errands.ended(asked[1])
    fixture.errands.replied(asked[0], fixture.token(0), True, b"yes")
    assert pending.reply() == {"answers": [b"yes", None]}


def test_the_deadline_settles_what_is_missing() -> None:
    fixture = Fixture()
    asked = lives(2)
    pending = fixture.begin(*asked)
    fixture.errands.replied(asked[0], fixture.token(0), True, b"yes")
    fixture.errands.expire(100.0 + DEADLINE - 0.1)
    assert not settled(pending)
    fixture.errands.expire(100.0 + DEADLINE)
    assert pending.reply() == {"answers": [b"yes", None]}
    fixture.errands.replied(asked[1], fixture.token(1), True, b"late")
    assert pending.reply() == {"answers": [b"yes", None]}


def test_nobody_answers_for_another() -> None:
    fixture = Fixture()
    asked = lives(2)
    pending = fixture.begin(asked[0])
    fixture.errands.replied(asked[1], fixture.token(0), True, b"a lie")
    fixture.errands.replied(asked[0], 999, True, b"to nobody")
    assert not settled(pending)


def test_a_refusal_is_raised_to_who_asked() -> None:
    fixture = Fixture()
    (life,) = lives(1)
    pending = fixture.begin(life)
    fixture.errands.replied(life, 1, False, b"no")
    with pytest.raises(ValueError, match="refused"):
        pending.reply()


def test_too_much_at_once_is_refused() -> None:
    fixture = Fixture()
    (life,) = lives(1)
    for _ in range(MOST):
        fixture.begin(life)
    with pytest.raises(ShardwsError, match="too much") as caught:
        fixture.begin(life)
    assert caught.value.code == 135


def test_too_many_bytes_at_once_are_refused() -> None:
    """A shard that leaves 1 MiB of its channel unread is killed: no client may bring that about."""
    fixture = Fixture()
    (life,) = lives(1)
    large = "x" * (MOST_BYTES // 4)
    for _ in range(4):
        fixture.errands.begin([life], 7, large, joined, 100.0)
    with pytest.raises(ShardwsError, match="too much"):
        fixture.begin(life)
    fixture.errands.replied(life, 1, True, b"yes")
    fixture.begin(life)
