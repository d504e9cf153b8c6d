"""acceptor: who gets the next connection, and what happens when nobody takes it."""

import contextlib
import selectors
import socket
from collections.abc import Iterator

import pytest

from shardws import stats
from shardws_supervisor.listening import acceptor
from shardws_supervisor.listening.acceptor import Acceptor, Balance


def test_the_fewest_first_and_what_is_on_its_way_counts() -> None:
    memory = stats.Stats(2)
    for row, connections in ((0, 5), (1, 3), (2, 4)):
        memory.row(row)[stats.CONNECTIONS] = connections
        memory.row(row)[stats.ACCEPTED] = 100
    balance = Balance(memory)
    for row in (0, 1, 2):
        balance.add(row)
    assert balance.order() == [1, 2, 0]
    balance.note(1)
    balance.note(1)
    assert [balance.load(row) for row in (0, 1, 2)] == [5, 5, 4]
    memory.row(1)[stats.ACCEPTED] += 2
    memory.row(1)[stats.CONNECTIONS] += 2
    assert balance.load(1) == 5, "taken: counted once"
    balance.drop(2)
    balance.drop(2)
    assert balance.order() == [0, 1], "of equals, who was handed fewer"


def test_a_row_that_comes_again_starts_afresh() -> None:
    memory = stats.Stats(1)
    balance = Balance(memory)
    balance.add(0)
    balance.note(0)
    balance.add(0)
    assert balance.load(0) == 0


class Fixture:
    """An acceptor whose loop is turned by hand."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.memory = stats.Stats(2)
        self.acceptor = Acceptor(self.listener, 16, theirs, self.memory)
        self.listener.setblocking(False)
        self.clients: list[socket.socket] = []

    def add(self, row: int) -> socket.socket:
        """Name a shard to it; return the shard's end."""
        way, end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        socket.send_fds(self.ours, [acceptor.ORDER.pack(acceptor.ADD, row)], [way.fileno()])
        way.close()
        assert self.acceptor._obey()
        end.setblocking(False)
        return end

    def drop(self, row: int) -> None:
        self.ours.send(acceptor.ORDER.pack(acceptor.DROP, row))
        assert self.acceptor._obey()

    def connect(self) -> None:
        self.clients.append(socket.create_connection(self.listener.getsockname(), timeout=5))

    def close(self) -> None:
        for sock in (self.listener, self.ours, *self.clients, *self.acceptor._shards.values()):
            sock.close()
        self.acceptor._orders.close()
        self.acceptor._selector.close()
        if self.acceptor._held is not None:
            self.acceptor._held.close()


@pytest.fixture
def fixture() -> Iterator[Fixture]:
    made = Fixture()
    yield made
    made.close()


def taken(end: socket.socket) -> int:
    """Return how many sockets were handed to a shard."""
    count = 0
    while True:
        try:
            data, descriptors, _, _ = socket.recv_fds(end, 1, 1)
        except BlockingIOError:
            return count
        if not data:
            return count
        socket.socket(fileno=descriptors[0]).close()
        count += 1


def accepts(fixture: Fixture) -> bool:
    """Tell whether the acceptor wants connections now."""
    fixture.acceptor._arrange()
    return fixture.acceptor._is_accepting


def fill(sock: socket.socket) -> None:
    """Write until nothing more fits."""
    is_full = False
    while not is_full:
        try:
            sock.send(b"x" * 1000)
        except BlockingIOError:
            is_full = True


def test_connections_are_dealt_in_turn(fixture: Fixture) -> None:
    ends = [fixture.add(row) for row in (0, 1)]
    for _ in range(6):
        fixture.connect()
    fixture.acceptor._accept()
    assert [taken(end) for end in ends] == [3, 3]
    for end in ends:
        end.close()


def test_a_dead_shard_is_passed_over(fixture: Fixture) -> None:
    dead, alive = fixture.add(0), fixture.add(1)
    dead.close()
    fixture.connect()
    fixture.acceptor._accept()
    assert taken(alive) == 1
    alive.close()


def test_a_dropped_shard_sees_the_end(fixture: Fixture) -> None:
    end = fixture.add(0)
    fixture.drop(0)
    assert end.recv(1) == b""
    end.close()


def test_with_nobody_there_it_holds_one_and_leaves_the_rest_in_the_backlog(
    fixture: Fixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(acceptor.time, "monotonic", lambda: now[0])  # type: ignore[attr-defined]
    gone = fixture.add(0)
    assert accepts(fixture)
    gone.close()
    for _ in range(3):
        fixture.connect()
    fixture.acceptor._accept()
    assert fixture.acceptor._held is not None
    assert not accepts(fixture), "nothing more is accepted meanwhile"
    end = fixture.add(1)
    now[0] += acceptor.PAUSE
    assert accepts(fixture)
    fixture.acceptor._accept()
    assert taken(end) == 3
    end.close()


def test_a_full_queue_goes_to_the_next(fixture: Fixture) -> None:
    full, free = fixture.add(0), fixture.add(1)
    fixture.memory.row(1)[stats.CONNECTIONS] = 1_000_000
    fill(fixture.acceptor._shards[0])
    fixture.connect()
    fixture.acceptor._accept()
    assert taken(free) == 1
    full.close()
    free.close()


def test_no_descriptors_is_a_pause(fixture: Fixture, monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing:
        def __init__(self, number: int) -> None:
            self.number = number

        def accept(self) -> None:
            raise OSError(self.number, "x")

    end = fixture.add(0)
    with monkeypatch.context() as patched:
        patched.setattr(fixture.acceptor, "_listener", Failing(24))
        fixture.acceptor._accept()
    assert fixture.acceptor._pause_until
    fixture.acceptor._pause_until = 0.0
    with monkeypatch.context() as patched:
        patched.setattr(fixture.acceptor, "_listener", Failing(103))  # ECONNABORTED: not our fault
        fixture.acceptor._accept()
    assert not fixture.acceptor._pause_until
    end.close()


def test_a_connection_that_is_held_is_passed_on_at_the_end(fixture: Fixture) -> None:
    """An upgrade replaces the acceptor: it was closed, if every shard's queue was full then."""
    end = fixture.add(0)
    fill(fixture.acceptor._shards[0])
    fixture.connect()
    fixture.acceptor._accept()
    assert fixture.acceptor._held is not None
    fixture.ours.close()
    with contextlib.suppress(BlockingIOError):
        while True:
            end.recv(1000)
    fixture.acceptor.run()
    assert taken(end) == 1
    end.close()


def test_it_ends_with_its_supervisor(fixture: Fixture) -> None:
    end = fixture.add(0)
    fixture.connect()
    fixture.ours.close()
    fixture.acceptor.run()
    assert isinstance(fixture.acceptor._selector, selectors.DefaultSelector)
    end.close()
