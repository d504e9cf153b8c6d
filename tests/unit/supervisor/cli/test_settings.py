"""`shardws settings` and `shardws check` through the command line, without a server."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from shardws_supervisor.cli import main

ROOT = Path(__file__).parents[4]


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of the environment the tests run in must not count."""
    for variable in ("SHARDWS_CONFIG", "SHARDWS_LOCAL_PORT"):
        monkeypatch.delenv(variable, raising=False)


def test_settings_tells_every_value_and_its_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.toml"
    path.write_text("local_port = 1\nnode = 1\n")
    monkeypatch.setenv("SHARDWS_NODE", "2")
    monkeypatch.setenv("SHARDWS_LOCAL_PROT", "3")
    assert main.main(["settings", "--config", str(path), "--log-level", "3", "--given"]) == 0
    out, err = capsys.readouterr()
    assert [line.split() for line in out.splitlines()] == [
        ["LocalPort", "1", str(path), "line", "1"],
        ["Node", "2", "SHARDWS_NODE,", "overrides", "1", f"({path}", "line", "2)"],
        ["LogLevel", "3", "--log-level"],
    ]
    assert "did you mean SHARDWS_LOCAL_PORT" in err


def test_settings_as_json_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["settings", "--json"]) == 0
    names = [entry["name"] for entry in json.loads(capsys.readouterr().out)]
    assert "local_port" in names


def test_settings_of_an_application_hold_what_it_set(tmp_path: Path) -> None:
    """In a process of its own: the probe forks, which the threads of a test run do not allow."""
    (tmp_path / "previewed.py").write_text(
        "from shardws import WebSocketServer\nserver = WebSocketServer()\nserver.node = 7\n"
    )
    command = [sys.executable, "-m", "shardws_supervisor"]
    ended = subprocess.run(
        [*command, "settings", "previewed:server", "--given"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'supervisor'}"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (ended.stdout.split(), ended.stderr, ended.returncode) == (["Node", "7", "code"], "", 0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--local-port", "70000"], "LocalPort: must be 0 to 65535, not '70000' (--local-port)"),
        (["--config", "/no/such.toml"], "cannot open /no/such.toml"),
        (["--proxy-protocol", "any"], "ProxyProtocol needs TrustedProxies"),
    ],
)
def test_wrong_settings_are_one_line_and_exit_code_2(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["settings", *arguments]) == 2
    err = capsys.readouterr().err
    assert words in err
    assert err.count("\n") == 1


def test_check_names_every_fault_of_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.toml"
    path.write_text("local_prot = 1\nnode = 5000\n")
    assert main.main(["check", str(path)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert "did you mean local_port?" in lines[0]
    assert "line 1" in lines[0]
    assert "Node: must be 0 to 1023, not 5000" in lines[1]
    path.write_text("local_port = 1\n")
    assert main.main(["check", str(path)]) == 0
    assert capsys.readouterr().out == f"{path}: no problems found\n"
