"""The measurement of the cross-shard send: figures to words and to an exit code."""

import pytest

from benchmarks.__main__ import USAGE, main
from benchmarks.commands import routing
from benchmarks.tables import Sheet


def sheet_of(*rounds: tuple[int, float, float]) -> Sheet:
    sheet = routing.new_sheet()
    for depth, apart, together in rounds:
        routing.add_round(sheet, depth, apart, together)
    return sheet


def test_the_difference_is_taken_within_each_round() -> None:
    sheet = sheet_of((16, 12.0, 9.0), (16, 20.0, 18.0), (1, 30.0, 25.0))
    lines = sheet.table(routing.COLUMNS)
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    assert cells[2:] == [
        ["1", "30.00", "25.00", "5.00"],
        ["16", "16.00 (12.00-20.00)", "13.50 (9.00-18.00)", "2.50 (2.00-3.00)"],
    ]


@pytest.mark.parametrize(("apart", "code", "word"), [(13.0, 0, "held"), (13.01, 1, "MISSED")])
def test_the_budget_is_of_the_median_with_sixteen_on_the_way(
    apart: float, code: int, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    sheet = sheet_of((16, apart, 9.0), (16, 50.0, 9.0), (16, 9.0, 9.0), (1, 99.0, 9.0))
    assert routing.verdict(sheet) == code
    assert word in capsys.readouterr().out


def test_an_odd_number_of_pairs_is_refused() -> None:
    assert main(["routing", "--pairs", "3"]) == USAGE


@pytest.mark.parametrize("words", [["--pairs", "0"], ["--rounds", "0"], ["--seconds", "-1"]])
def test_options_that_make_no_sense_are_refused(words: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["routing", *words])
    assert caught.value.code == USAGE
