"""Rounds with real servers: they alternate, a failure stays one, and nothing is left running."""

import shutil
import sys
from pathlib import Path

import pytest

from benchmarks import generator
from benchmarks.contestants import CONTESTANTS, SERVERS, Contestant
from benchmarks.matrix import Matrix, Section, Workload, echo
from benchmarks.procfs import birth
from benchmarks.rounds import Run, alternate
from benchmarks.serving import Command, Place, Server

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler"),
]

PLAIN = frozenset({Section.ECHO, Section.STORM, Section.BROADCAST, Section.MEMORY, Section.TLS})
SMALL = echo(2, 125, 2)
TOO_LARGE = echo(1, 2**20 + 1, 1)  # for websockets' default limit
OTHERS = (
    Workload(Section.STORM, "storm", 2),
    Workload(Section.BROADCAST, "broadcast", 5, 125, 2, is_text=True),
    Workload(Section.MEMORY, "hold", 10),
    Workload(Section.TLS, "echo", 2, 20000, 2),
)


def websockets(place: Place) -> list[Command]:
    script = SERVERS / "websockets_echo.py"
    return [Command([sys.executable, script, str(place.port), *place.files], place.port)]


def broken(place: Place) -> list[Command]:
    return [Command([sys.executable, "-c", "raise SystemExit('no luck')"], place.port)]


GOOD = Contestant("good", "", ("websockets",), websockets, PLAIN)
BAD = Contestant("bad", "", ("websockets",), broken, frozenset({Section.ECHO}))


def measured(contestants: list[Contestant], matrix: Matrix) -> list[Run]:
    generator.build()
    said: list[Run] = []
    runs = alternate(contestants, list(Section), matrix, said.append)
    assert said == runs
    return runs


def test_they_alternate_and_a_failure_stays_one() -> None:
    matrix = Matrix("test", (SMALL, TOO_LARGE), rounds=2, seconds=0.1, warmup_s=0.01)
    runs = measured([GOOD, BAD], matrix)
    assert [(run.number, run.contestant, run.workload is SMALL) for run in runs] == [
        (number, name, is_small)
        for number in (0, 1)
        for name in ("good", "bad")
        for is_small in (True, False)
    ]
    for run in runs:
        if run.contestant == "bad":
            assert "no luck" in run.failure
        elif run.workload is TOO_LARGE:
            assert "the server closed" in run.failure
        else:
            assert run.figures["cpu_us"] > 0
            assert run.figures["rate"] > 0


def test_every_kind_of_load(monkeypatch: pytest.MonkeyPatch) -> None:
    pids: list[int] = []

    monkeypatch.setattr(Server, "settle", lambda server: pids.extend(server.pids))
    runs = measured([GOOD], Matrix("test", OTHERS, rounds=1, seconds=0.1, warmup_s=0.01))
    assert [run.failure for run in runs] == [""] * len(OTHERS)
    assert {run.workload.section for run in runs} == PLAIN - {Section.ECHO}
    assert [birth(pid) for pid in pids] == [None] * len(pids)
    assert len(pids) >= 3  # one start for each kind


def test_the_files_of_all_contestants_are_there(tmp_path: Path) -> None:
    place = Place(1, 2, tmp_path)
    words = [
        word for one in CONTESTANTS for command in one.commands(place) for word in command.argv
    ]
    scripts = {word for word in words if isinstance(word, Path) and word.is_relative_to(SERVERS)}
    applications = {f"{word.partition(':')[0]}.py" for word in map(str, words) if ":app" in word}
    assert scripts - {SERVERS} >= {SERVERS / "picows_echo.py", SERVERS / "ws_echo.js"}
    assert applications == {"asgi_echo.py", "rsgi_echo.py"}
    assert all(file.exists() for file in [*scripts, *(SERVERS / name for name in applications)])
