"""Rooms on two shards: who is in one hears the others of it, and nobody else."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection

from tests.processes.conftest import DEADLINE, RunningServer

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.processes


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    options = ["--local-port", "0", "--shards", "2", "--accept-mode", "handoff"]
    running = RunningServer(
        ["examples.rooms:app", *options, "--run-dir", str(tmp_path / "run")], ROOT, {}
    )
    running.wait_until_listening()
    yield running
    running.end()


def heard(ws: ClientConnection) -> str:
    return str(ws.recv(timeout=DEADLINE))


def test_rooms(server: RunningServer) -> None:
    ann = server.connect("/chat/tea?name=Ann")
    assert heard(ann) == "* Ann came"
    bob, eve = server.connect("/chat/tea?name=Bob"), server.connect("/chat/coffee?name=Eve")
    assert heard(bob) == heard(ann) == "* Bob came"
    assert heard(eve) == "* Eve came"
    ann.send("hello")
    assert heard(bob) == heard(ann) == "Ann: hello"
    bob.close()
    assert heard(ann) == "* Bob left"
    eve.send("anyone?")
    assert heard(eve) == "Eve: anyone?"
    with pytest.raises(InvalidStatus) as refused:
        server.connect("/chat/tea")
    assert refused.value.response.status_code == 400
    assert refused.value.response.body == b"say who you are: ?name=...\n"
