"""As process 1 of a container: signals are heeded, and what others left behind is reaped."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes.conftest import DEADLINE, ROOT

pytestmark = pytest.mark.processes

UNSHARE = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]

# Leaves a grandchild behind that outlives its parent and then ends: a zombie for process 1.
APP = """
import os, subprocess, sys
from shardws import WebSocketServer
server = WebSocketServer()
def on_connected(e):
    leave_behind = "import os, time; os.fork() or (time.sleep(0.2), os._exit(0))"
    subprocess.run([sys.executable, "-c", leave_behind], check=True)
server.on_connected = on_connected
"""

# Runs in the namespace beside the server: speaks with it, then asks for its end.
SCRIPT = """
import json, os, signal, subprocess, sys, time
from pathlib import Path
from websockets.sync.client import connect
from shardws.control import connect_blocking
def zombies():
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = stat.read_text().partition("(")[2].rpartition(")")
        except OSError:
            continue
        if rest.split()[0] == "Z":
            found.append(name)
    return found
def report():
    with connect_blocking(Path(sys.argv[1])) as client:
        return client.ask("status")
end = time.monotonic() + 20
while True:
    try:
        found = report()
        break
    except Exception:
        assert time.monotonic() < end
        time.sleep(0.05)
assert found["pid"] == 1, found["pid"]
with connect(found["url"]) as client:
    pass
while Path("/proc").glob("[0-9]*") and time.monotonic() < end:
    time.sleep(0.3)
    if report()["totals"]["disconnected"] == 1 and not zombies():
        break
print(json.dumps({"zombies": zombies(), "restarts": [s["restarts"] for s in report()["shards"]]}))
os.kill(1, signal.SIGTERM)
"""


def has_namespaces() -> bool:
    if not shutil.which("unshare"):
        return False
    return subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not has_namespaces(), reason="no PID namespaces here (unshare --pid)")
def test_as_process_1(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    path = os.pathsep.join([str(ROOT), str(ROOT / "supervisor")])
    run_dir = str(tmp_path / "run")
    server = [sys.executable, "-m", "shardws_supervisor", "run", "app:server", "--shards", "1"]
    server += ["--local-host", "127.0.0.1", "--local-port", "0", "--run-dir", run_dir]
    # The shell starts the visitor, then becomes the server: process 1.
    shell = 'visit="$1"; run_dir="$2"; shift 2; "$PYTHON" -c "$visit" "$run_dir" & exec "$@"'
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
    assert json.loads(done.stdout) == {"zombies": [], "restarts": [0]}
    assert "stopping (graceful)" in done.stderr
    assert not Path(run_dir).exists()
