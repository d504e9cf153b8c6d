"""One link on a transport made of lists: bounds, joined writes, and every way to its end."""

import asyncio
from collections.abc import Iterator
from typing import cast

import pytest

from shardws.errors import UsageError
from shardws.outcomes import Outcome
from shardws.routing import outbound_link as module
from shardws.routing.ledger import SYNC_EVERY
from shardws.routing.links_twin import HEAD
from shardws.routing.outbound_link import OutboundLink
from shardws.stats import LINKS_OUT
from shardws.wire import messages as m
from shardws.wire.codec import encode
from tests.unit.routing.link_fixture import GREETING, LIMIT, MARK, LinkFixture


@pytest.fixture
def fixture() -> Iterator[LinkFixture]:
    loop = asyncio.new_event_loop()
    yield LinkFixture(loop)
    loop.close()


def test_messages_of_one_turn_leave_in_one_write(fixture: LinkFixture) -> None:
    fixture.up()
    for number in range(3):
        fixture.link.deliver(7, 1, b"%d" % number)
    fixture.link.count(7, encode(m.CLOSE, 7, 1000, ""))
    assert fixture.owner.dirty == [fixture.link]
    fixture.owner.turn()
    assert len(fixture.transport.writes) == 2  # the greeting was the first
    assert fixture.sent() == [(m.DELIVER, 7, 1, b"%d" % n) for n in range(3)] + [
        (m.CLOSE, 7, 1000, "")
    ]
    assert (fixture.link.ledger.last, fixture.row[LINKS_OUT], fixture.transport.marks) == (4, 5, 0)


def test_nothing_is_written_in_an_idle_turn(fixture: LinkFixture) -> None:
    fixture.up()
    fixture.link.flush()
    assert len(fixture.transport.writes) == 1


def test_messages_wait_for_the_link_behind_its_greeting(fixture: LinkFixture) -> None:
    fixture.link.deliver(7, 1, b"x")
    assert fixture.owner.dirty == []
    fixture.up()
    assert fixture.transport.writes[0].startswith(GREETING)
    assert fixture.sent() == [(m.DELIVER, 7, 1, b"x")]


@pytest.mark.parametrize("is_up", [False, True])
def test_bound_is_exact(fixture: LinkFixture, is_up: bool) -> None:
    if is_up:
        fixture.up()
    assert fixture.send(MARK - 100) is None
    assert fixture.send(101, 5) is Outcome.FULL
    assert fixture.send(100) is None
    assert fixture.send(HEAD, 6) is Outcome.FULL
    assert not fixture.link.offer(b"x")
    assert fixture.link.count(8, b"x").outcome is Outcome.FULL
    assert fixture.link.queued == MARK
    assert fixture.link.ledger.last == 2  # what is refused has no number


def test_refused_are_told_when_the_queue_has_left(fixture: LinkFixture) -> None:
    fixture.up()
    fixture.send(MARK)
    fixture.send(HEAD, 5)
    fixture.send(HEAD, 6)
    fixture.send(HEAD, 5)
    fixture.owner.turn()
    assert fixture.sink.ready == [5, 6]
    assert fixture.send(MARK) is None


def test_unheeded_refusal_is_told(fixture: LinkFixture) -> None:
    fixture.link.deliver(1, 2, bytes(MARK))
    fixture.link.deliver(5, 2, b"")
    assert fixture.sink.failed == [(5, Outcome.FULL)]


def test_slow_peer_bounds_what_waits_here_and_in_the_transport(fixture: LinkFixture) -> None:
    fixture.up(room=100 + len(GREETING))
    fixture.send(500)
    fixture.owner.turn()  # 400 stay in the transport
    assert fixture.link.queued == 400
    assert fixture.send(600) is None
    assert fixture.send(HEAD, 5) is Outcome.FULL
    fixture.owner.turn()
    assert len(fixture.transport.writes) == 2  # nothing is written while paused
    fixture.transport.room = 1 << 30
    fixture.transport.drain()
    assert len(fixture.transport.writes) == 3
    assert (fixture.link.queued, fixture.sink.ready) == (0, [5])


def test_pause_again_on_resume(fixture: LinkFixture) -> None:
    fixture.up(room=100 + len(GREETING))
    fixture.send(500)
    fixture.owner.turn()
    fixture.send(600)
    fixture.send(HEAD, 5)
    fixture.transport.drain()  # no room yet: the 600 stay in the transport
    assert (fixture.link.queued, fixture.sink.ready) == (600, [])
    assert fixture.send(400) is None
    fixture.transport.room = 1 << 30
    fixture.transport.drain()
    assert fixture.sink.ready == [5]


def test_single_message_above_the_mark_goes_through_an_empty_queue(fixture: LinkFixture) -> None:
    fixture.up()
    assert fixture.send(MARK * 3) is None
    assert fixture.send(HEAD) is Outcome.FULL
    fixture.owner.turn()
    assert fixture.send(HEAD) is None


@pytest.mark.parametrize("mark", [MARK, 2 * LIMIT])
def test_message_above_the_frame_limit_is_misuse(fixture: LinkFixture, mark: int) -> None:
    fixture.link = OutboundLink(
        fixture.owner,
        fixture.sink,
        1,
        asyncio.new_event_loop(),
        fixture.row,
        high_mark=mark,
        frame_limit=LIMIT,
    )
    fixture.link._loop.close()
    with pytest.raises(UsageError, match="too large to go to another shard") as caught:
        fixture.send(LIMIT + 6)
    assert caught.value.code == 213
    assert fixture.send(LIMIT + 5) is None


def test_refused_ids_are_kept_to_a_bound(
    fixture: LinkFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_REFUSED", 2)
    fixture.send(MARK)
    for connection_id in (5, 6, 7):
        fixture.send(HEAD, connection_id)
    assert list(fixture.link.refused) == [5, 6]


def test_replies_go_beyond_the_mark_and_then_break_the_link(fixture: LinkFixture) -> None:
    fixture.up(room=len(GREETING))
    fixture.send(MARK)
    fixture.owner.turn()
    fixture.link.reply(bytes(MARK))
    assert not fixture.link.is_down
    fixture.link.reply(b"x" * (MARK + 1))
    assert fixture.owner.reasons == ["it does not read its replies"]
    assert fixture.transport.is_aborted
    fixture.link.reply(b"x")  # ignored by now
    assert fixture.link.queued == 0


def test_sync_stands_behind_what_it_asks_about(fixture: LinkFixture) -> None:
    fixture.up()
    send = fixture.link.deliver(1, 2, b"x")
    waiting = send.__await__()
    next(waiting)
    fixture.link.reply(encode(m.SYNCED, 0))
    fixture.owner.turn()
    assert [message[0] for message in fixture.sent()] == [m.DELIVER, m.SYNCED, m.SYNC]
    fixture.link.ledger.confirm(1)
    assert send.outcome is Outcome.QUEUED


def test_wait_wakes_an_idle_link(fixture: LinkFixture) -> None:
    fixture.up()
    send = fixture.link.deliver(1, 2, b"x")
    fixture.owner.turn()
    next(send.__await__())
    fixture.owner.turn()
    assert fixture.sent()[-1] == (m.SYNC, 1)


def test_sync_of_many(fixture: LinkFixture) -> None:
    fixture.up()
    for _ in range(SYNC_EVERY):
        fixture.link.deliver(1, 2, b"")
        fixture.owner.turn()
    assert [message for message in fixture.sent() if message[0] == m.SYNC] == [(m.SYNC, SYNC_EVERY)]


def test_a_tail_is_confirmed_one_question_at_a_time(fixture: LinkFixture) -> None:
    """A crash made messages doubtful that had arrived up to a second before."""
    fixture.up()
    fixture.link.deliver(1, 2, b"")
    fixture.owner.turn()
    fixture.link._tail.confirm()
    fixture.owner.turn()
    fixture.link.deliver(1, 2, b"")
    fixture.owner.turn()
    fixture.link._tail.confirm()  # the first answer has not come yet: it looks again later
    assert fixture.owner.dirty == []
    fixture.link.ledger.confirm(1)
    fixture.link._tail.confirm()
    fixture.owner.turn()
    assert fixture.sent()[1:] == [(m.SYNC, 1), (m.DELIVER, 1, 2, b""), (m.SYNC, 2)]
    fixture.link.ledger.confirm(2)
    fixture.link._tail.confirm()
    assert (fixture.owner.dirty, fixture.link._tail.is_waiting) == ([], False)


def test_a_link_given_up_takes_nothing_until_it_is_up(fixture: LinkFixture) -> None:
    link = OutboundLink(
        fixture.owner,
        fixture.sink,
        1,
        fixture.link._loop,
        fixture.row,
        high_mark=MARK,
        frame_limit=LIMIT,
        is_given_up=True,
    )
    assert link.deliver(1, 2, b"x").outcome is Outcome.UNREACHABLE
    assert link.count(1, b"x").outcome is Outcome.UNREACHABLE
    assert not link.offer(b"x")
    link.connection_made(cast(asyncio.Transport, fixture.transport))
    assert link.deliver(1, 2, b"x").outcome is None
    assert link.offer(b"x")


def test_full_ones_are_released(fixture: LinkFixture) -> None:
    fixture.link.full.update({5: None, 6: None})
    fixture.link.release_full()
    assert (fixture.sink.ready, fixture.link.full) == ([5, 6], {})


def test_leave(fixture: LinkFixture) -> None:
    fixture.up()
    fixture.send(HEAD)
    fixture.link.leave()
    assert [message[0] for message in fixture.sent()] == [m.DELIVER, m.GOODBYE]
    assert (fixture.transport.is_closed, fixture.transport.is_aborted) == (True, False)
    assert not fixture.link.closed.done()
    fixture.link.connection_lost(None)
    assert fixture.link.closed.done()
    assert fixture.owner.reasons == ["this shard ends"]


def test_leave_of_a_slow_link_can_be_cut_short(fixture: LinkFixture) -> None:
    fixture.up(room=0)
    fixture.link.leave()
    fixture.link.abort("too slow")
    assert fixture.transport.is_aborted
    assert fixture.owner.reasons == ["this shard ends"]


@pytest.mark.parametrize("way", ["leave", "abort"])
def test_end_before_the_link_is_up(fixture: LinkFixture, way: str) -> None:
    assert fixture.send(HEAD) is None
    if way == "leave":
        fixture.link.leave()
    else:
        fixture.link.abort("not wanted")
    assert fixture.link.closed.done()
    fixture.up()  # the dial was on its way
    assert fixture.transport.is_aborted
    assert fixture.transport.writes == []


def test_everything_after_the_end_is_unreachable(fixture: LinkFixture) -> None:
    fixture.up()
    send = fixture.link.deliver(1, 2, b"x")
    fixture.link.connection_lost(ConnectionResetError("reset"))
    assert fixture.owner.reasons == ["reset"]
    assert send.outcome is Outcome.UNREACHABLE
    assert fixture.send(HEAD) is Outcome.UNREACHABLE
    assert not fixture.link.offer(b"x")
    assert fixture.link.count(1, b"x").outcome is Outcome.UNREACHABLE
    fixture.link.resume_writing()
    fixture.owner.turn()
    assert len(fixture.transport.writes) == 1


def test_no_write_while_the_transport_closes(fixture: LinkFixture) -> None:
    """uvloop raises for a write between its close and connection_lost."""
    fixture.up()
    fixture.send(HEAD)
    fixture.transport.is_closed = True
    fixture.owner.turn()
    assert len(fixture.transport.writes) == 1


def test_peer_that_writes_on_a_one_way_link_loses_it(fixture: LinkFixture) -> None:
    fixture.up()
    fixture.link.data_received(b"x")
    assert fixture.owner.reasons == ["the peer wrote on a one-way link"]
