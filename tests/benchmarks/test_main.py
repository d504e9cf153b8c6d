"""The command line: what can be asked for, and what is refused."""

from collections.abc import Sequence

import pytest

from benchmarks import __main__ as bench
from benchmarks import contestants
from benchmarks.contestants import BASE
from benchmarks.matrix import MATRICES, Section, default


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--sections", "eco"], "no section 'eco': one of echo, storm"),
        (["--contestants", "nginx"], "no contestant 'nginx': one of shardws"),
        (["--rounds", "-1"], "above 0"),
    ],
)
def test_refuses(
    words: Sequence[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.argv", ["bench", *words])
    assert bench.main() == bench.USAGE
    assert message in capsys.readouterr().err


def test_options_replace_what_the_matrix_says() -> None:
    args = bench.parse_arguments(["--rounds", "7", "--seconds", "0.5"])
    matrix = bench.chosen_matrix(args)
    assert (matrix.rounds, matrix.seconds) == (7, 0.5)
    assert bench.chosen_matrix(bench.parse_arguments([])) == default()


def test_sections_keep_their_order() -> None:
    assert bench.chosen_sections(["cross", "echo"]) == [Section.ECHO, Section.CROSS]
    assert bench.chosen_sections([]) == list(Section)


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


def test_what_is_missing_is_left_out_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.setattr(bench, "serves_tls", lambda: False)
    chosen = contestants.choose(["redis_each"], "default")
    left, sections, reasons = bench.leave_out(chosen, list(Section))
    assert [one.name for one in left] == [BASE]
    assert sections == [one for one in Section if one is not Section.TLS]
    assert reasons == [
        "redis_each: no redis-server on this machine",
        "tls: this server does not serve TLS yet",
    ]


def test_quick_is_under_two_minutes() -> None:
    quick = MATRICES["quick"]()
    chosen = contestants.choose([], "quick")
    assert bench.estimate_s(chosen, list(Section), quick) < 120
