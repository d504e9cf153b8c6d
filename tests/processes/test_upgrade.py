"""Upgrade: another version of the program goes on in the same process, and keeps everything."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from shardws.control import Refused, connect_blocking
from tests.proc import children_of, read
from tests.processes.applications import ECHOES
from tests.processes.clients import close_code, refused_during
from tests.processes.conftest import (
    DEADLINE,
    ROOT,
    RunningServer,
    RunServer,
    WriteApp,
    assert_echo,
    connect_to_shard,
    eventually,
    free_port,
    greeting,
)
from tests.processes.test_control import command
from tests.processes.test_first_process import UNSHARE, has_namespaces
from tests.processes.test_systemd import Manager
from tests.processes.tls_client import Authority, connect_once

pytestmark = pytest.mark.processes

DRAIN = ("--reload-mode", "drain")
DEMO = "examples.demo:server"
METADATA = "Metadata-Version: 2.1\nName: shardws\nVersion: {}\n"


class Releases:
    """Copies of this package with versions of their own, and the link that names one of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.link = folder / "current"

    def make(self, version: str) -> Path:
        release = self.folder / version
        for package in ("shardws", "supervisor/shardws_supervisor"):
            where = release / Path(package).name
            shutil.copytree(ROOT / package, where, ignore=shutil.ignore_patterns("__pycache__"))
        info = release / f"shardws-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(METADATA.format(version))
        return release

    def use(self, version: str) -> None:
        """Point the link to a release."""
        new = self.folder / "new"
        new.symlink_to(self.folder / version)
        new.rename(self.link)

    @property
    def env(self) -> dict[str, str]:
        return {"PYTHONPATH": f"{self.link}{os.pathsep}{ROOT}"}


@pytest.fixture
def releases(tmp_path: Path) -> Releases:
    made = Releases(tmp_path / "releases")
    made.folder.mkdir()
    made.make("9.1")
    made.use("9.1")
    return made


def ended(server: RunningServer, kind: str, count: int = 1) -> dict[str, Any]:
    """Wait for the end of an upgrade of that kind and return the status."""
    report = server.wait_for_status(lambda r: r["upgrades"] == count and r["phase"] == "serving")
    assert report["last_upgrade"]["kind"] == kind, server.log
    return report


# The first probe after the file `armed` is there is the rehearsal's; the next, the reload's, fails.
FAILS_AFTER_THE_REHEARSAL = (
    ECHOES
    + """
with open("/proc/self/comm") as file:
    is_probe = file.read().strip() == "shardws-probe"
if is_probe and os.path.exists("armed"):
    if os.path.exists("rehearsed"):
        raise RuntimeError("not now")
    open("rehearsed", "w").close()
"""
)


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


def test_twice_in_a_row_then_a_stop(run_server: RunServer, tmp_path: Path) -> None:
    server = run_server(DEMO, *DRAIN, "--log-file", "log", "--log-level", "2")
    for count in (1, 2):
        assert command(server, "upgrade").returncode == 0
        assert server.status()["upgrades"] == count
    assert server.status()["reloads"] == 2
    server.signal(signal.SIGTERM)
    assert server.wait_for_exit() == 0
    assert not server.run_dir.exists()
    lines = (tmp_path / "log").read_text()
    assert lines.count("upgraded: shardws") == 2
    assert " error " not in lines


BROKEN = {
    "syntax": ("supervisor.py", "class Supervisor:", "class Supervisor(:", "SyntaxError"),
    "state": ("upgrade/state.py", "VERSION: Final = 1", "VERSION: Final = 2", "this one 2"),
    "no upgrades": ("upgrade/image.py", '"rehearse-upgrade"', '"other"', "invalid choice"),
    "settings": ("plan/plan.py", "settings = Settings()", "settings = None", "AttributeError"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_version_that_cannot_go_on_is_refused(
    run_server: RunServer, releases: Releases, name: str
) -> None:
    file, old, new, reason = BROKEN[name]
    server = run_server(DEMO, *DRAIN, env=releases.env)
    client = server.connect()
    greeting(client)
    before = server.shard_pids()
    broken = releases.make("9.2") / "shardws_supervisor" / file
    text = broken.read_text()
    assert old in text
    broken.write_text(text.replace(old, new))
    releases.use("9.2")
    done = command(server, "upgrade")
    assert done.returncode == 1
    assert done.stderr.startswith("upgrade refused: ")
    assert reason in done.stderr
    report = ended(server, "refused")
    assert (report["version"], report["last_upgrade"]["version"]) == ("9.1", "9.1")
    assert server.shard_pids() == before
    assert_echo(client, "still here")
    releases.use("9.1")
    server.ask("upgrade")
    ended(server, "done", count=2)


def test_an_application_that_cannot_be_imported_refuses_it(
    run_server: RunServer, write_app: WriteApp
) -> None:
    server = run_server(write_app(ECHOES), *DRAIN)
    before = server.shard_pids()
    write_app("import nothing_of_that_name")
    done = command(server, "upgrade")
    assert done.returncode == 1
    assert "nothing_of_that_name" in done.stderr
    assert server.shard_pids() == before
    assert server.status()["ready"]


REMOVES_THE_LINK = """
if os.path.exists("armed"):
    os.unlink("venv")
"""


def test_an_exec_that_fails_changes_nothing(
    run_server: RunServer, write_app: WriteApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The interpreter is there for the rehearsal, which takes it away."""
    link = tmp_path / "venv"
    link.symlink_to(sys.prefix)
    monkeypatch.setattr(sys, "executable", str(link / "bin" / Path(sys.executable).name))
    server = run_server(write_app(ECHOES + REMOVES_THE_LINK), *DRAIN)
    client = server.connect()
    greeting(client)
    (tmp_path / "armed").touch()
    server.ask("upgrade")
    report = ended(server, "refused")
    assert "cannot be executed: No such file or directory" in report["upgrade_outcome"]
    assert_echo(client, "still here")
    (tmp_path / "armed").unlink()
    link.symlink_to(sys.prefix)
    server.signal(signal.SIGUSR2)
    ended(server, "done", count=2)


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


def test_a_service_manager_sees_one_reload_of_one_process(
    run_server: RunServer, tmp_path: Path
) -> None:
    manager = Manager(tmp_path / "notify")
    variables = {"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "1000000"}
    server = run_server(DEMO, *DRAIN, env=variables)
    manager.wait_for("READY=1")
    server.signal(signal.SIGUSR2)
    manager.wait_for("RELOADING=1")
    lines = manager.wait_for("READY=1")
    assert "RELOADING=1" not in lines
    assert "STOPPING=1" not in lines
    report = ended(server, "done")
    assert report["pid"] == server.pid
    manager.wait_for("WATCHDOG=1")
    server.signal(signal.SIGTERM)
    manager.wait_for("STOPPING=1")
    assert server.wait_for_exit() == 0
    manager.sock.close()


def test_a_passed_socket_is_kept(run_server: RunServer) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=64) as port:
        server = run_server(DEMO, *DRAIN, passed=port)
        server.ask("upgrade")
        ended(server, "done")
        greeting(server.connect())
        assert server.status()["url"] == f"ws://127.0.0.1:{port.getsockname()[1]}"


def test_the_port_stays_locked(run_server: RunServer, launch: RunServer) -> None:
    server = run_server(DEMO, *DRAIN, "--bind-exclusively", port=free_port())
    server.ask("upgrade")
    ended(server, "done")
    other = launch(DEMO, port=server.port)
    assert other.wait_for_exit() != 0
    assert "in use" in other.log


def test_the_admin_process_is_replaced_and_its_port_kept(run_server: RunServer) -> None:
    port = free_port()
    server = run_server(DEMO, *DRAIN, "--admin", f"127.0.0.1:{port}")
    old = server.status()["auxiliaries"][0]["pid"]

    def metrics() -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=DEADLINE) as page:
            text: str = page.read().decode()
            return text

    assert "shardws_upgrades_total 0.0" in metrics()
    server.ask("upgrade")
    new = ended(server, "done")["auxiliaries"][0]
    assert new["pid"] not in (0, old)
    assert new["last_end"] == ""
    assert "shardws_upgrades_total 1.0" in metrics()


def test_tls_goes_on_with_its_certificate(
    run_server: RunServer, tmp_path: Path, write_app: WriteApp
) -> None:
    """Between exec and reload a respawned shard needs it; ticket keys are new, as by a reload."""
    authority = Authority(tmp_path)
    authority.store("demo")
    options = ("--use-ssl", "--ssl-cert-store", "demo.pem")
    server = run_server(write_app(FAILS_AFTER_THE_REHEARSAL), *DRAIN, *options)
    context = authority.context()
    first = connect_once(server, context)
    (tmp_path / "armed").touch()
    server.ask("upgrade")
    ended(server, "failed")
    assert connect_once(server, context, first.session).is_resumed, "the same shards"
    os.kill(first.pid, signal.SIGKILL)
    server.wait_for_status(
        lambda r: all(s["state"] == "ready" and s["pid"] != first.pid for s in r["shards"])
    )
    assert connect_once(server, context).subject == "demo"


SCRIPT = """
import json, os, signal, sys
from pathlib import Path
from websockets.sync.client import connect
from shardws.control import connect_blocking
from tests import proc
from tests.processes.conftest import eventually
run_dir = Path(sys.argv[1])
def report():
    with connect_blocking(run_dir) as client:
        return client.ask("status")
eventually((run_dir / "control.sock").is_socket)
found = eventually(lambda: (answer := report())["ready"] and answer)
assert found["pid"] == 1, found["pid"]
os.kill(1, signal.SIGUSR2)
eventually(lambda: (now := report())["upgrades"] == 1 and now["phase"] == "serving")
with connect(found["url"]):
    pass
zombies = [pid for pid in proc.pids() if proc.state_of(pid) == "Z"]
print(json.dumps({"zombies": zombies, "pid": report()["pid"], **report()["last_upgrade"]}))
os.kill(1, signal.SIGTERM)
"""


@pytest.mark.skipif(not has_namespaces(), reason="no PID namespaces here (unshare --pid)")
def test_as_process_1(tmp_path: Path) -> None:
    path = os.pathsep.join([str(ROOT), str(ROOT / "supervisor")])
    run_dir = str(tmp_path / "run")
    server = [sys.executable, "-m", "shardws_supervisor", "run", DEMO, "--shards", "1", *DRAIN]
    server += ["--local-host", "127.0.0.1", "--local-port", "0", "--run-dir", run_dir]
    shell = 'script="$1"; run_dir="$2"; shift 2; "$PYTHON" -c "$script" "$run_dir" & exec "$@"'
    done = subprocess.run(
        [*UNSHARE, "sh", "-c", shell, "sh", SCRIPT, run_dir, *server],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path, "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        timeout=2 * DEADLINE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["kind"], found["pid"], found["zombies"]) == ("done", 1, []), done.stderr
    assert "stopping (graceful)" in done.stderr
