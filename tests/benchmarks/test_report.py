"""The page and the picture that are made from runs."""

from xml.etree import ElementTree

import pytest

from benchmarks import packages
from benchmarks.contestants import CONTESTANTS
from benchmarks.matrix import Matrix, echo, memory
from benchmarks.report import Report, method, page, picture, tables
from benchmarks.rounds import Run
from benchmarks.tables import table

ECHO = echo(64, 125, 1)
MEMORY = memory(1000)
BUSY = {"rate": 50000.0, "p50_us": 100.0, "p99_us": 900.0, "server_share": 0.99}
TWO = [one for one in CONTESTANTS if one.name in ("shardws", "websockets")]


def runs() -> list[Run]:
    return [
        Run(0, "shardws", ECHO, {"cpu_us": 10.0, "client_share": 0.5, **BUSY}),
        Run(0, "websockets", ECHO, {"cpu_us": 30.0, "client_share": 0.5, **BUSY}),
        Run(1, "shardws", ECHO, {"cpu_us": 12.0, "client_share": 0.5, **BUSY}),
        Run(1, "websockets", ECHO, failure="2 messages were lost"),
        Run(0, "shardws", MEMORY, {"kib": 2.0}),
        Run(0, "websockets", MEMORY, failure="does not start"),
    ]


def report() -> Report:
    matrix = Matrix("quick", (ECHO, MEMORY), rounds=2, seconds=1.0)
    return Report(matrix, TWO, runs(), {"processor": "abacus"}, ["tls: not yet"])


def test_tables_hold_figures_ratios_and_troubles() -> None:
    text = tables(report())
    assert "| 64 connections, 125 B, depth 1 | 11.0 (10.0-12.0) | 30.0       |" in text
    assert "| 64 connections, 125 B, depth 1 | 3.00x      |" in text
    assert "| 1,000 idle                  | 2.00    | failed     |" in text
    assert "- failed: websockets, echo: 64 connections, 125 B, depth 1, round 2: 2 mess" in text
    assert "- left out: tls: not yet" in text
    assert "Broadcast" not in text  # nothing was measured


def test_the_page_says_how_and_where(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "theirs", lambda name: "17.4")
    text = page(report(), "picture.svg")
    assert text.startswith("# Benchmarks\n")
    for words in ("2 rounds of 1 s", "processor: abacus", "(picture.svg)", "websockets 17.4"):
        assert words in text
    assert text.index("## Method") < text.index("closed loop") < text.index("## Echo")


def test_the_method_is_that_part_of_the_readme() -> None:
    assert method().startswith("- ")
    assert "\n## " not in method()


def test_who_was_the_limit_is_marked() -> None:
    made = report()
    idle = {**BUSY, "server_share": 0.5, "client_share": 0.99}
    made.runs = [Run(0, "shardws", ECHO, {"cpu_us": 1.0, **idle})]
    assert "| 0.99 !" in tables(made)


def test_a_table_is_aligned() -> None:
    assert table(["a", "bb"], [["ccc", "d"]]) == ["| a   | bb |", "|-----|----|", "| ccc | d  |"]


def test_the_picture_shows_who_was_measured() -> None:
    root = ElementTree.fromstring(picture(report()))
    words = [element.text or "" for element in root.findall(".//{*}text")]
    assert words == [
        "echo: 64 connections, 125 B, depth 1. CPU us per message, lower is better",
        *("shardws", "11.00", "websockets", "30.00"),
    ]
    bars = [float(element.attrib["width"]) for element in root.findall(".//{*}rect")]
    assert bars[1] / bars[0] > 2.7
    assert max(bars) < float(root.attrib["width"])


def test_a_picture_of_nothing() -> None:
    made = report()
    made.runs = []
    root = ElementTree.fromstring(picture(made))
    assert not list(root)
