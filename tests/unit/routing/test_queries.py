"""Questions and answers, and what is too much, too late or from the wrong shard."""

import asyncio
from typing import Any, cast

import pytest

from shardws.errors import NoSuchConnection, ShardwsError, UsageError
from shardws.outcomes import Outcome
from shardws.routing import queries as module
from shardws.routing.outbound_link import OutboundLink
from shardws.routing.queries import Queries
from shardws.wire import messages as m
from shardws.wire.codec import Decoder


class FakeLink:
    incarnation = 7

    def __init__(self, *, is_full: bool = False, is_down: bool = False) -> None:
        self.is_full, self.is_down = is_full, is_down
        self.offered: list[tuple[Any, ...]] = []

    def offer(self, frame: bytes) -> bool:
        if not self.is_full and not self.is_down:
            self.offered += Decoder(1000, m.SHARD).feed(frame)
        return not self.is_full and not self.is_down

    @property
    def refusal(self) -> Outcome:
        return Outcome.UNREACHABLE if self.is_down else Outcome.FULL


def make() -> Queries:
    return Queries(asyncio.get_running_loop(), lambda connection_id, what: None)


def ask(queries: Queries, link: FakeLink) -> "asyncio.Task[bytes]":
    return asyncio.ensure_future(queries.ask(cast(OutboundLink, link), 5, "host", 20.0))


def test_tokens_keep_answers_apart() -> None:
    async def scenario() -> None:
        queries, link = make(), FakeLink()
        first, second = ask(queries, link), ask(queries, link)
        await asyncio.sleep(0)
        assert link.offered == [(m.QUERY, 1, 5, "host"), (m.QUERY, 2, 5, "host")]
        queries.resolve(7, 2, True, b"two")
        queries.resolve(7, 2, True, b"twice")
        queries.resolve(8, 1, True, b"from the wrong shard")
        queries.resolve(7, 99, True, b"to nothing")
        queries.resolve(7, 1, True, b"one")
        queries.fail(7)  # too late for both
        assert [await first, await second] == [b"one", b"two"]

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("body", "kind"), [(b"", NoSuchConnection), (b"no such thing: hots", UsageError)]
)
def test_refusal(body: bytes, kind: type[ShardwsError]) -> None:
    async def scenario() -> None:
        queries, link = make(), FakeLink()
        question = ask(queries, link)
        await asyncio.sleep(0)
        queries.resolve(7, 1, False, body)
        with pytest.raises(kind, match=r"5|hots"):
            await question

    asyncio.run(scenario())


def test_peer_lost() -> None:
    async def scenario() -> None:
        queries, link = make(), FakeLink()
        question = ask(queries, link)
        await asyncio.sleep(0)
        queries.fail(8)
        assert not question.done()
        queries.fail(7)
        queries.resolve(7, 1, True, b"too late")
        with pytest.raises(ShardwsError) as caught:
            await question
        assert caught.value.code == 10065

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("link", "limit", "code"),
    [
        (FakeLink(is_full=True), 10, 135),
        (FakeLink(is_down=True), 10, 10065),
        (FakeLink(), 0, 135),
    ],
    ids=["full", "down", "too many"],
)
def test_no_room(link: FakeLink, limit: int, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_OPEN", limit)

    async def scenario() -> None:
        with pytest.raises(ShardwsError) as caught:
            await ask(make(), link)
        assert caught.value.code == code

    asyncio.run(scenario())


def test_deadline_that_comes_with_the_answer_loses() -> None:
    async def scenario() -> None:
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        future.set_result(b"in time")
        module._expire(future, 1.0)
        assert await future == b"in time"

    asyncio.run(scenario())


def test_a_reply_that_does_not_fit_the_link_is_an_error_of_its_query() -> None:
    """A client chooses how long its headers are; the link of two shards broke of their snapshot."""

    async def scenario() -> None:
        queries = Queries(asyncio.get_running_loop(), lambda connection_id, what: b"x" * 1001)
        (reply,) = Decoder(5000, m.SHARD).feed(queries.reply(1, 5, "snapshot", 1001))
        assert reply == (m.REPLY, 1, True, b"x" * 1001)
        (reply,) = Decoder(5000, m.SHARD).feed(queries.reply(1, 5, "snapshot", 1000))
        assert reply[:3] == (m.REPLY, 1, False)
        assert reply[3] == b"its reply of 1001 bytes does not fit the link now"

    asyncio.run(scenario())
