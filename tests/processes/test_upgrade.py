"""Upgrade: another version of the program goes on in the same process, and keeps everything."""

import json
import os
import re
import signal
import socket
import sys
from collections import Counter
from pathlib import Path

import pytest

from shardws.control import Refused, connect_blocking
from tests.proc import children_of, descriptors_of, read
from tests.processes.clients import close_code, refused_during
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
from tests.processes.releases import DEMO, DRAIN, FAILS_AFTER_THE_REHEARSAL, Releases, ended
from tests.processes.test_control import command

pytestmark = pytest.mark.processes


@pytest.fixture
def releases(tmp_path: Path) -> Releases:
    made = Releases(tmp_path / "releases")
    made.folder.mkdir()
    made.make("9.1")
    made.use("9.1")
    return made


def test_another_version_goes_on_in_the_same_process(
    run_server: RunServer, releases: Releases
) -> None:
    server = run_server(DEMO, *DRAIN, env=releases.env)
    before = server.status()
    assert before["version"] == "9.1"
    releases.make("9.2")
    releases.use("9.2")
    done = command(server, "upgrade")
    assert (done.returncode, done.stderr) == (0, ""), server.log
    assert done.stdout == "upgraded: shardws 9.1 to 9.2; reloaded: 2 shards replaced\n"
    after = server.status()
    assert after["pid"] == before["pid"] == server.pid
    assert after["version"] == "9.2"
    assert after["uptime"] > before["uptime"]
    assert after["url"] == before["url"]
    assert after["last_upgrade"]["version_before"] == "9.1"
    assert after["last_upgrade"]["version"] == "9.2"
    assert set(server.shard_pids()) == {0, 1}
    greeting(server.connect())


def test_children_and_clients_outlive_the_exec(
    run_server: RunServer, write_app: WriteApp, tmp_path: Path
) -> None:
    """The reload after it is refused here, so what is seen is the exec alone."""
    server = run_server(write_app(FAILS_AFTER_THE_REHEARSAL), *DRAIN)
    clients = [connect_to_shard(server, slot)[0] for slot in (0, 1) for _ in range(3)]
    before, pids = server.status(), server.shard_pids()
    (tmp_path / "armed").touch()
    server.signal(signal.SIGUSR2)
    report = ended(server, "failed")
    assert "RuntimeError: not now" in report["upgrade_outcome"]
    assert report["reload_outcome"] in report["upgrade_outcome"]
    assert server.shard_pids() == pids
    assert report["totals"]["accepted"] >= before["totals"]["accepted"] >= 6
    for client in clients:
        assert_echo(client, "still here")
    os.kill(pids[0], signal.SIGKILL)
    server.wait_for_line(r"shard 0 \(pid \d+\) was killed by SIGKILL; next start")
    after = server.wait_for_status(lambda r: [s["state"] for s in r["shards"]] == ["ready"] * 2)
    assert after["shards"][0]["pid"] not in (0, pids[0])
    assert after["shards"][0]["crashes"] == 1
    assert after["totals"]["accepted"] >= report["totals"]["accepted"]
    assert_echo(connect_to_shard(server, 0)[0], "hello")
    assert_echo(clients[-1], "of the other shard")
    (tmp_path / "armed").unlink()
    server.ask("upgrade")
    ended(server, "done", count=2)
    assert close_code(clients[-1]) == 1012


@pytest.mark.parametrize("mode", ["reuseport", "handoff"])
def test_no_connect_is_refused(run_server: RunServer, mode: str) -> None:
    server = run_server(DEMO, *DRAIN, "--accept-mode", mode)
    acceptors = {pid for pid in children_of(server.pid) if read(pid, "comm") == "shardws-accept\n"}

    def act() -> None:
        assert command(server, "upgrade").returncode == 0

    assert refused_during(server, act) == []
    report = ended(server, "done")
    assert {one["pid"] for one in report["auxiliaries"]} & acceptors == set(), "it was replaced"
    assert [one["last_end"] for one in report["auxiliaries"]] == [""] * len(acceptors)


def kept_files(server: RunningServer) -> Counter[str]:
    """Count what is open, by kind; without sockets, because a control client may be leaving."""
    names = (re.sub(r"\d+", "", name) for name in descriptors_of(server.pid))
    return Counter(name for name in names if not name.startswith("socket:"))


def test_twice_in_a_row_then_a_stop(run_server: RunServer, tmp_path: Path) -> None:
    server = run_server(DEMO, *DRAIN, "--log-file", "log", "--log-level", "2")
    before = kept_files(server)
    for count in (1, 2):
        assert command(server, "upgrade").returncode == 0
        assert server.status()["upgrades"] == count
        eventually(lambda: kept_files(server) <= before)  # that of the probe goes at the end
    assert server.status()["reloads"] == 2
    server.signal(signal.SIGTERM)
    assert server.wait_for_exit() == 0
    assert not server.run_dir.exists()
    lines = (tmp_path / "log").read_text()
    assert lines.count("upgraded: shardws") == 2
    assert " error " not in lines


def test_a_control_client_stays_connected(run_server: RunServer) -> None:
    server = run_server(DEMO, *DRAIN)
    with connect_blocking(server.run_dir) as client:
        number = client.ask("upgrade")["upgrades"]
        for refused in ("upgrade", "reload"):
            with pytest.raises(Refused):
                client.ask(refused)
        eventually(lambda: client.ask("status")["phase"] == "serving")
        report = client.ask("status")
    assert number == report["upgrades"] == 1
    assert report["last_upgrade"]["kind"] == "done"


def test_requests_sent_at_once_are_all_answered(run_server: RunServer) -> None:
    """Some are answered by the old program, others by the new one, on the same connection."""
    server = run_server(DEMO, *DRAIN)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(DEADLINE)
        sock.connect(str(server.run_dir / "control.sock"))
        stream = sock.makefile("rwb")
        stream.write(b'{"do": "upgrade"}\n')
        stream.flush()
        assert json.loads(stream.readline())["upgrades"] == 1
        server.wait_for_line("can take over")
        for _ in range(100):
            stream.write(b'{"do": "conns"}\n')
        stream.flush()
        replies = [json.loads(stream.readline()) for _ in range(100)]
    assert [reply for reply in replies if not reply["ok"]] == []
    ended(server, "done")


RUNS = "import sys\nfrom shardws_supervisor.__main__ import run\nsys.exit(run())\n"


def test_a_script_of_another_release_names_another_interpreter(
    run_server: RunServer, releases: Releases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As .venv/bin/shardws behind a link does, where each release has a venv of its own."""
    releases.make("9.2")
    for version in ("9.1", "9.2"):
        release = releases.folder / version
        (release / "venv").symlink_to(sys.prefix)
        script = release / "start"
        script.write_text(f"#!{release}/venv/bin/python\n{RUNS}")
        script.chmod(0o755)
    starter = tmp_path / "starter"  # called as `PYTHON -m shardws_supervisor run ...`
    starter.write_text(f'#!/bin/sh\nshift 2\nexec "{releases.link}/start" "$@"\n')
    starter.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(starter))
    server = run_server(DEMO, *DRAIN, env=releases.env)
    assert read(server.pid, "cmdline").split("\0")[0].endswith("/9.1/venv/bin/python")
    releases.use("9.2")
    for count, version in enumerate(("9.2", "9.1"), start=1):
        releases.use(version)
        server.ask("upgrade")
        assert ended(server, "done", count)["version"] == version
        interpreter = read(server.pid, "cmdline").split("\0")[0]
        assert interpreter.endswith(f"/{version}/venv/bin/python")


def test_a_server_that_was_scaled_keeps_its_shards(run_server: RunServer) -> None:
    server = run_server(DEMO, *DRAIN)
    server.ask("scale", shards=3)
    server.wait_for_status(lambda report: [s["state"] for s in report["shards"]] == ["ready"] * 3)
    server.ask("upgrade")
    assert len(ended(server, "done")["shards"]) == 3
    server.ask("scale", shards=1)
    server.wait_for_status(lambda report: len(report["shards"]) == 1)
