"""The surface page: its items are those of the tables, and its marks name real items."""

from pathlib import Path

import pytest

from shardws.events import Handlers
from shardws.settings.row import Scope
from shardws.settings.table import ROWS
from tools import surface
from tools.surface import Mark, marks_in, page, unknown
from tools.surface_items import EVENTS, ITEMS, METHODS, PER_CONNECTION, PROPERTIES, SETTINGS

SOURCE = """
import pytest
pytestmark = [pytest.mark.processes, pytest.mark.surface("Log")]

@pytest.mark.surface("LocalPort", "Listening")
def test_one() -> None: ...

@pytest.mark.parametrize("x", ["Send"])
async def test_two(x: str) -> None: ...

@pytest.mark.surface("Send")
class TestThree:
    @pytest.mark.surface("SendText")
    def test_four(self) -> None: ...
"""


def test_the_surface_has_95_items_each_with_a_name_of_its_own() -> None:
    assert (len(PROPERTIES), len(METHODS), len(EVENTS), len(SETTINGS)) == (29, 8, 11, 47)
    assert len({item.vendor for item in ITEMS}) == len(ITEMS) == 95


def test_items_are_named_as_rows_and_events_are() -> None:
    rows = {row.vendor: row for row in ROWS}
    settings = {name for name in PROPERTIES if name in rows}
    assert {name: PROPERTIES[name] for name in settings} == {
        name: rows[name].name for name in settings
    }
    assert set(SETTINGS) <= set(rows)
    assert {rows[name].vendor for name in SETTINGS if rows[name].scope is Scope.CONNECTION} == (
        PER_CONNECTION
    )
    ours = {"on_resumed", "on_start", "on_stop"}  # beyond the product whose surface it is
    assert {*EVENTS.values(), *ours} == set(Handlers.__slots__)


def test_marks_are_found_on_modules_classes_and_functions() -> None:
    assert list(marks_in(SOURCE, "tests/test_x.py")) == [
        Mark("Log", "tests/test_x.py"),
        Mark("LocalPort", "tests/test_x.py::test_one"),
        Mark("Listening", "tests/test_x.py::test_one"),
        Mark("Send", "tests/test_x.py::TestThree"),
        Mark("SendText", "tests/test_x.py::TestThree::test_four"),
    ]


def test_a_mark_says_where_and_over_what() -> None:
    source = """
@pytest.mark.surface("Send", where=("same-shard", "other-shard"), over="tls")
@pytest.mark.surface("Log")
def test_x(): ...
"""
    assert list(marks_in(source, "tests/processes/test_x.py")) == [
        Mark("Send", "tests/processes/test_x.py::test_x", "same-shard", "tls"),
        Mark("Send", "tests/processes/test_x.py::test_x", "other-shard", "tls"),
        Mark("Log", "tests/processes/test_x.py::test_x", "same-shard", "plain"),
    ]


@pytest.mark.parametrize(
    ("path", "place", "way"),
    [
        ("tests/shard/test_x.py", "in-process", "plain"),
        ("tests/shard/test_tls_x.py", "in-process", "tls"),
        ("tests/processes/test_x.py", "same-shard", "plain"),
        ("tests/processes/test_tls_x.py", "same-shard", "tls"),
        ("tests/examples/test_demo.py", "same-shard", "plain"),
        ("tests/examples/test_do_events_echo_tls.py", "in-process", "tls"),
    ],
)
def test_the_file_says_so_for_marks_that_do_not(path: str, place: str, way: str) -> None:
    source = '@pytest.mark.surface("Send")\ndef test_x(): ...'
    assert list(marks_in(source, path)) == [Mark("Send", f"{path}::test_x", place, way)]


def test_a_mark_must_name_its_items_literally() -> None:
    source = "@pytest.mark.surface(NAME)\ndef test_x(): ..."
    with pytest.raises(SystemExit, match="literally"):
        list(marks_in(source, "x"))


def test_a_mark_of_no_item_place_or_way_is_told() -> None:
    wrong = [
        Mark("LocalProt", "x"),
        Mark("LocalPort", "x", "elsewhere"),
        Mark("LocalPort", "x", "same-shard", "pigeon"),
    ]
    assert unknown([*wrong, Mark("LocalPort", "x")]) == wrong


def test_an_item_counts_when_each_place_that_applies_has_a_test() -> None:
    everywhere = [
        Mark("Send", "a::b", place, way)
        for place in ("in-process", "same-shard", "other-shard")
        for way in ("plain", "tls")
    ]
    text = page([*everywhere, Mark("LocalPort", "a::b"), Mark("LocalPort", "c")])
    assert "**1 of 95** items are shown" in text
    assert "| Send | `send(id, data)` | plain 1, TLS 1 | plain 1, TLS 1 | plain 1, TLS 1 |" in text
    assert "| LocalPort | `local_port` | plain 2 | **not shown** | - |" in text
    assert "| LocalPort | `a::b`<br>`c` |" in text
    assert "Not shown everywhere: ConnectionBacklog, " in text
    partly = page(everywhere[1:])
    assert "| Send | `send(id, data)` | plain **not shown**, TLS 1 |" in partly


def test_what_applies_to_an_item() -> None:
    cells = {item.vendor: item.cells for item in ITEMS}
    assert cells["DoEvents"] == (("in-process", "plain"), ("in-process", "tls"))
    assert cells["LocalPort"] == (("in-process", "plain"), ("same-shard", "plain"))
    assert cells["UseSSL"] == (("in-process", "tls"), ("same-shard", "tls"))
    assert len(cells["WebSocketConnectionHost"]) == len(cells["MessageLength"]) == 6
    assert len(cells["SSLNegotiatedCipher"]) == 3


def test_the_marks_of_this_repository_name_real_items() -> None:
    assert unknown(surface.marks(surface.ROOT / "tests")) == []


def test_the_command_writes_and_checks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(surface, "ROOT", tmp_path)
    monkeypatch.setattr(surface, "PAGE", tmp_path / "docs" / "surface.md")
    tests = tmp_path / "tests"
    tests.mkdir()
    (tests / "test_x.py").write_text(SOURCE)
    assert surface.main(["--check"]) == 1
    assert "docs/surface.md is out of date" in capsys.readouterr().out
    assert surface.main([]) == 0
    assert surface.main(["--check"]) == 0
    (tests / "test_x.py").write_text(SOURCE.replace("SendText", "SendTxet"))
    assert surface.main([]) == 1
    assert "TestThree::test_four names 'SendTxet' (in-process, plain)" in capsys.readouterr().out
