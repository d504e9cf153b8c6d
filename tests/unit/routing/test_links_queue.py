"""Queue and Numbers, in both implementations."""

from typing import Any

import pytest

from shardws.outcomes import FULL
from shardws.routing.ledger import PendingSend
from shardws.wire import messages as m
from shardws.wire.codec import encode
from tests.unit.routing.links_contract import (
    HEAD,
    ID,
    each_implementation,
    make_ledger,
    make_queue,
)


@each_implementation
def test_messages_wait_in_the_form_of_the_table(links: Any) -> None:
    queue = make_queue(links, 1 << 20)
    sends = [queue.deliver(ID, kind, bytes(kind) * kind) for kind in (1, 2, 9, 10)]
    queue.put(encode(m.SYNC, 4))
    large = bytes(100_000)
    sends.append(queue.deliver(ID, 1, large))
    expected = [encode(m.DELIVER, ID, kind, bytes(kind) * kind) for kind in (1, 2, 9, 10)]
    expected += [encode(m.SYNC, 4), encode(m.DELIVER, ID, 1, large)]
    assert (queue.waiting, queue.frames) == (sum(map(len, expected)), 6)
    queue.put_first(encode(m.GOODBYE))
    assert queue.take() == encode(m.GOODBYE) + b"".join(expected)
    assert (queue.waiting, queue.frames, queue.take()) == (0, 0, b"")
    assert queue.ledger.last == 5
    assert queue.calls == [("wake", HEAD + 1)]
    assert [send._number for send in sends] == [1, 2, 3, 4, 5]
    assert {type(send) for send in sends} == {PendingSend}
    assert {send._ledger for send in sends} == {queue.ledger}


@each_implementation
def test_what_is_put_first_wakes_nothing(links: Any) -> None:
    queue = make_queue(links)
    queue.put_first(b"a")
    queue.put_first(b"b")
    assert (queue.calls, queue.take()) == ([], b"ba")


@each_implementation
def test_the_bound_is_asked_about_only_beyond_the_room(links: Any) -> None:
    queue = make_queue(links, HEAD + 3)
    queue.flush_comes = True
    queue.deliver(ID, 1, b"abc")
    assert queue.deliver(ID, 1, b"") is FULL
    assert queue.calls == [("has_room", HEAD), ("refuse", ID)]
    assert (queue.waiting, queue.frames, queue.ledger.last) == (HEAD + 3, 1, 1)
    queue.answer = True
    assert queue.deliver(ID, 1, b"")._number == 2
    queue.answer = KeyError("odd")
    with pytest.raises(KeyError, match="odd"):
        queue.deliver(ID, 1, b"")
    assert (queue.waiting, queue.frames, queue.ledger.last) == (2 * HEAD + 3, 2, 2)


@each_implementation
@pytest.mark.parametrize("room", [-1, 0, HEAD - 1])
def test_a_queue_without_room(links: Any, room: int) -> None:
    assert make_queue(links, room).deliver(ID, 1, b"") is FULL


@each_implementation
@pytest.mark.parametrize(
    "arguments", [(-1, 1, b""), (1 << 64, 1, b""), (1, -1, b""), (1, 256, b""), (1, 1 << 70, b"")]
)
def test_what_no_deliver_can_have(links: Any, arguments: tuple[Any, ...]) -> None:
    queue = make_queue(links)
    with pytest.raises(ValueError, match=r"kind|connection id"):
        queue.deliver(*arguments)
    assert (queue.waiting, queue.frames, queue.ledger.last) == (0, 0, 0)


@each_implementation
@pytest.mark.parametrize("payload", ["text", None, 1])
def test_a_payload_is_bytes(links: Any, payload: Any) -> None:
    queue = make_queue(links)
    with pytest.raises(TypeError):
        queue.deliver(ID, 1, payload)
    assert (queue.waiting, queue.ledger.last) == (0, 0)


@each_implementation
def test_the_largest_id(links: Any) -> None:
    queue = make_queue(links)
    queue.deliver((1 << 64) - 1, 1, b"")
    assert queue.take() == encode(m.DELIVER, (1 << 64) - 1, 1, b"")


@each_implementation
def test_a_watcher_waits_while_nothing_is_known(links: Any) -> None:
    ledger, watcher = make_ledger(links), print
    ledger.last = 9
    ledger.confirmed, ledger._forgotten, ledger._failures = 3, 5, {7: 1}
    for number in (3, 5, 6, 7, 8):
        ledger.watch(number, watcher)
    assert ledger._watchers == {6: watcher, 8: watcher}
    assert ledger.slow == [(3, watcher), (5, watcher), (7, watcher)]
    ledger.is_down = True
    ledger.watch(9, watcher)
    assert ledger.slow[3:] == [(9, watcher)]
