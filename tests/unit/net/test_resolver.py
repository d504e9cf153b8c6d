"""Names for AllowedClients: asked once, in time, and believed only when confirmed."""

import asyncio
import logging
from collections.abc import Sequence

import pytest

from shardws.net import resolver
from shardws.net.addresses import AllowedClients
from shardws.net.resolver import Resolver, SystemLookup


class Book:
    """A Lookup of dictionaries that counts questions and, with `hold`, answers when released."""

    def __init__(self, names: dict[str, list[str]], clients: dict[str, list[str]]) -> None:
        self.names = names
        self.clients = clients
        self.asked: list[str] = []
        self.at_once = 0
        self.most_at_once = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.crowded = asyncio.Event()  # as many questions at a time as there may be

    def hold(self) -> None:
        self.gate.clear()

    async def addresses_of(self, name: str) -> Sequence[str]:
        return await self._answer(name, self.names)

    async def names_of(self, address: str) -> Sequence[str]:
        return await self._answer(address, self.clients)

    async def _answer(self, subject: str, book: dict[str, list[str]]) -> Sequence[str]:
        self.asked.append(subject)
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        if self.at_once == resolver.MAX_ASKING:
            self.crowded.set()
        try:
            await self.gate.wait()
        finally:
            self.at_once -= 1
        if subject not in book:
            raise OSError("no such name")
        return book[subject]


def test_literal_settings_ask_nothing() -> None:
    async def scenario() -> None:
        book = Book({}, {})
        names = Resolver(AllowedClients("10.0.0.0/8"), book)
        assert await names.admit("10.0.0.1") is True
        assert await names.admit("192.0.2.1") is False
        assert book.asked == []

    asyncio.run(scenario())


def test_a_name_is_asked_once_for_all_who_wait() -> None:
    async def scenario() -> None:
        book = Book({"db.example.com": ["192.0.2.1"]}, {})
        names = Resolver(AllowedClients("db.example.com"), book)
        book.hold()
        waiting = [asyncio.create_task(names.admit(f"192.0.2.{number}")) for number in (1, 2, 1)]
        await asyncio.sleep(0)
        book.gate.set()
        assert await asyncio.gather(*waiting) == [True, False, True]
        assert book.asked == ["db.example.com"]
        assert await names.admit("192.0.2.1") is True
        assert book.asked == ["db.example.com"]

    asyncio.run(scenario())


def test_a_refresh_follows_the_name_and_survives_a_silent_dns(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scenario() -> None:
        book = Book({"db.example.com": ["192.0.2.1"]}, {})
        names = Resolver(AllowedClients("db.example.com"), book)
        await names.refresh()
        assert await names.admit("192.0.2.1") is True
        book.names["db.example.com"] = ["192.0.2.2"]
        await names.refresh()
        assert await names.admit("192.0.2.1") is False
        assert await names.admit("192.0.2.2") is True
        del book.names["db.example.com"]
        await names.refresh()
        assert await names.admit("192.0.2.2") is True

    with caplog.at_level(logging.WARNING, "shardws.net"):
        asyncio.run(scenario())
    assert caplog.messages == ["cannot look up db.example.com: no such name"]


def test_an_unknown_name_allows_nobody() -> None:
    async def scenario() -> None:
        book = Book({}, {})
        names = Resolver(AllowedClients("db.example.com"), book)
        assert await names.admit("192.0.2.1") is False
        assert await names.admit("192.0.2.1") is False
        assert book.asked == ["db.example.com"]

    asyncio.run(scenario())


def test_a_question_has_a_deadline(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        book = Book({"db.example.com": ["192.0.2.1"]}, {})
        book.hold()
        names = Resolver(AllowedClients("db.example.com"), book, deadline=0.01)
        assert await names.admit("192.0.2.1") is False

    asyncio.run(scenario())
    assert caplog.messages == ["cannot look up db.example.com: no reply in time"]


def test_few_questions_at_a_time() -> None:
    async def scenario() -> None:
        entries = [f"h{number}.example.com" for number in range(40)]
        book = Book({entry: [f"10.0.0.{number}"] for number, entry in enumerate(entries)}, {})
        names = Resolver(AllowedClients(",".join(entries)), book)
        book.hold()
        refreshing = asyncio.create_task(names.refresh())
        await book.crowded.wait()
        book.gate.set()
        await refreshing
        assert sorted(book.asked) == sorted(entries)
        assert book.most_at_once == resolver.MAX_ASKING
        assert await names.admit("10.0.0.39") is True

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("names", "is_admitted"),
    [
        ({"a.example.com": ["192.0.2.1"]}, True),
        ({"a.example.com": ["fe80::1%2", "192.0.2.1"]}, True),
        ({"a.example.com": ["192.0.2.9"]}, False),  # it calls itself so, the name says otherwise
        ({}, False),
    ],
)
def test_a_clients_own_name_must_be_confirmed(
    names: dict[str, list[str]], is_admitted: bool
) -> None:
    async def scenario() -> None:
        book = Book(names, {"192.0.2.1": ["a.example.com"]})
        guard = Resolver(AllowedClients("*.example.com"), book)
        assert await guard.admit("192.0.2.1") is is_admitted
        assert await guard.admit("192.0.2.1") is is_admitted
        assert book.asked == ["192.0.2.1", "a.example.com"]
        await guard.refresh()
        assert await guard.admit("192.0.2.1") is is_admitted
        assert book.asked == ["192.0.2.1", "a.example.com"] * 2

    asyncio.run(scenario())


def test_clients_that_wait_are_bounded(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(resolver, "MAX_WAITING", 1)

    async def scenario() -> None:
        book = Book({"a.example.com": ["192.0.2.1"]}, {"192.0.2.1": ["a.example.com"]})
        book.hold()
        guard = Resolver(AllowedClients("*.example.com"), book)
        first = asyncio.create_task(guard.admit("192.0.2.1"))
        again = asyncio.create_task(guard.admit("192.0.2.1"))
        await asyncio.sleep(0)
        assert await guard.admit("192.0.2.2") is False
        book.gate.set()
        assert await first is await again is True
        assert book.asked == ["192.0.2.1", "a.example.com"]
        assert guard._waiting == {}

    asyncio.run(scenario())
    assert caplog.messages == ["too many clients wait for their names; 192.0.2.2 is refused"]


def test_a_caller_who_gives_up_does_not_stop_the_question() -> None:
    async def scenario() -> None:
        book = Book({"db.example.com": ["192.0.2.1"]}, {})
        book.hold()
        names = Resolver(AllowedClients("db.example.com"), book)
        impatient = asyncio.create_task(names.admit("192.0.2.1"))
        patient = asyncio.create_task(names.admit("192.0.2.1"))
        await asyncio.sleep(0)
        impatient.cancel()
        book.gate.set()
        assert await patient is True

    asyncio.run(scenario())


def test_the_system_knows_localhost() -> None:
    async def scenario() -> None:
        lookup = SystemLookup()
        assert "127.0.0.1" in await lookup.addresses_of("localhost")
        with pytest.raises((OSError, UnicodeError)):
            await lookup.addresses_of("a" * 64 + ".invalid")
        assert await lookup.names_of("127.0.0.1")

    asyncio.run(scenario())
