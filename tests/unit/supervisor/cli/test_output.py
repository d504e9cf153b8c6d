"""output: what is written, what cannot be written, and what must not reach a terminal."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from shardws_supervisor.cli import main, output

ROOT = Path(__file__).parents[4]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain é 漢", "plain é 漢"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\nb\r\x00", "a\\x0ab\\x0d\\x00"),
        ("\x9b2J", "\\x9b2J"),
        ("\u202eevil", "\\u202eevil"),
        ("\ud800", "\\ud800"),
    ],
)
def test_what_could_play_with_a_terminal_is_escaped(
    text: str, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    output.lines([text])
    assert capsys.readouterr().out == shown + "\n"


def test_json_and_complaints_are_escaped_too(capsys: pytest.CaptureFixture[str]) -> None:
    output.as_json({"text": "\x1b\x9b"})
    output.complain("why \x1b[2J\n  not")
    told = capsys.readouterr()
    assert told.out == '{\n  "text": "\\u001b\\u009b"\n}\n'
    assert told.err == "shardws: why \\x1b[2J not\n"


def test_what_the_stream_cannot_encode_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    output.lines(["é"])
    assert written.getvalue() == b"\\xe9\n"


COMMANDS = (["--version"], ["check", os.devnull], ["settings"])


def shardws(arguments: list[str], shell: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(ROOT), str(ROOT / "supervisor")])
    python = f'exec "$0" -m shardws_supervisor "$@" {shell}'
    return subprocess.run(
        ["/bin/sh", "-c", python, sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
@pytest.mark.parametrize(
    ("shell", "reason"),
    [(">/dev/full", "No space left on device"), (">&-", "Bad file descriptor")],
)
def test_a_standard_output_that_fails_is_one_line(
    arguments: list[str], shell: str, reason: str
) -> None:
    """W12: a traceback, or exit code 0 without a word."""
    done = shardws(arguments, shell)
    assert done.returncode == 1
    told = done.stderr.splitlines()
    # Without a standard output argparse prints its help to standard error.
    assert told[-1] == f"shardws: standard output: {reason}"
    assert len(told) == 1 or (shell == ">&-" and arguments[0].startswith("--"))


@pytest.mark.parametrize("shell", ["2>/dev/full", "2>&-"])
def test_a_standard_error_that_fails_does_not_change_the_exit_code(shell: str) -> None:
    done = shardws(["status", "--run-dir", "/nowhere"], shell)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")
    assert shardws([], shell).returncode == 2


def test_a_reader_that_has_gone_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        assert main.main(["check", os.devnull]) == 0
        assert os.readlink(f"/proc/self/fd/{writing}") == os.devnull, "the rest goes nowhere"
