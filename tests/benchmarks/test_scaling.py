"""The pure parts of the measure of scaling: options, sheets, the page, what is computed."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks import procfs, svg
from benchmarks.__main__ import USAGE, main, parse_arguments
from benchmarks.commands import scaling
from benchmarks.errors import CannotRun, RunFailed
from benchmarks.procfs import Memory
from benchmarks.scaling import idle, links, messages, page
from benchmarks.scaling.forecast import Forecast
from benchmarks.sharded import is_meshed
from benchmarks.tables import Sheet, cell, slope

PAGE = Path(__file__).resolve().parents[2] / "docs" / "topics" / "scaling.md"


def sheet_of(columns: dict[str, dict[int, float]]) -> Sheet:
    sheet = Sheet()
    for column, values in columns.items():
        for shards, value in values.items():
            sheet.add(column, shards, value)
    return sheet


COSTS = sheet_of(
    {
        messages.ECHO: {1: 10.0, 2: 11.0},
        messages.EACH_ECHO: {1: 10.0, 2: 20.0},
        messages.EACH_ECHO_16: {1: 2.0, 2: 4.0},
        messages.EACH_CROSS_16: {1: 7.0, 2: 8.0},
        messages.PUBLISH: {1: 640.0, 2: 650.0},
        messages.PUBLISH_8: {1: 128.0, 2: 138.0},
        messages.ACCEPTED: {1: 1.0, 2: 1.1},
    }
)
MESH = sheet_of(
    {
        links.LINKS: {1: 0.0, 2: 2.0, 4: 12.0},
        links.DESCRIPTORS: {1: 17.0, 2: 19.0, 4: 23.0},
        links.PRIVATE: {1: 9999.0, 2: 8192.0, 4: 8212.0},
    }
)
CROWD = idle.Idle(
    connections=1000,
    shards=2,
    connect_s=1.0,
    connect_cpu_s=0.5,
    seconds=40.0,
    pings=2000,
    cpu_s=0.14,
    windows_ms=(0.0, 5.0, 9.0),
    empty_ms=1.0,
    memory=Memory(2500, 2200, 2000),
    slab_kib=8000,
)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--parts", "mesages"], "no part 'mesages': one of messages, links, idle"),
        (["--shards", "61"], "shards are 1 to"),
        (["--shards", ""], "shards are 1 to"),
        (["--write", "/no/such/page"], "no page /no/such/page"),
    ],
)
def test_refuses(words: Sequence[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scaling", *words]) == USAGE
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--shards", "0"], ["--rounds", "0"], ["--watch", "-1"]])
def test_numbers_are_above_0(words: Sequence[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["scaling", *words])
    assert caught.value.code == USAGE
    assert "above 0" in capsys.readouterr().err


def test_all_of_it_is_under_eight_minutes() -> None:
    assert scaling.estimate_s(parse_arguments(["scaling"])) < 480


def test_links_are_measured_further() -> None:
    assert scaling.linked(parse_arguments(["scaling", "--shards", "1,4"])) == [1, 4, 32, 64]


def test_loads_grow_with_shards_or_do_not() -> None:
    few, many = messages.loads(1), messages.loads(16)
    assert [one.column for one in few] == [one.column for one in many]
    for one, other in zip(few, many, strict=True):
        times = 16 if "each" in one.column else 1
        assert other.workload.connections == times * one.workload.connections
    halves = {one.column: one.workload for one in many}
    assert halves[messages.EACH_CROSS_16].connections * 2 == messages.EACH * 16


def test_every_column_is_shown() -> None:
    shown = {*page.FIXED_COLUMNS, *page.ONE_COLUMNS, *page.EACH_COLUMNS, *page.PUBLISH_COLUMNS}
    assert {one.column for one in messages.loads(2)} == shown


@pytest.mark.parametrize(
    ("accepted", "times"), [([8, 8], 1.0), ([9, 6], 1.5), ([4, 0], 4.0), ([0], 0.0)]
)
def test_evenness(accepted: Sequence[int], times: float) -> None:
    assert messages.evenness(accepted) == times


@pytest.mark.parametrize(
    ("points", "expected"),
    [({}, 0.0), ({4: 7.0}, 0.0), ({1: 3.0, 2: 5.0}, 2.0), ({1: 1.0, 2: 4.0, 3: 4.0}, 1.5)],
)
def test_slope(points: dict[int, float], expected: float) -> None:
    assert slope(points) == pytest.approx(expected)


def test_a_sheet_shows_medians_with_their_range() -> None:
    sheet = Sheet()
    for value in (12.0, 10.0, 11.0):
        sheet.add("cost", 2, value)
    sheet.add("links", 16, 240.0)
    assert sheet.table(["cost", "links"]) == [
        "| shards | cost       | links |",
        "|--------|------------|-------|",
        "| 2      | 11 (10-12) | -     |",
        "| 16     | -          | 240   |",
    ]
    assert sheet.middles("cost") == {2: 11.0}
    with pytest.raises(KeyError, match="links with 2 shards"):
        sheet.middle("links", 2)


def test_cells_show_three_figures() -> None:
    assert cell(Sheet(values={"a": {1: [1.234, 1.3]}}).spread("a", 1)) == "1.27 (1.23-1.30)"


@pytest.mark.parametrize(
    ("links_of", "expected"),
    [([(1, 1), (1, 1)], True), ([(1, 1), (1, 0)], False), ([(1, 1)], False)],
)
def test_is_meshed(links_of: Sequence[tuple[int, int]], expected: bool) -> None:
    slots = [{"state": "ready", "links_out": out, "links_in": back} for out, back in links_of]
    assert is_meshed(slots, 2) is expected


def test_a_shard_that_starts_is_not_meshed() -> None:
    slot = {"links_out": 0, "links_in": 0}
    assert not is_meshed([{"state": "starting", **slot}], 1)
    assert is_meshed([{"state": "ready", **slot}], 1)


# -- the page ------------------------------------------------------------------------------------


def test_puts_a_part_between_its_marks() -> None:
    text = "words\n<!-- links: by x -->\nold\n| a |\n<!-- end of links -->\nmore\n"
    made = page.replaced(text, "links", [r"| \1 |"])
    assert made == "words\n<!-- links: by x -->\n\n| \\1 |\n\n<!-- end of links -->\nmore\n"
    assert page.replaced(made, "links", [r"| \1 |"]) == made


@pytest.mark.parametrize(
    "text", ["", "<!-- links: x -->\n", "<!-- links: x --> <!-- end of links -->"]
)
def test_a_page_without_its_marks_is_refused(text: str) -> None:
    with pytest.raises(CannotRun, match="0 parts 'links'"):
        page.replaced(text, "links", [])


def test_the_page_has_all_parts() -> None:
    text = PAGE.read_text()
    for name in (*scaling.PARTS, "machine", "computed"):
        assert page.replaced(text, name, ["new"]) != text


def test_lines_of_each_part() -> None:
    costs, mesh, crowd = (
        "\n".join(lines)
        for lines in (page.messages_lines(COSTS), page.links_lines(MESH), page.idle_lines(CROWD))
    )
    assert "10.0 us for one more shard at depth 1, 10.0 at depth 8" in costs
    assert "each of the others 10.0 KiB" in mesh
    assert re.search(r"pings and pongs per second +\| 50 ", crowd)
    assert re.search(r"private, KiB per connection +\| 2.00 ", crowd)
    assert re.search(r"kernel slab, KiB per end of a connection +\| 4.00 ", crowd)


def test_a_picture_has_a_line_for_each_column() -> None:
    made = page.picture(COSTS)
    assert made.count("<polyline") == 4  # of seven, three were not measured
    assert ">echo, depth 1: 11.0<" in made


def test_labels_do_not_lie_on_each_other() -> None:
    found = svg.apart({"low": 101.0, "high": 10.0, "near": 100.0, "next": 102.0})
    assert found == {"high": 10.0, "near": 100.0, "low": 116.0, "next": 132.0}


# -- what is computed ----------------------------------------------------------------------------


def test_a_ping_does_not_pay_for_an_empty_server() -> None:
    assert CROWD.cpu_ms == pytest.approx(3.5)
    assert CROWD.ping_us == pytest.approx((0.14 - 0.04) / 2000 * 1e6)


def test_forecast() -> None:
    rows = Forecast(64, 1_000_000, COSTS, MESH, CROWD).rows()
    found = {row[0]: row[2] for row in rows}
    assert found["one-way links"] == "4,032"
    assert found["descriptors of a shard"] == "15,768"  # 17 + 15,625 + 126
    assert found["memory of connections"] == "1.9 GiB"  # 2 KiB each
    assert found["memory of shards"] == "0.5 GiB"  # 8212 + 60 x 10 KiB each
    assert found["kernel's slab for sockets"] == "3.8 GiB"  # one end is 4 KiB
    assert found["keepalive"] == "2.86 cores"  # 57,143 pings a second of 50 us
    assert found["echo, depth 1"] == "3.2 million/s at most"
    assert found["one publish to all"] == "2.00 s of CPU, 31 ms of each core"


# -- procfs --------------------------------------------------------------------------------------


def test_fields_of_files_in_proc() -> None:
    text = (
        "55d0-7ffe ---p 00000000 00:00 0   [rollup]\nRss:   30928 kB\nPss:  8859 kB\nHugePages: 0\n"
    )
    assert procfs.kib_fields(text) == {"Rss": 30928, "Pss": 8859}


def test_memory_of_several_and_its_growth() -> None:
    assert sum([Memory(3, 2, 1), Memory(30, 20, 10)], procfs.NOTHING) == Memory(33, 22, 11)
    assert Memory(33, 22, 11) - Memory(3, 2, 1) == Memory(30, 20, 10)


def test_figures_of_a_process() -> None:
    own = procfs.memory_of(os.getpid())
    assert own.rss >= own.pss >= own.private > 0
    assert procfs.slab_kib() > 0
    before = procfs.descriptors(os.getpid())
    end = os.dup(0)
    try:
        assert procfs.descriptors(os.getpid()) == before + 1
    finally:
        os.close(end)


def test_too_many_connections_for_the_descriptors() -> None:
    idle.check_descriptors(18_000, 2, 20_000)
    with pytest.raises(RunFailed, match="20000 descriptors for a process hold 19796 connections"):
        idle.check_descriptors(19_800, 2, 20_000)
