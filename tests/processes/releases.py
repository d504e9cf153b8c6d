"""Releases of this package behind a link, and how an upgrade between them ended."""

import os
import shutil
from pathlib import Path
from typing import Any

from tests.processes.applications import ECHOES
from tests.processes.conftest import ROOT, RunningServer

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
