"""The chat of the tutorial on two shards: names, words to one, and a shard that is killed."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.sync.client import ClientConnection

from tests.processes.conftest import DEADLINE, RunningServer

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.processes


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    options = ["--local-port", "0", "--shards", "2", "--accept-mode", "handoff"]
    running = RunningServer(
        ["examples.chat:server", *options, "--run-dir", str(tmp_path / "run")], ROOT, {}
    )
    running.wait_until_listening()
    yield running
    running.end()


def heard(ws: ClientConnection) -> str:
    return str(ws.recv(timeout=DEADLINE))


def test_the_chat(server: RunningServer) -> None:
    ann = server.connect()
    greeting = heard(ann).split()
    first, first_shard = int(greeting[2]), int(greeting[-1])
    # Every shard replies to this: by then each has heard that the lobby has a member.
    server.ask("conns")
    bob = server.connect()
    assert heard(ann) == heard(bob)
    connection_list = server.ask("conns")["connections"]
    (second,) = {row["id"] for row in connection_list} - {first}
    ann.send("/name Ann")
    assert heard(bob) == f"* guest {first} is now Ann"
    ann.send("hello é")
    assert heard(bob) == "Ann: hello é"
    bob.send(f"/tell {first} psst")
    assert heard(bob) == "* QUEUED"
    bob.send(f"/tell {second + 1} psst")
    assert heard(bob) == "* GONE"
    bob.send("/tell Ann psst")
    assert heard(bob) == "* GONE"
    assert [heard(ann) for _ in range(3)] == [
        f"* guest {first} is now Ann", "Ann: hello é", f"guest {second} tells you: psst",
    ]  # fmt: skip
    os.kill(server.shard(first_shard)["pid"], signal.SIGKILL)
    assert heard(bob) == f"* somebody ({first}) left: 1006 shard died"
    bob.send("still here")
    assert heard(bob) == f"guest {second}: still here"
