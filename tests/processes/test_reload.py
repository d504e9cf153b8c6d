"""Reload and scale: the successor is ready before the old shard drains; bad code stops nothing."""

import signal
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from shardws.control import Refused
from tests.processes.applications import ECHOES, only_in_shards
from tests.processes.clients import open_silent, refused_during
from tests.processes.conftest import (
    DEADLINE,
    RunServer,
    WriteApp,
    assert_echo,
    connect_to_shard,
    eventually,
    greeting,
)
from tests.processes.test_control import command

pytestmark = pytest.mark.processes


def write_version(write_app: WriteApp, version: str) -> str:
    # The length differs, so that bytecode of the same second is not mistaken for the new source.
    return write_app(f"{ECHOES}greeting['version'] = {version!r}\n" + "#" * len(version) ** 2)


def test_hup_replaces_every_shard_by_new_code(run_server: RunServer, write_app: WriteApp) -> None:
    server = run_server(write_version(write_app, "one"), "--reload-mode", "drain")
    old = server.shard_pids()
    clients = [server.connect() for _ in range(6)]
    assert {greeting(client)["version"] for client in clients} == {"one"}
    write_version(write_app, "three")
    server.signal(signal.SIGHUP)
    server.wait_for_line("reloaded: 2 shards replaced")
    for client in clients:
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(timeout=DEADLINE)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012
    assert greeting(server.connect())["version"] == "three"
    new = server.shard_pids()
    assert set(new) == set(old)
    assert not set(new.values()) & set(old.values())
    report = server.status()
    assert report["reload_outcome"] == "reloaded: 2 shards replaced"
    assert report["last_reload"] == {
        "kind": "done", "replaced": 2, "reason": "", "slot": None, "moved": 0, "unmoved": 0
    }  # fmt: skip


BROKEN = {
    "raises": "raise RuntimeError('half a deploy')",
    "syntax": "def f(:",
    "no server": "server = None",
    "bad setting": "from shardws import WebSocketServer\nserver = WebSocketServer()\n"
    "server.config('DrainRate=much')",
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_code_is_refused_and_nothing_stops(
    run_server: RunServer, write_app: WriteApp, name: str
) -> None:
    server = run_server(write_version(write_app, "one"))
    before = server.shard_pids()
    client = server.connect()
    greeting(client)
    write_app(BROKEN[name])
    server.ask("reload")
    server.wait_for_line("error shardws.supervisor.reload: reload refused: ")
    assert server.shard_pids() == before
    assert_echo(client, "still here")
    report = server.status()
    assert report["ready"]
    last = report["last_reload"]
    assert (last["kind"], last["replaced"], last["slot"]) == ("refused", 0, None)
    assert report["reload_outcome"] == f"reload refused: {last['reason']}"
    write_version(write_app, "mended")
    server.ask("reload")
    server.wait_for_line("reloaded: 2 shards replaced")


def test_a_broken_settings_file_is_refused(run_server: RunServer, tmp_path: Path) -> None:
    file = tmp_path / "s.toml"
    file.write_text('max_message_size = "1MiB"\n')
    server = run_server("examples.demo:server", "--config", "s.toml")
    before = server.shard_pids()
    file.write_text('max_message_size = "huge"\n')
    server.signal(signal.SIGHUP)
    server.wait_for_line("reload refused: .*huge")
    assert server.shard_pids() == before


def test_new_settings_come_with_a_reload(run_server: RunServer, tmp_path: Path) -> None:
    file = tmp_path / "s.toml"
    file.write_text('max_message_size = "1KiB"\n')
    server = run_server("examples.demo:server", "--config", "s.toml")
    client = server.connect()
    greeting(client)
    client.send("x" * 2000)
    with pytest.raises(ConnectionClosed) as closed:
        client.recv(timeout=DEADLINE)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1009
    file.write_text('max_message_size = "4KiB"\ndrain_rate = 7\nnode = 3\n')
    server.signal(signal.SIGHUP)
    server.wait_for_line("Node has changed, but only a restart of the server applies it")
    server.wait_for_line("reloaded: 2 shards replaced")
    client = server.connect()
    greeting(client)
    client.send("x" * 2000)
    assert client.recv(timeout=DEADLINE) == "x" * 2000


def test_how_shards_drain_can_be_changed_by_a_reload(run_server: RunServer, tmp_path: Path) -> None:
    """It was taken over, but the log asked for a restart."""
    file = tmp_path / "s.toml"
    file.write_text('drain_deadline = "30s"\n')
    server = run_server(
        "examples.demo:server", "--config", "s.toml", "--reload-mode", "drain", shards=1
    )
    with open_silent(server)[0]:
        file.write_text('drain_deadline = 0\ndrain_rate = 7\nstart_timeout = "20s"\n')
        server.signal(signal.SIGHUP)
        # Of one who never answers; in 30 s it would have been given up for that.
        server.wait_for_line("1006 the server restarts")
    server.wait_for_line("reloaded: 1 shard replaced")
    assert "only a restart" not in server.log


def test_a_successor_that_dies_leaves_the_incumbent_serving(
    run_server: RunServer, write_app: WriteApp, tmp_path: Path
) -> None:
    """Only shards fail: the probe child imports in peace."""
    server = run_server(write_version(write_app, "one"))
    before = server.shard_pids()
    client = server.connect()
    greeting(client)
    write_app(only_in_shards("os._exit(9)", ECHOES))
    server.signal(signal.SIGHUP)
    server.wait_for_line(
        "reload failed: the new shard 0 did not become ready; 0 shards replaced, the others keep"
    )
    assert server.status()["last_reload"] == {
        "kind": "failed", "replaced": 0, "reason": "", "slot": 0, "moved": 0, "unmoved": 0
    }  # fmt: skip
    assert server.shard_pids() == before
    assert_echo(client, "still here")


def test_the_command_fails_when_the_reload_does(run_server: RunServer, write_app: WriteApp) -> None:
    server = run_server(write_version(write_app, "one"), shards=1)
    assert server.status()["last_reload"] is None
    write_app("raise RuntimeError('half a deploy')")
    done = command(server, "reload")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"{server.status()['reload_outcome']}\n"
    assert done.stderr.startswith("reload refused: ")


def test_a_reload_during_a_reload(run_server: RunServer, write_app: WriteApp) -> None:
    """A command is refused; a signal cannot be: one more reload follows, however many came."""
    server = run_server(write_version(write_app, "one"))
    write_app("import time, os\nwhile not os.path.exists('go'): time.sleep(0.02)\n" + ECHOES)
    server.signal(signal.SIGHUP)
    server.wait_for_status(lambda report: report["phase"] == "reloading")
    with pytest.raises(Refused, match="a reload is already in progress"):
        server.ask("reload")
    server.signal(signal.SIGHUP)
    server.wait_for_line("a reload is already in progress; another follows")
    server.signal(signal.SIGHUP)
    write_version(write_app, "two")
    (server.run_dir.parent / "go").touch()
    eventually(lambda: server.log.count("reloaded: 2 shards replaced") == 2)
    assert greeting(server.connect())["version"] == "two"
    assert server.log.count(": reloading") == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_during_a_reload(
    run_server: RunServer, write_app: WriteApp, number: signal.Signals
) -> None:
    server = run_server(write_version(write_app, "one"))
    write_app("import time\ntime.sleep(60)\n")
    server.signal(signal.SIGHUP)
    server.wait_for_status(lambda report: report["phase"] == "reloading")
    server.signal(number)
    assert server.wait_for_exit() == 0
    assert not server.run_dir.exists()


def test_a_reload_refuses_no_connect(run_server: RunServer) -> None:
    server = run_server(shards=3)

    def reload_twice() -> None:
        for number in (1, 2):
            assert server.ask("reload")["reloads"] == number
            server.wait_for_status(lambda report: report["phase"] == "serving")

    assert refused_during(server, reload_twice) == []


def test_ttin_and_ttou_add_and_take_a_shard(run_server: RunServer) -> None:
    server = run_server("examples.demo:server", "--reload-mode", "drain", shards=2)
    server.signal(signal.SIGTTIN)
    server.wait_for_status(lambda r: [s["state"] for s in r["shards"]] == ["ready"] * 3)
    client, _ = connect_to_shard(server, 2)
    server.signal(signal.SIGTTOU)
    with pytest.raises(ConnectionClosed) as closed:
        client.recv(timeout=DEADLINE)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012
    server.wait_for_line("shard 2 removed; 2 shards remain")
    for _ in range(20):
        assert greeting(server.connect())["shard"] in (0, 1)


def test_scale_by_command(run_server: RunServer) -> None:
    server = run_server(shards=1)
    server.ask("scale", shards=4)
    server.wait_for_status(lambda r: [s["state"] for s in r["shards"]] == ["ready"] * 4)
    server.ask("scale", shards=1)
    server.wait_for_status(lambda r: len(r["shards"]) == 1)
    server.signal(signal.SIGTTOU)
    server.signal(signal.SIGTERM)
    assert server.wait_for_exit() == 0
