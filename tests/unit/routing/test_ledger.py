"""Numbers, reports and waits of one link, on a clock of our own."""

import asyncio
from collections.abc import Callable, Iterator

import pytest

from shardws.outcomes import Outcome
from shardws.routing import ledger as module
from shardws.routing.ledger import Ledger, PendingSend


class Desk:
    """A ledger and what it is given."""

    def __init__(self, loop: asyncio.AbstractEventLoop, first: int = 1) -> None:
        self.now = 100.0
        self.woken = 0
        self.loop = loop
        self.ledger = Ledger(first, loop.create_future, lambda: self.now, self._wake)

    def _wake(self) -> None:
        self.woken += 1

    def send(self, count: int = 1) -> int:
        self.ledger.last += count
        return self.ledger.last

    def sync(self) -> int:
        assert self.ledger.wants_sync
        self.ledger.asked = self.ledger.last
        return self.ledger.last


@pytest.fixture
def make() -> Iterator[Callable[..., Desk]]:
    loop = asyncio.new_event_loop()
    yield lambda first=1: Desk(loop, first)
    loop.close()


Make = Callable[..., Desk]


def test_success_is_the_absence_of_a_report(make: Make) -> None:
    desk = make()
    one, two, three = desk.send(), desk.send(), desk.send()
    waits = [desk.ledger.wait(number) for number in (one, two, three)]
    assert desk.woken == 3
    token = desk.sync()
    assert desk.ledger.fail(two, Outcome.GONE)
    assert [wait.done() for wait in waits] == [False, True, False]
    desk.ledger.confirm(token)
    assert [wait.result() for wait in waits] == [Outcome.QUEUED, Outcome.GONE, Outcome.QUEUED]
    assert [desk.ledger.outcome(number) for number in (one, two)] == [
        Outcome.QUEUED,
        Outcome.GONE,
    ]


def test_report_nobody_waits_for_is_said_to_be(make: Make) -> None:
    desk = make()
    number = desk.send()
    assert not desk.ledger.fail(number, Outcome.FULL)
    assert desk.ledger.outcome(number) is Outcome.FULL


def test_wait_covered_by_a_sync_on_its_way_asks_no_second_one(make: Make) -> None:
    desk = make()
    one, two = desk.send(), desk.send()
    desk.ledger.wait(two)
    token = desk.sync()
    wait = desk.ledger.wait(one)
    assert (desk.woken, desk.ledger.wants_sync) == (1, False)
    desk.ledger.confirm(token)
    assert wait.result() is Outcome.QUEUED


def test_later_messages_alone_need_no_sync(make: Make) -> None:
    desk = make()
    desk.ledger.wait(desk.send())
    desk.sync()
    desk.send()
    assert not desk.ledger.wants_sync


def test_many_messages_ask_for_a_confirmation_unawaited(make: Make) -> None:
    desk = make()
    desk.send(module.SYNC_EVERY - 1)
    assert not desk.ledger.wants_sync
    desk.send()
    desk.sync()
    assert not desk.ledger.wants_sync


def test_two_waits_for_one_message(make: Make) -> None:
    desk = make()
    number = desk.send()
    waits = [desk.ledger.wait(number), desk.ledger.wait(number)]
    desk.ledger.fail(number, Outcome.DROPPED)
    assert [wait.result() for wait in waits] == [Outcome.DROPPED] * 2


def test_cancelled_wait_does_not_heed(make: Make) -> None:
    desk = make()
    number = desk.send()
    desk.ledger.wait(number).cancel()
    assert not desk.ledger.fail(number, Outcome.GONE)


@pytest.mark.parametrize("token", [0, 4, 99])
def test_confirmation_out_of_place_is_ignored(make: Make, token: int) -> None:
    desk = make()
    wait = desk.ledger.wait(desk.send(5))
    desk.sync()
    desk.ledger.confirm(4)
    desk.ledger.confirm(token)
    assert (desk.ledger.confirmed, wait.done()) == (4, False)


def test_report_for_an_older_link_is_ignored(make: Make) -> None:
    """A RESULT of a broken link must not be taken for a message of its successor."""
    desk = make(first=501)
    assert desk.send() == 501
    assert desk.ledger.fail(500, Outcome.GONE)
    assert desk.ledger.outcome(501) is None


def test_link_down_settles_all(make: Make) -> None:
    desk = make()
    one, two, three, four, five, six = (desk.send() for _ in range(6))
    desk.ledger.wait(one)
    desk.ledger.confirm(desk.sync() - 4)  # one and two are known
    wait = desk.ledger.wait(three)
    desk.ledger.fail(four, Outcome.GONE)
    assert desk.ledger.close() == 2  # five and six
    assert wait.result() is Outcome.UNREACHABLE
    assert [desk.ledger.outcome(n) for n in (one, two, three, four, five, six)] == [
        Outcome.QUEUED,
        Outcome.QUEUED,
        Outcome.UNREACHABLE,
        Outcome.GONE,
        Outcome.UNREACHABLE,
        Outcome.UNREACHABLE,
    ]
    desk.ledger.confirm(six)
    assert desk.ledger.fail(five, Outcome.GONE)
    assert desk.ledger.outcome(five) is Outcome.UNREACHABLE


def test_fate_of_what_was_never_written_may_be_known(make: Make) -> None:
    desk = make()
    wait = desk.ledger.wait(desk.send())
    assert desk.ledger.close(Outcome.GONE) == 0
    assert wait.result() is Outcome.GONE


def test_failures_are_kept_to_a_bound(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies further back than the failures that are kept is neither QUEUED nor failed."""
    monkeypatch.setattr(module, "KEPT", 2)
    desk = make()
    desk.send(5)
    for number in (2, 3, 4):
        desk.ledger.fail(number, Outcome.GONE)
    desk.ledger.wait(5)
    desk.ledger.confirm(desk.sync())
    assert [desk.ledger.outcome(number) for number in range(1, 6)] == [
        Outcome.UNREACHABLE,
        Outcome.UNREACHABLE,
        Outcome.GONE,
        Outcome.GONE,
        Outcome.QUEUED,
    ]


def test_patience_ends_after_no_progress(make: Make) -> None:
    desk = make()
    desk.send(3)
    waits = [desk.ledger.wait(number) for number in (1, 2, 3)]
    desk.sync()
    desk.now += 9
    desk.ledger.confirm(1)
    desk.now += 9
    assert desk.ledger.expire(10) == 0
    desk.now += 1
    assert desk.ledger.expire(10) == 2
    assert [wait.result() for wait in waits] == [
        Outcome.QUEUED,
        Outcome.UNREACHABLE,
        Outcome.UNREACHABLE,
    ]
    assert desk.ledger.expire(10) == 0
    assert not desk.ledger.is_down


def test_patience_begins_with_the_wait_and_not_with_the_link(make: Make) -> None:
    desk = make()
    desk.send()
    desk.now += 1000
    desk.ledger.wait(1)
    assert desk.ledger.expire(10) == 0


def test_pending_send_looks_without_asking(make: Make) -> None:
    desk = make()
    send = PendingSend(desk.ledger, desk.send())
    assert (send.outcome, desk.woken, repr(send)) == (None, 0, "<PendingSend pending>")
    desk.ledger.fail(1, Outcome.FULL)
    assert repr(send) == "<PendingSend FULL>"


def watched(desk: Desk, *numbers: int) -> list[tuple[int, Outcome]]:
    """Watch messages; return the list that what is told goes into."""
    told: list[tuple[int, Outcome]] = []
    for number in numbers:
        PendingSend(desk.ledger, number).if_failed(
            lambda outcome, number=number: told.append((number, outcome))  # type: ignore[misc]
        )
    return told


def test_watcher_is_told_of_a_failure_alone(make: Make) -> None:
    async def scenario(desk: Desk) -> None:
        desk.send(4)
        told = watched(desk, 1, 2, 3)
        assert desk.ledger.fail(2, Outcome.GONE)  # which is as good as an await
        desk.ledger.wait(4)
        desk.ledger.confirm(desk.sync())
        desk.send()
        told_late = watched(desk, 2, 3)
        told_at_the_end = watched(desk, 5)
        assert desk.ledger.close() == 0
        await asyncio.sleep(0)
        assert told == [(2, Outcome.GONE)]
        assert told_late == [(2, Outcome.GONE)]
        assert told_at_the_end == [(5, Outcome.UNREACHABLE)]

    desk = make()
    desk.loop.run_until_complete(scenario(desk))
