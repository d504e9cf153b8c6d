"""Scenarios do what they say, and instruction counts are compared as the gate needs it."""

from pathlib import Path

import pytest

from benchmarks.__main__ import USAGE, main
from benchmarks.errors import CannotRun
from benchmarks.micro import instructions
from benchmarks.micro.counted import BATCHES, EMPTY
from benchmarks.micro.instructions import lines, per_message, totals, verdict
from benchmarks.micro.scenarios import PER_BATCH, Scenario, available

KEY = "CPython 3.12.0, x86_64, cc 13.1"
DUMP = """\
version: 1
desc: Trigger: Client Request: handshake
events: Ir
summary: 123456
"""


@pytest.mark.parametrize("scenario", available().values(), ids=lambda one: one.name)
def test_every_scenario_runs(scenario: Scenario) -> None:
    """Each asserts its own result."""
    with scenario.prepared() as run:
        run(2)


def test_counts_between_the_marks() -> None:
    end = "desc: Trigger: Program termination\nsummary: 9\n"
    assert totals([DUMP, end, "desc: Trigger: Client Request: empty\ntotals: 7"]) == {
        "handshake": 123456,
        "empty": 7,
    }


def test_counts_are_per_message_and_without_the_marks() -> None:
    messages = BATCHES * PER_BATCH
    assert per_message({EMPTY: 100, "dispatch": 100 + 5 * messages}) == {"dispatch": 5}
    with pytest.raises(CannotRun, match="no dump"):
        per_message({})


@pytest.mark.parametrize(
    ("counted", "stored", "word"),
    [(1000, None, "new"), (1035, 1000, ""), (1036, 1000, "LONGER"), (964, 1000, "shorter")],
)
def test_verdict(counted: int, stored: int | None, word: str) -> None:
    assert verdict(counted, stored) == word


def test_a_line_tells_the_change() -> None:
    (line,) = lines({"handshake": 550}, {"handshake": 500})
    assert line.split()[:5] == ["handshake", "550", "500", "+10.0%", "LONGER"]


@pytest.mark.parametrize(
    ("counted", "is_update", "code", "words"),
    [
        (115, False, 0, ""),
        (120, False, 1, "over 2% more than stored: handshake"),
        (120, True, 0, "stored in"),
    ],
)
def test_the_gate(
    counted: int,
    is_update: bool,
    code: int,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(instructions, "environment", lambda: KEY)
    monkeypatch.setattr(instructions, "TABLE", tmp_path / "table.toml")
    instructions.store({KEY: {"handshake": 100}, "other": {"handshake": 1}})
    assert instructions.check({"handshake": counted}, is_update) == code
    assert words in capsys.readouterr().out
    kept = counted if is_update else 100
    assert instructions.stored_table() == {KEY: {"handshake": kept}, "other": {"handshake": 1}}


def test_another_environment_is_not_compared(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(instructions, "environment", lambda: KEY)
    monkeypatch.setattr(instructions, "stored_table", lambda: {"other": {"handshake": 1}})
    assert instructions.check({"handshake": 5}, False) == 0
    assert "NOT COMPARED" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [(["nonsense"], "no scenario 'nonsense'"), (["handshake"], "no valgrind; needed: valgrind")],
)
def test_what_cannot_be_counted(
    words: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert main(["check", *words]) == USAGE
    assert message in capsys.readouterr().err
