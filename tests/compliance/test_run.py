"""The search of the compliance runner for a Python 2.7."""

from pathlib import Path

import pytest

from tests.compliance import run

SHIM = "#!/bin/sh\necho 'pyenv: python2.7: command not found' >&2\nexit 127\n"
WORKING = "#!/bin/sh\nexit 0\n"


def script(path: Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def pyenv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pyenv of which only the shim is on PATH."""
    script(tmp_path / "shims/python2.7", SHIM)
    monkeypatch.setenv("PATH", f"{tmp_path / 'shims'}:/usr/bin:/bin")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    return tmp_path


def test_a_shim_that_does_not_run_is_passed_over(
    pyenv: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It was chosen, and what failed then was called "no wstest here"."""
    installed = script(pyenv / "versions/2.7.18/bin/python2.7", WORKING)
    assert run.find_python2() == installed
    assert f"{pyenv}/shims/python2.7 does not run as Python 2.7" in capsys.readouterr().err


def test_without_one_that_runs_there_is_none(pyenv: Path) -> None:
    script(pyenv / "versions/2.7.18/bin/python2.7", SHIM)
    assert run.find_python2() is None


def test_the_step_that_fails_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "TOOLS", tmp_path)
    broken = script(tmp_path / "python", "#!/bin/sh\necho no space left >&2\nexit 1\n")
    monkeypatch.setattr("sys.executable", broken)
    assert run.install("python2.7") is None
    printed = capsys.readouterr().err
    assert f"compliance: failed: {broken} -m pip" in printed
    assert "no space left" in printed
