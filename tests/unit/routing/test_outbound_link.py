"""One link on a transport made of lists: bounds, joined writes, and every way to its end."""

import asyncio
from collections.abc import Iterator

import pytest

from shardws.errors import UsageError
from shardws.outcomes import Outcome
from shardws.routing import outbound_link as module
from shardws.routing.ledger import SYNC_EVERY
from shardws.routing.outbound_link import HEAD, OutboundLink
from shardws.stats import LINKS_OUT
from shardws.wire import messages as m
from shardws.wire.codec import encode
from tests.unit.routing.rig import GREETING, LIMIT, MARK, Rig


@pytest.fixture
def rig() -> Iterator[Rig]:
    loop = asyncio.new_event_loop()
    yield Rig(loop)
    loop.close()


def test_messages_of_one_turn_leave_in_one_write(rig: Rig) -> None:
    rig.up()
    for number in range(3):
        rig.link.deliver(7, 1, b"%d" % number)
    rig.link.count(7, encode(m.CLOSE, 7, 1000, ""))
    assert rig.owner.dirty == [rig.link]
    rig.owner.turn()
    assert len(rig.transport.writes) == 2  # the greeting was the first
    assert rig.sent() == [(m.DELIVER, 7, 1, b"%d" % n) for n in range(3)] + [(m.CLOSE, 7, 1000, "")]
    assert (rig.link.ledger.last, rig.row[LINKS_OUT], rig.transport.marks) == (4, 5, 0)


def test_nothing_is_written_in_an_idle_turn(rig: Rig) -> None:
    rig.up()
    rig.link.flush()
    assert len(rig.transport.writes) == 1


def test_messages_wait_for_the_link_behind_its_greeting(rig: Rig) -> None:
    rig.link.deliver(7, 1, b"x")
    assert rig.owner.dirty == []
    rig.up()
    assert rig.transport.writes[0].startswith(GREETING)
    assert rig.sent() == [(m.DELIVER, 7, 1, b"x")]


@pytest.mark.parametrize("is_up", [False, True])
def test_bound_is_exact(rig: Rig, is_up: bool) -> None:
    if is_up:
        rig.up()
    assert rig.send(MARK - 100) is None
    assert rig.send(101, 5) is Outcome.FULL
    assert rig.send(100) is None
    assert rig.send(HEAD, 6) is Outcome.FULL
    assert not rig.link.offer(b"x")
    assert rig.link.count(8, b"x").outcome is Outcome.FULL
    assert rig.link.queued == MARK
    assert rig.link.ledger.last == 2  # what is refused has no number


def test_refused_are_told_when_the_queue_has_left(rig: Rig) -> None:
    rig.up()
    rig.send(MARK)
    rig.send(HEAD, 5)
    rig.send(HEAD, 6)
    rig.send(HEAD, 5)
    rig.owner.turn()
    assert rig.sink.ready == [5, 6]
    assert rig.send(MARK) is None


def test_unheeded_refusal_is_told(rig: Rig) -> None:
    rig.link.deliver(1, 2, bytes(MARK))
    rig.link.deliver(5, 2, b"")
    assert rig.sink.failed == [(5, Outcome.FULL)]


def test_slow_peer_bounds_what_waits_here_and_in_the_transport(rig: Rig) -> None:
    rig.up(room=100 + len(GREETING))
    rig.send(500)
    rig.owner.turn()  # 400 stay in the transport
    assert rig.link.queued == 400
    assert rig.send(600) is None
    assert rig.send(HEAD, 5) is Outcome.FULL
    rig.owner.turn()
    assert len(rig.transport.writes) == 2  # nothing is written while paused
    rig.transport.room = 1 << 30
    rig.transport.drain()
    assert len(rig.transport.writes) == 3
    assert (rig.link.queued, rig.sink.ready) == (0, [5])


def test_pause_again_on_resume(rig: Rig) -> None:
    rig.up(room=100 + len(GREETING))
    rig.send(500)
    rig.owner.turn()
    rig.send(600)
    rig.send(HEAD, 5)
    rig.transport.drain()  # no room yet: the 600 stay in the transport
    assert (rig.link.queued, rig.sink.ready) == (600, [])
    assert rig.send(400) is None
    rig.transport.room = 1 << 30
    rig.transport.drain()
    assert rig.sink.ready == [5]


def test_single_message_above_the_mark_goes_through_an_empty_queue(rig: Rig) -> None:
    rig.up()
    assert rig.send(MARK * 3) is None
    assert rig.send(HEAD) is Outcome.FULL
    rig.owner.turn()
    assert rig.send(HEAD) is None


@pytest.mark.parametrize("mark", [MARK, 2 * LIMIT])
def test_message_above_the_frame_limit_is_misuse(rig: Rig, mark: int) -> None:
    rig.link = OutboundLink(
        rig.owner,
        rig.sink,
        1,
        asyncio.new_event_loop(),
        rig.row,
        high_mark=mark,
        frame_limit=LIMIT,
    )
    rig.link._loop.close()
    with pytest.raises(UsageError, match="too large to go to another shard") as caught:
        rig.send(LIMIT + 6)
    assert caught.value.code == 213
    assert rig.send(LIMIT + 5) is None


def test_refused_ids_are_kept_to_a_bound(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_REFUSED", 2)
    rig.send(MARK)
    for connection_id in (5, 6, 7):
        rig.send(HEAD, connection_id)
    assert list(rig.link.refused) == [5, 6]


def test_replies_go_beyond_the_mark_and_then_break_the_link(rig: Rig) -> None:
    rig.up(room=len(GREETING))
    rig.send(MARK)
    rig.owner.turn()
    rig.link.reply(bytes(MARK))
    assert not rig.link.is_down
    rig.link.reply(b"x" * (MARK + 1))
    assert rig.owner.reasons == ["it does not read its replies"]
    assert rig.transport.is_aborted
    rig.link.reply(b"x")  # ignored by now
    assert rig.link.queued == 0


def test_sync_stands_behind_what_it_asks_about(rig: Rig) -> None:
    rig.up()
    send = rig.link.deliver(1, 2, b"x")
    waiting = send.__await__()
    next(waiting)
    rig.link.reply(encode(m.SYNCED, 0))
    rig.owner.turn()
    assert [message[0] for message in rig.sent()] == [m.DELIVER, m.SYNCED, m.SYNC]
    rig.link.ledger.confirm(1)
    assert send.outcome is Outcome.QUEUED


def test_wait_wakes_an_idle_link(rig: Rig) -> None:
    rig.up()
    send = rig.link.deliver(1, 2, b"x")
    rig.owner.turn()
    next(send.__await__())
    rig.owner.turn()
    assert rig.sent()[-1] == (m.SYNC, 1)


def test_sync_of_many(rig: Rig) -> None:
    rig.up()
    for _ in range(SYNC_EVERY):
        rig.link.deliver(1, 2, b"")
        rig.owner.turn()
    assert [message for message in rig.sent() if message[0] == m.SYNC] == [(m.SYNC, SYNC_EVERY)]


def test_tick_confirms_an_idle_tail_once(rig: Rig) -> None:
    rig.up()
    rig.link.deliver(1, 2, b"")
    rig.link.tick(9)  # a flush comes anyway
    rig.owner.turn()
    rig.link.tick(9)
    rig.owner.turn()
    rig.link.tick(9)
    rig.owner.turn()
    assert [message[0] for message in rig.sent()] == [m.DELIVER, m.SYNC]
    rig.link.ledger.confirm(1)
    rig.link.tick(9)
    assert rig.owner.dirty == []


def test_full_ones_are_released(rig: Rig) -> None:
    rig.link.full.update({5: None, 6: None})
    rig.link.release_full()
    assert (rig.sink.ready, rig.link.full) == ([5, 6], {})


def test_leave(rig: Rig) -> None:
    rig.up()
    rig.send(HEAD)
    rig.link.leave()
    assert [message[0] for message in rig.sent()] == [m.DELIVER, m.GOODBYE]
    assert (rig.transport.is_closed, rig.transport.is_aborted) == (True, False)
    assert not rig.link.closed.done()
    rig.link.connection_lost(None)
    assert rig.link.closed.done()
    assert rig.owner.reasons == ["this shard ends"]


def test_leave_of_a_slow_link_can_be_cut_short(rig: Rig) -> None:
    rig.up(room=0)
    rig.link.leave()
    rig.link.abort("too slow")
    assert rig.transport.is_aborted
    assert rig.owner.reasons == ["this shard ends"]


@pytest.mark.parametrize("way", ["leave", "abort"])
def test_end_before_the_link_is_up(rig: Rig, way: str) -> None:
    assert rig.send(HEAD) is None
    if way == "leave":
        rig.link.leave()
    else:
        rig.link.abort("not wanted")
    assert rig.link.closed.done()
    rig.up()  # the dial was on its way
    assert rig.transport.is_aborted
    assert rig.transport.writes == []


def test_everything_after_the_end_is_unreachable(rig: Rig) -> None:
    rig.up()
    send = rig.link.deliver(1, 2, b"x")
    rig.link.connection_lost(ConnectionResetError("reset"))
    assert rig.owner.reasons == ["reset"]
    assert send.outcome is Outcome.UNREACHABLE
    assert rig.send(HEAD) is Outcome.UNREACHABLE
    assert not rig.link.offer(b"x")
    assert rig.link.count(1, b"x").outcome is Outcome.UNREACHABLE
    rig.link.resume_writing()
    rig.owner.turn()
    assert len(rig.transport.writes) == 1


def test_no_write_while_the_transport_closes(rig: Rig) -> None:
    """uvloop raises for a write between its close and connection_lost."""
    rig.up()
    rig.send(HEAD)
    rig.transport.is_closed = True
    rig.owner.turn()
    assert len(rig.transport.writes) == 1


def test_peer_that_writes_on_a_one_way_link_loses_it(rig: Rig) -> None:
    rig.up()
    rig.link.data_received(b"x")
    assert rig.owner.reasons == ["the peer wrote on a one-way link"]
