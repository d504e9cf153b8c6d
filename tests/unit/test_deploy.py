"""deploy/: what it names exists, and what can be checked without running it is right."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from shardws import stats
from shardws.errors import EXIT_CANNOT_START, EXIT_USAGE
from shardws.settings import table
from shardws_supervisor.admin import metrics
from shardws_supervisor.control import status
from shardws_supervisor.shards.slots import Slot, SlotTable
from shardws_supervisor.system.backoff import Backoff, Policy

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
NAMES_METRICS = (
    DEPLOY / "grafana-dashboard.json",
    DEPLOY / "prometheus" / "alerts.yml",
    ROOT / "docs" / "how-to" / "monitoring.md",
)


NUMBERS = {11: "eleven", 12: "twelve", 13: "thirteen", 14: "fourteen", 15: "fifteen"}


def exposition() -> str:
    """Return /metrics of a server with one shard."""
    memory = stats.Stats(1)
    memory.row(0)[stats.ACCEPTED] = 1
    table = SlotTable()
    table.add(Slot(0, Backoff(Policy(), lambda: 0.0)))
    certificate = {"subject": "a", "serial": "1", "not_after": 0, "is_expiring": True}
    report = {
        **status.report(table, memory),
        "tls": {"certificates": [certificate]},
        "ready": True,
        "max_connections": 1,
        "uptime": 1.0,
        "reloads": 0,
        "upgrades": 0,
        "takeovers": 0,
        "unmoved_connections": {"tls": 1},
        "log_lines_lost": 0,
        "auxiliaries": [{"name": "admin", "pid": 1, "restarts": 0}],
    }
    return metrics.Exposition(memory).page(report, "")[0].decode()


def exposed() -> set[str]:
    """Return the names of all samples."""
    return set(re.findall(r"^([a-z_]+)[{ ]", exposition(), re.MULTILINE))


def labels() -> set[str]:
    """Return the names of all labels, and those that Prometheus adds when it scrapes."""
    return set(re.findall(r'[{,]([a-z_]+)="', exposition())) | {"instance", "job"}


@pytest.mark.parametrize("file", NAMES_METRICS, ids=lambda file: file.name)
def test_every_metric_that_is_named_is_there(file: Path) -> None:
    text = file.read_text()
    named = set(re.findall(r"\bshardws_[a-z_]+\b", text)) - {"shardws_supervisor"}
    assert named
    assert named <= exposed()


def test_every_label_that_is_named_is_there() -> None:
    """The label of auxiliaries was renamed, and an alert went on showing the old one as empty."""
    for file in NAMES_METRICS:
        text = file.read_text()
        named = re.findall(r"\$labels\.(\w+)|{{(\w+)}}|by \((\w+)\)|[Ll]abels? `(\w+)`", text)
        assert {name for groups in named for name in groups if name} <= labels(), file.name


def test_every_metric_is_described() -> None:
    text = (ROOT / "docs" / "reference" / "metrics.md").read_text()
    assert exposed() <= set(re.findall(r"\bshardws_[a-z_]+\b", text))


def test_the_number_of_alert_rules_that_is_told_is_right() -> None:
    rules = (DEPLOY / "prometheus" / "alerts.yml").read_text().count("- alert:")
    told = re.compile(r"(?:has|and) (\w+)(?: alert)? rules")
    for page in (DEPLOY / "README.md", ROOT / "docs" / "how-to" / "monitoring.md"):
        assert told.findall(page.read_text()) == [NUMBERS[rules]], page


def test_the_grafana_dashboard_has_no_two_panels_in_one_place() -> None:
    dashboard = json.loads((DEPLOY / "grafana-dashboard.json").read_text())
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="no systemd-analyze (Debian package: systemd)"
)
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    for file in (DEPLOY / "systemd").iterdir():
        # The one thing that is not so here: the place where the program is installed.
        text = file.read_text().replace("/srv/chat/.venv/bin/shardws", sys.executable)
        (tmp_path / file.name).write_text(text)
    units = [str(file) for file in sorted(tmp_path.iterdir())]
    assert len(units) == 2
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_times_of_the_unit_fit_the_defaults() -> None:
    unit = dict(
        line.split("=", 1)
        for line in (DEPLOY / "systemd" / "shardws.service").read_text().splitlines()
        if "=" in line and not line.startswith("#")
    )
    assert int(unit["TimeoutStartSec"]) > 2 * table.START_TIMEOUT.default
    assert int(unit["TimeoutStopSec"]) > table.DRAIN_DELAY.default + table.DRAIN_DEADLINE.default
    assert unit["Restart"] == "on-failure"
    final = {int(word) for word in unit["RestartPreventExitStatus"].split()}
    assert final == {EXIT_USAGE, EXIT_CANNOT_START}
    assert int(unit["RestartSec"]) * 5 > 10, "StartLimitBurst within StartLimitIntervalSec"


def test_flags_in_the_files_exist() -> None:
    """A flag that was renamed would be found by the first who deploys."""
    done = subprocess.run(
        [sys.executable, "-m", "shardws_supervisor", "run", "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd=ROOT / "supervisor",
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'supervisor'}"},
    )
    known = set(re.findall(r"--[a-z][a-z0-9-]+", done.stdout))
    for file in DEPLOY.rglob("*"):
        if file.is_file():
            for line in re.findall(r"shardws run .*|\"--admin\".*|CMD \[.*", file.read_text()):
                assert set(re.findall(r"--[a-z][a-z0-9-]+", line)) <= known, f"{file.name}: {line}"
