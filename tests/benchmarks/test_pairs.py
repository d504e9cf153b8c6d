"""The C generator's pairs: who sends to whom, on servers that deal connections differently."""

import itertools
import json
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from websockets.sync.server import ServerConnection, serve

from benchmarks import generator
from benchmarks.errors import RunFailed
from benchmarks.generator import Target
from benchmarks.matrix import Section, Workload

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")

MATCHED = ("--matched",)
TOGETHER = ("--together",)


@dataclass
class Switchboard:
    """The demo's dialect on one process that claims to have shards."""

    shard_of: Callable[[int], int]
    port: int = 0
    connections: dict[int, ServerConnection] = field(default_factory=dict)
    ways: set[tuple[int, int]] = field(default_factory=set)  # connection to connection
    serials: Iterator[int] = field(default_factory=itertools.count)

    def handle(self, ws: ServerConnection) -> None:
        me = next(self.serials)
        self.connections[me] = ws
        ws.send(json.dumps({"connection_id": me, "shard": self.shard_of(me)}))
        for message in ws:
            request = json.loads(message)
            self.ways.add((me, request["to"]))
            text = json.dumps({"from": me, "text": request["text"]})
            self.connections[request["to"]].send(text)

    def shards_of_ways(self) -> list[tuple[int, int]]:
        return [(self.shard_of(one), self.shard_of(other)) for one, other in self.ways]


@contextmanager
def switchboard(shard_of: Callable[[int], int]) -> Iterator[Switchboard]:
    board = Switchboard(shard_of)
    with serve(board.handle, "127.0.0.1", 0) as server:
        board.port = server.socket.getsockname()[1]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield board
        finally:
            server.shutdown()
            thread.join()


def load(board: Switchboard, pairs: int, flags: Sequence[str] = ()) -> generator.Load:
    generator.build()
    workload = Workload(Section.CROSS, "pair", pairs, 40, 2, is_text=True, flags=tuple(flags))
    return generator.run(workload, Target(board.port, []), seconds=0.05, warmup_s=0.01, drain_s=2)


@pytest.mark.parametrize("shards", [2, 3, 8])
def test_matched_halves_are_on_two_shards(shards: int) -> None:
    with switchboard(lambda serial: serial % shards) as board:
        assert load(board, 24, MATCHED).messages > 0
    assert len(board.ways) == 24
    assert len({one for way in board.ways for one in way}) == 48
    assert all(one != other for one, other in board.shards_of_ways())


def test_matched_pairs_go_by_more_ways_than_one() -> None:
    with switchboard(lambda serial: serial % 8) as board:
        load(board, 24, MATCHED)
    assert len(set(board.shards_of_ways())) > 12


def test_matched_halves_of_a_single_shard() -> None:
    with switchboard(lambda serial: 0) as board:
        assert load(board, 3, MATCHED).messages > 0
    assert set(board.shards_of_ways()) == {(0, 0)}


def test_a_shard_with_more_than_half_cannot_be_matched() -> None:
    with (
        switchboard(lambda serial: int(serial == 0)) as board,
        pytest.raises(RunFailed, match="more than half of the connections are on shard 0"),
    ):
        load(board, 4, MATCHED)


def test_otherwise_a_half_connects_again_until_it_is_elsewhere() -> None:
    with switchboard(lambda serial: int(serial > 8)) as board:
        assert load(board, 4).messages > 0
    assert all(one != other for one, other in board.shards_of_ways())
    assert len(board.connections) > 8


def test_otherwise_a_single_shard_is_a_failure() -> None:
    with (
        switchboard(lambda serial: 0) as board,
        pytest.raises(RunFailed, match="all connections are on one shard"),
    ):
        load(board, 1)


@pytest.mark.parametrize("shards", [1, 2, 3])
def test_halves_that_are_together_are_on_one_shard(shards: int) -> None:
    with switchboard(lambda serial: serial % shards) as board:
        assert load(board, 24, TOGETHER).messages > 0
    assert len({one for way in board.ways for one in way}) == 48
    assert all(one == other for one, other in board.shards_of_ways())
    assert {shard for way in board.shards_of_ways() for shard in way} == set(range(shards))


def test_a_shard_with_an_odd_number_cannot_be_together() -> None:
    with (
        switchboard(lambda serial: int(serial == 0)) as board,
        pytest.raises(RunFailed, match="an odd number of connections is on shard"),
    ):
        load(board, 4, TOGETHER)
