"""Upgrades that cannot be: the old version says why, and goes on."""

import signal
import sys
from pathlib import Path

import pytest

from shardws.control import Refused
from tests.processes.applications import ECHOES
from tests.processes.conftest import (
    RunServer,
    WriteApp,
    assert_echo,
    eventually,
    greeting,
)
from tests.processes.releases import DEMO, DRAIN, Releases, ended
from tests.processes.test_control import command

pytestmark = pytest.mark.processes


@pytest.fixture
def releases(tmp_path: Path) -> Releases:
    made = Releases(tmp_path / "releases")
    made.folder.mkdir()
    made.make("9.1")
    made.use("9.1")
    return made


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


SLOW_PROBE = """
import time
with open("/proc/self/comm") as file:
    if file.read().strip() == "shardws-probe" and os.path.exists("armed"):
        open("probing", "w").close()
        time.sleep(3600)
"""


def test_a_stop_during_the_rehearsal(
    run_server: RunServer, write_app: WriteApp, tmp_path: Path
) -> None:
    server = run_server(write_app(ECHOES + SLOW_PROBE), *DRAIN)
    (tmp_path / "armed").touch()
    server.ask("upgrade")
    eventually((tmp_path / "probing").exists)
    with pytest.raises(Refused, match="an upgrade is in progress"):
        server.ask("reload")
    server.signal(signal.SIGTERM)
    assert server.wait_for_exit() == 0
    assert "upgrade cancelled: the server stops" in server.log
