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

# Leaves an orphan behind, which names itself once process 1 has adopted it, and ends.
LEAVES_AN_ORPHAN = """
import subprocess, sys
from shardws import WebSocketServer
server = WebSocketServer()
ORPHAN = '''
import os, time
if os.fork() == 0:
    while os.getppid() != 1:
        time.sleep(0.01)
    with open("orphan.new", "w") as file:
        file.write(str(os.getpid()))
    os.rename("orphan.new", "orphan")
'''
def on_connected(e):
    subprocess.run([sys.executable, "-c", ORPHAN], check=True)
server.on_connected = on_connected
"""

# Runs in the namespace beside the server: speaks with it, then asks for its end.
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
with connect(found["url"]):
    pass
orphan = int(eventually(lambda: Path("orphan").exists() and Path("orphan").read_text()))
eventually(lambda: not proc.state_of(orphan))
eventually(lambda: report()["totals"]["disconnected"] == 1)
zombies = [pid for pid in proc.pids() if proc.state_of(pid) == "Z"]
print(json.dumps({"zombies": zombies, "restarts": [s["restarts"] for s in report()["shards"]]}))
os.kill(1, signal.SIGTERM)
"""


def has_namespaces() -> bool:
    if not shutil.which("unshare"):
        return False
    return subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not has_namespaces(), reason="no PID namespaces here (unshare --pid)")
def test_as_process_1(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(LEAVES_AN_ORPHAN)
    path = os.pathsep.join([str(ROOT), str(ROOT / "supervisor")])
    run_dir = str(tmp_path / "run")
    server = [sys.executable, "-m", "shardws_supervisor", "run", "app:server", "--shards", "1"]
    server += ["--local-host", "127.0.0.1", "--local-port", "0", "--run-dir", run_dir]
    # The shell starts the script, then becomes the server: process 1.
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
    assert json.loads(done.stdout) == {"zombies": [], "restarts": [0]}
    assert "stopping (graceful)" in done.stderr
    assert not Path(run_dir).exists()
