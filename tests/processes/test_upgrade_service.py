"""Upgrades and what surrounds a server: service manager, port, admin, TLS, process 1."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.processes.conftest import (
    DEADLINE,
    ROOT,
    RunServer,
    WriteApp,
    free_port,
    greeting,
)
from tests.processes.releases import DEMO, DRAIN, FAILS_AFTER_THE_REHEARSAL, ended
from tests.processes.test_first_process import UNSHARE, has_namespaces
from tests.processes.test_systemd import Manager
from tests.processes.tls_client import Authority, connect_once

pytestmark = pytest.mark.processes


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
