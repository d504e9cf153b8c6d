"""Upgrade: another version of the program goes on in the same process, and keeps everything."""

import os
import shutil
import signal
import sys
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from shardws.control import Refused, connect_blocking
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
    greeting,
)
from tests.processes.test_control import command

pytestmark = pytest.mark.processes

DRAIN = ("--reload-mode", "drain")
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


def upgraded(server: RunningServer, count: int = 1) -> dict[str, object]:
    """Wait for the end of an upgrade and return its outcome, which must be done."""
    report = server.wait_for_status(lambda r: r["upgrades"] == count and r["phase"] == "serving")
    last: dict[str, object] = report["last_upgrade"]
    assert last["kind"] == "done", server.log
    return last


def test_another_version_goes_on_in_the_same_process(
    run_server: RunServer, releases: Releases
) -> None:
    server = run_server("examples.demo:server", *DRAIN, env=releases.env)
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
