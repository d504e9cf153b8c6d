"""What must hold after every simulated run: one function each, in a table."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from shardws.outcomes import Outcome
from tests.unit.routing.takeover.server import Server
from tests.unit.routing.takeover.traffic import Book, Sent


@dataclass
class Run:
    """One run that is over."""

    server: Server
    book: Book
    has_kills: bool
    is_narrow: bool  # its links have little room: messages to many may miss a shard

    def alive(self) -> list[Sent]:
        return [sent for sent in self.book.sent if not sent.sender.is_dead]


def parts(text: bytes) -> tuple[int, int]:
    sender, number, _ = text.split(b" ", 2)
    return int(sender), int(number)


def one_outcome(run: Run) -> None:
    for sent in run.alive():
        if sent.client is not None:
            assert sent.outcome is not None, f"no outcome: {sent.text[:20]!r}"
        if sent.awaited is not None and sent.awaited is not Outcome.UNREACHABLE:
            assert sent.outcome is sent.awaited, f"two outcomes: {sent.text[:20]!r}"


def told_is_true(run: Run) -> None:
    """QUEUED: exactly once, unless its owner was killed. UNREACHABLE: perhaps. Others: never."""
    for sent in run.alive():
        client = sent.client
        if client is None:
            continue
        count = client.got.count(sent.text)
        outcome = sent.awaited if sent.awaited is not None else sent.outcome
        where = f"{sent.text[:20]!r} to {client.id:x}: {outcome!r}, {count} times"
        if outcome is Outcome.QUEUED:
            assert count == 1 or client.is_killed or _may_be_cut(sent), where
        elif outcome is not Outcome.UNREACHABLE:
            assert count == 0, where


def _may_be_cut(sent: Sent) -> bool:
    """Tell whether it was in a queue behind a stream when its client was closed."""
    return sent.client is not None and sent.client.is_closed and sent.client.was_streaming


def nothing_doubled(run: Run) -> None:
    for client in run.server.clients:
        doubled = [text[:20] for text, count in Counter(client.got).items() if count > 1]
        assert not doubled, f"{client.id:x} got twice: {doubled}"


def in_order(run: Run) -> None:
    to_one = {sent.text for sent in run.book.sent if sent.client is not None}
    for client in run.server.clients:
        last: dict[tuple[int, bool], int] = {}
        for text in client.got:
            sender, number = parts(text)
            # What is sent to one that stayed behind goes through the successor, what is sent to
            # many does not: each in order.
            key = sender, client.id in run.server.left_behind and text in to_one
            assert last.get(key, 0) < number, f"{client.id:x}: {text[:20]!r} is late"
            last[key] = number


def no_stranger(run: Run) -> None:
    got = {client.id: set(client.got) for client in run.server.clients}
    for sent in run.book.sent:
        if sent.client is not None:
            others = [one for one, texts in got.items() if sent.text in texts]
            assert set(others) <= {sent.client.id}, f"{sent.text[:20]!r} at {others}"
        elif sent.group:
            joined = run.book.members
            strangers = [
                one
                for one, texts in got.items()
                if sent.text in texts and not joined[one, sent.group].has_ever_joined
            ]
            assert not strangers, f"{sent.text[:20]!r} to {sent.group} at {strangers}"


def to_many_exactly_once(run: Run) -> None:
    if run.has_kills or run.is_narrow:
        return  # at most once is left: nothing_doubled
    clients = {client.id: client for client in run.server.clients}
    got = {client.id: set(client.got) for client in run.server.clients}
    for sent in run.alive():
        if sent.client is not None or sent.outcome is not Outcome.QUEUED:
            continue
        for one in sent.members:
            if not clients[one].is_closed:
                where = f"{sent.text[:20]!r} at {sent.at:.4f} to {sent.group or 'all'}"
                assert sent.text in got[one], f"{where} missed {one:x}"


def nothing_left(run: Run) -> None:
    for process in run.server.all:
        if not process.is_dead:
            left = process.leftovers()
            assert not left, f"{process.identity}: {left}"


CHECKS: tuple[Callable[[Run], None], ...] = (
    nothing_doubled,
    in_order,
    no_stranger,
    one_outcome,
    told_is_true,
    to_many_exactly_once,
    nothing_left,
)
