"""The command line: what can be asked for, and what is refused."""

import ast
import platform
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import pytest

from benchmarks import contestants, generator, packages
from benchmarks.__main__ import COMMANDS, USAGE, main, parse_arguments
from benchmarks.commands import compare
from benchmarks.contestants import BASE, Contestant
from benchmarks.errors import CannotRun, RunFailed, StartFailed
from benchmarks.matrix import MATRICES, Section, default, echo
from benchmarks.rounds import Run


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--sections", "eco"], "no section 'eco': one of echo, storm"),
        (["--contestants", "nginx"], "no contestant 'nginx': one of shardws"),
    ],
)
def test_refuses(words: Sequence[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", *words]) == USAGE
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "required: COMMAND"),
        (["compair"], "invalid choice: 'compair'"),
        (["compare", "--rounds", "-1"], "above 0"),
        (["compare", "--rounds", "1.5"], "above 0"),
        (["tls", "--seconds", "0"], "above 0"),
        (["tls", "--seconds", "nan"], "above 0"),
        (["scaling", "--shards", "1,x"], "above 0"),
    ],
)
def test_the_parser_refuses(
    words: Sequence[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == USAGE
    assert message in capsys.readouterr().err


def test_help_tells_each_command_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    told = capsys.readouterr().out
    for name, command in COMMANDS.items():
        line = (command.__doc__ or "").partition("\n")[0]
        assert line.endswith(".")
        assert name in told
        assert line.split()[0] in told


@pytest.mark.parametrize(
    ("error", "code"),
    [(CannotRun("no cc"), USAGE), (RunFailed("no luck"), 1), (StartFailed("no port"), 1)],
)
def test_exit_codes(
    error: Exception,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def prepare() -> None:
        raise error

    monkeypatch.setattr(generator, "prepare", prepare)
    assert main(["routing"]) == code
    assert f"routing: {error}" in capsys.readouterr().err


def test_options_replace_what_the_matrix_says() -> None:
    args = parse_arguments(["compare", "--rounds", "7", "--seconds", "0.5"])
    matrix = compare.chosen_matrix(args)
    assert (matrix.rounds, matrix.seconds) == (7, 0.5)
    assert compare.chosen_matrix(parse_arguments(["compare"])) == default()


def test_sections_keep_their_order() -> None:
    assert compare.chosen_sections(["cross", "echo"]) == [Section.ECHO, Section.CROSS]
    assert compare.chosen_sections([]) == list(Section)


@pytest.mark.parametrize("name", MATRICES)
def test_the_base_is_first_and_in_every_section(name: str) -> None:
    chosen = contestants.choose([], name)
    assert chosen[0].name == BASE
    assert chosen[0].sections == set(Section)
    assert len(chosen) >= 4


def test_the_named_ones_and_the_base() -> None:
    assert [one.name for one in contestants.choose(["granian_asgi"], "quick")] == [
        BASE,
        "granian_asgi",
    ]


def contestant(name: str) -> Contestant:
    return next(one for one in contestants.CONTESTANTS if one.name == name)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (BASE, ""),
        ("redis_each", "redis_each: no redis-server on this machine"),
        ("node_ws", "node_ws: no node on this machine"),
        ("bun", "bun: bun not installed; `make bench` does that"),
        ("socketify", "socketify: socketify not installed; `make bench` does that"),
        ("uvicorn", "uvicorn: uvicorn, websockets, uvloop not installed; `make bench` does that"),
    ],
)
def test_what_is_missing_has_a_reason(
    name: str, reason: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.setattr(packages, "VENV", tmp_path)
    monkeypatch.setattr(packages, "NODE_MODULES", tmp_path)
    assert contestant(name).missing() == reason


def test_what_is_missing_is_left_out_and_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []

    def alternate(found: Sequence[Contestant], *rest: object) -> list[Run]:
        asked.extend(one.name for one in found)
        return [Run(0, BASE, echo(64, 125, 1), {"cpu_us": 1.0})]

    monkeypatch.setattr(generator, "prepare", lambda: None)
    monkeypatch.setattr(compare, "alternate", alternate)
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert main(["compare", "--contestants", "node_ws"]) == 0
    assert asked == [BASE]
    assert "left out: node_ws: no node on this machine" in capsys.readouterr().out


def test_versions_are_of_where_a_contestant_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """uvloop is in both environments, and may differ."""
    site = tmp_path / "lib" / "python3.11" / "site-packages"
    for place, name, text in (
        (site / "uvloop-9.8.dist-info", "METADATA", "Metadata-Version: 2.1\nVersion: 9.8\n"),
        (tmp_path / "bun", "package.json", '{"version": "7.6.5"}'),
    ):
        place.mkdir(parents=True)
        (place / name).write_text(text)
    monkeypatch.setattr(packages, "VENV", tmp_path)
    monkeypatch.setattr(packages, "NODE_MODULES", tmp_path)
    assert contestant("picows").versions() == {"picows": "", "uvloop": "9.8"}
    assert contestant("bun").versions() == {"bun": "7.6.5"}
    assert contestant(BASE).versions()["uvloop"] == metadata.version("uvloop")


def test_the_version_that_a_program_tells() -> None:
    assert packages.program(sys.executable) == platform.python_version()
    assert packages.program("/no/such/program") == ""


def test_the_benchmarks_do_not_import_the_load_tests() -> None:
    """Those import serving and contestants from here: the other way it would be a circle."""
    for file in packages.PROJECT.glob("benchmarks/**/*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not [name for name in names if name.partition(".")[0] == "loadtests"], file


def test_quick_is_under_two_minutes() -> None:
    quick = MATRICES["quick"]()
    chosen = contestants.choose([], "quick")
    assert compare.estimate_s(chosen, list(Section), quick) < 120
