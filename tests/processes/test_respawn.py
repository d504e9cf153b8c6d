"""A shard that dies is replaced; the others do not notice; a crash loop is given up."""

import json
import os
import signal
from typing import Any

import pytest

from tests.proc import is_alive
from tests.processes.applications import FAILS_WHILE_BROKEN, GREETS, HALF_DEPLOYED
from tests.processes.conftest import (
    DEADLINE,
    RunningServer,
    RunServer,
    WriteApp,
    assert_echo,
    connect_to_shard,
    eventually,
    greeting,
)

pytestmark = pytest.mark.processes

# Echoes, and does what it is told: tiny programs that crash, hang and exit.
UNRULY = (
    GREETS
    + """
import signal, time
def on_data_in(e):
    word = e.text.decode()
    if word == "exit":
        os._exit(5)
    if word == "hang":
        while True:
            time.sleep(0.1)
    if word == "segv":
        os.kill(os.getpid(), signal.SIGSEGV)
    server.send_text(e.connection_id, word)
server.on_data_in = on_data_in
"""
)


def wait_for_new_pid(server: RunningServer, slot: int, old: int) -> dict[str, Any]:
    """Return the report of a slot once another process is ready in it."""

    def look() -> dict[str, Any] | None:
        shard = server.shard(slot)
        return shard if shard["state"] == "ready" and shard["pid"] != old else None

    found: dict[str, Any] = eventually(look)
    return found


def test_a_killed_shard_is_replaced_and_the_others_go_on(run_server: RunServer) -> None:
    server = run_server(shards=2)
    victim, hello = connect_to_shard(server, 0)
    witness, other = connect_to_shard(server, 1)
    os.kill(hello["pid"], signal.SIGKILL)
    server.wait_for_line(rf"shard 0 \(pid {hello['pid']}\) was killed by SIGKILL; next start in ")
    report = wait_for_new_pid(server, 0, hello["pid"])
    assert report["restarts"] == 1
    assert report["last_end"] == "was killed by SIGKILL"
    assert_echo(witness, "still here")
    assert server.shard(1)["pid"] == other["pid"]
    again, new = connect_to_shard(server, 0)
    assert new["connection_id"] != hello["connection_id"]
    assert_echo(again, "hello")
    assert victim is not again


def test_messages_reach_the_successor_from_other_shards(run_server: RunServer) -> None:
    """Peers dial the new process; ids of the dead one answer GONE."""
    server = run_server(shards=2)
    _, dead = connect_to_shard(server, 0)
    witness, _ = connect_to_shard(server, 1)
    os.kill(dead["pid"], signal.SIGKILL)
    wait_for_new_pid(server, 0, dead["pid"])
    new_client, new = connect_to_shard(server, 0)
    witness.send(json.dumps({"to": new["connection_id"], "text": "welcome"}))
    assert json.loads(new_client.recv(timeout=DEADLINE))["text"] == "welcome"
    witness.send(json.dumps({"to": dead["connection_id"], "text": "anybody?"}))
    answer = json.loads(witness.recv(timeout=DEADLINE))
    assert answer["to"] == dead["connection_id"]
    assert "error" in answer


@pytest.mark.parametrize("is_directory_gone", [False, True])
def test_a_run_directory_that_was_cleaned_out_is_mended(
    run_server: RunServer, is_directory_gone: bool
) -> None:
    """No command reached the server any more, and no message the successor of a shard."""
    server = run_server(shards=2)
    witness, other = connect_to_shard(server, 1)
    victim = server.shard_pids()[0]
    for file in server.run_dir.iterdir():
        file.unlink()
    if is_directory_gone:
        server.run_dir.rmdir()
    server.wait_for_line("files of the run directory had been removed: restored")
    server.wait_for_line(f"shard-{other['shard'] * 2}.sock had been removed")
    os.kill(victim, signal.SIGKILL)
    wait_for_new_pid(server, 0, victim)
    client, new = connect_to_shard(server, 0)
    witness.send(json.dumps({"to": new["connection_id"], "text": "there"}))
    assert json.loads(client.recv(timeout=DEADLINE))["text"] == "there"
    client.send(json.dumps({"to": other["connection_id"], "text": "and back"}))
    assert json.loads(witness.recv(timeout=DEADLINE))["text"] == "and back"
    server.signal(signal.SIGTERM)
    assert server.wait_for_exit() == 0
    assert not server.run_dir.exists()


def test_counters_do_not_fall_back(run_server: RunServer) -> None:
    server = run_server(shards=1)
    client = server.connect()
    pid = greeting(client)["pid"]
    for _ in range(5):
        client.send("x")
        client.recv(timeout=DEADLINE)
    report = server.wait_for_status(lambda report: report["totals"]["messages_in"] == 5)
    before = report["shards"][0]
    os.kill(pid, signal.SIGKILL)
    after = wait_for_new_pid(server, 0, pid)
    assert after["messages_in"] >= before["messages_in"] == 5
    assert after["connected"] == before["connected"] == 1
    assert after["connections"] == 0, "a gauge belongs to the process that died"


@pytest.mark.parametrize(
    ("word", "end"), [("exit", "exited with 5"), ("segv", "was killed by SIGSEGV")]
)
def test_how_a_shard_died_is_told(
    run_server: RunServer, write_app: WriteApp, word: str, end: str
) -> None:
    server = run_server(write_app(UNRULY))
    client = server.connect()
    hello = greeting(client)
    client.send(word)
    server.wait_for_line(rf"shard {hello['shard']} \(pid {hello['pid']}\) {end}; next start in ")
    wait_for_new_pid(server, hello["shard"], hello["pid"])


def test_a_hanging_shard_is_aborted_with_its_stacks(
    run_server: RunServer, write_app: WriteApp
) -> None:
    server = run_server(write_app(UNRULY), "--heartbeat-timeout", "1s")
    client, hello = connect_to_shard(server, 0)
    witness, _ = connect_to_shard(server, 1)
    client.send("hang")
    server.wait_for_line(r"shard 0 \(pid \d+\) has not run its event loop for \d\.\d s: ABRT")
    server.wait_for_line("Fatal Python error: Aborted")
    server.wait_for_line(r"app.py\", line \d+ in on_data_in")
    wait_for_new_pid(server, 0, hello["pid"])
    assert "its event loop did not run" in server.shard(0)["last_end"]
    assert_echo(witness, "fine")


def test_a_stopped_shard_is_aborted_with_its_stacks(run_server: RunServer) -> None:
    """SIGSTOP keeps ABRT from being delivered until CONT follows."""
    server = run_server("examples.demo:server", "--heartbeat-timeout", "1s")
    pid = server.shard(0)["pid"]
    os.kill(pid, signal.SIGSTOP)
    server.wait_for_line("ABRT, its stacks follow")
    server.wait_for_line("Fatal Python error: Aborted")
    server.wait_for_line(rf"shard 0 \(pid {pid}\) was killed by SIGABRT")
    wait_for_new_pid(server, 0, pid)
    assert not is_alive(pid)


def test_a_crash_loop_is_quarantined_and_the_others_go_on(
    run_server: RunServer, write_app: WriteApp
) -> None:
    """Slot 0 cannot start again after its first death; slot 1 serves on; a reload helps."""
    reference = write_app(UNRULY + FAILS_WHILE_BROKEN)
    server = run_server(reference, "--respawn-attempts", "3")
    _, hello = connect_to_shard(server, 0)
    witness, _ = connect_to_shard(server, 1)
    broken = server.run_dir.parent / "broken"
    broken.touch()
    os.kill(hello["pid"], signal.SIGKILL)
    server.wait_for_line(
        r"shard 0 .*; 3 consecutive failures: slot quarantined until the next reload"
    )
    assert server.shard(0)["state"] == "quarantined"
    assert server.status()["ready"]
    assert_echo(witness, "fine")
    broken.unlink()
    server.ask("reload")
    server.wait_for_line("reloaded: 2 shards replaced")
    assert server.shard(0)["state"] == "ready"


HALF = "ModuleNotFoundError: No module named 'a_module_that_comes_later'"
WAITS = rf"slot 0 waits for importable code: app:server cannot be imported: {HALF}"


def test_a_slot_waits_for_code_that_can_be_imported(
    run_server: RunServer, write_app: WriteApp
) -> None:
    """A respawn in the middle of a deployment was counted as a crash, and the slot given up."""
    server = run_server(write_app(UNRULY + HALF_DEPLOYED), "--respawn-attempts", "2")
    _, hello = connect_to_shard(server, 0)
    witness, _ = connect_to_shard(server, 1)
    half = server.run_dir.parent / "half"
    half.touch()
    os.kill(hello["pid"], signal.SIGKILL)
    server.wait_for_line(WAITS)
    server.wait_for_status(lambda status: status["shards"][0]["restarts"] >= 4)
    report = server.wait_for_status(lambda status: status["shards"][0]["state"] == "waiting")
    assert HALF in report["shards"][0]["waits_for_code"]
    assert report["ready"]
    assert_echo(witness, "fine")
    assert server.log.count("waits for importable code") == 1
    half.unlink()
    wait_for_new_pid(server, 0, hello["pid"])
    assert server.shard(0)["waits_for_code"] == ""
    assert_echo(connect_to_shard(server, 0)[0], "back")


def test_a_server_of_which_every_slot_waits_for_code_goes_on(
    run_server: RunServer, write_app: WriteApp
) -> None:
    """It ended with 1, and its next start was refused: nobody served until somebody woke up."""
    reference = write_app(UNRULY + HALF_DEPLOYED)
    server = run_server(reference, "--respawn-attempts", "2", shards=1)
    half = server.run_dir.parent / "half"
    half.touch()
    os.kill(server.shard(0)["pid"], signal.SIGKILL)
    server.wait_for_status(lambda status: status["shards"][0]["restarts"] >= 4)
    assert not server.status()["ready"]
    server.ask("reload")
    server.wait_for_line("reload refused: .*a_module_that_comes_later")
    half.unlink()
    server.ask("reload")
    server.wait_for_line("reloaded: 1 shard replaced")
    assert_echo(connect_to_shard(server, 0)[0], "back")
    server.signal(signal.SIGTERM)
    assert server.wait_for_exit() == 0


def test_a_server_of_which_every_shard_is_quarantined_ends(
    run_server: RunServer, write_app: WriteApp
) -> None:
    reference = write_app(UNRULY + FAILS_WHILE_BROKEN)
    server = run_server(reference, "--respawn-attempts", "2", shards=1)
    (server.run_dir.parent / "broken").touch()
    os.kill(server.shard(0)["pid"], signal.SIGKILL)
    assert server.wait_for_exit() == 1
    server.wait_for_line("^shardws: every shard is quarantined; the last: exited with 9")
