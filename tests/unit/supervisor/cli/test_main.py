"""cli: what is wrong with a command line is one line, before any server is asked."""

import pytest

from shardws_supervisor.cli import main
from shardws_supervisor.system import versions


@pytest.mark.parametrize("seconds", ["-1", "nan", "0", "inf", "60", "soon"])
def test_an_interval_that_cannot_be_slept_is_refused(
    seconds: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """-1 and nan ended with a traceback, out of time.sleep."""
    with pytest.raises(SystemExit) as ended:
        main.main(["top", f"--interval={seconds}"])
    assert ended.value.code == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert "argument --interval: " in told
    assert seconds in told


@pytest.mark.parametrize("arguments", [["top", "--count=0"], ["conns", "--limit=-1"]])
def test_a_number_of_things_to_show_is_at_least_one(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main.main(arguments)
    assert ended.value.code == 2
    assert ": 1 or more, not " in capsys.readouterr().err


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main.main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"shardws {versions.of('shardws')}\n"
