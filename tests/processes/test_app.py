"""App on several shards: rooms across them, one leader, and what is refused at the start."""

import os
import signal

import pytest

from tests.processes.clients import close_code
from tests.processes.conftest import DEADLINE, RunServer, WriteApp, eventually

pytestmark = pytest.mark.processes

LEADER = """
import os, time
from shardws import App
app = server = App()
open("told.txt", "a").close()
def note(kind):
    with open("told.txt", "a") as file:
        file.write(f"{kind} {os.getpid()}\\n")
@app.every(0.02, on="one")
async def tick():
    note("one")
    if os.path.exists(f"hang.{os.getpid()}"):
        time.sleep(3600)
@app.every(0.02)
def each():
    note("each")
@app.route("/{room}")
async def chat(ws, room):
    ws.join(room)
    await ws.send(str(os.getpid()))
    async for message in ws:
        app.publish(room, message)
"""


def test_there_is_one_leader_and_it_is_replaced(run_server: RunServer, write_app: WriteApp) -> None:
    server = run_server(write_app(LEADER), shards=2)
    told = server.run_dir.parent / "told.txt"

    def pids(kind: str) -> list[int]:
        lines = [line.split() for line in told.read_text().splitlines()]
        return [int(line[1]) for line in lines if len(line) == 2 and line[0] == kind]

    shards = set(server.shard_pids().values())
    eventually(lambda: set(pids("each")) == shards and len(pids("one")) > 10)
    (leader,) = set(pids("one"))
    os.kill(leader, signal.SIGKILL)
    eventually(lambda: set(pids("one")) != {leader})
    (second,) = set(pids("one")) - {leader}
    assert second in shards
    eventually(lambda: pids("one").count(second) > 10)
    assert set(pids("one")) == {leader, second}

    server.ask("reload")
    eventually(lambda: len(set(pids("one"))) == 3 or len(set(pids("one"))) == 4)
    server.ask("stop")
    assert server.wait_for_exit() == 0
    assert not server.run_dir.exists()


def test_a_leader_that_hangs_is_replaced(run_server: RunServer, write_app: WriteApp) -> None:
    server = run_server(write_app(LEADER), "--heartbeat-timeout", "1s", shards=2)
    directory = server.run_dir.parent
    told = directory / "told.txt"

    def leaders() -> set[str]:
        return {line for line in told.read_text().splitlines() if line.startswith("one ")}

    (leader,) = eventually(leaders)
    (directory / f"hang.{leader.split()[1]}").touch()
    eventually(lambda: leaders() != {leader})


def test_a_room_spans_the_shards(run_server: RunServer, write_app: WriteApp) -> None:
    server = run_server(write_app(LEADER), "--accept-mode", "handoff", shards=2)
    ann, bob = server.connect("/a"), server.connect("/a")
    assert ann.recv(timeout=DEADLINE) != bob.recv(timeout=DEADLINE)
    ann.send("hello")
    assert bob.recv(timeout=DEADLINE) == "hello"
    assert ann.recv(timeout=DEADLINE) == "hello"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("server = App(local_prt=1)", "there is no setting 'local_prt'; did you mean local_port?"),
        ("server = App()\nserver.route('x')(print)", "route 'x' must begin with a slash"),
    ],
)
def test_a_mistake_in_the_application_is_one_line(
    launch: RunServer, write_app: WriteApp, text: str, line: str
) -> None:
    server = launch(write_app(f"from shardws import App\n{text}"), shards=1)
    assert server.wait_for_exit() == 3
    assert line in server.log
    assert "app.py:" in server.log


def test_a_reload_closes_the_clients_of_a_route(run_server: RunServer, write_app: WriteApp) -> None:
    """Their coroutines live in one process: nobody may go on being served by none."""
    server = run_server(write_app(LEADER), shards=1)
    server.url_path = "/lobby"
    client = server.connect()
    client.recv(timeout=DEADLINE)
    server.ask("reload")
    assert close_code(client) == 1012
    report = server.wait_for_status(lambda report: report["phase"] == "serving")
    assert report["unmoved_connections"] == {"application": 1}
    assert report["moved_connections"] == 0
