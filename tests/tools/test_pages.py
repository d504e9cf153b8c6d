"""The generated pages: complete, and the sample file is a file that works."""

import re
import tomllib
from pathlib import Path

from shardws.errors import CLOSE_CODES, ERROR_CODES, EXIT_CODES
from shardws.metrics import METRICS
from shardws.settings import Settings, table, tomlfile
from shardws.settings.table import ROWS
from tools import pages


def uncommented() -> str:
    return re.sub(r"^#(?=\w+ = )", "", pages.sample_file(), flags=re.MULTILINE)


def test_the_sample_as_it_is_sets_nothing() -> None:
    document = tomllib.loads(pages.sample_file())
    assert all(value == {} for value in document.values())


def test_the_sample_uncommented_gives_every_default(tmp_path: Path) -> None:
    path = tmp_path / "sample.toml"
    path.write_text(uncommented())
    assert tomlfile.check(str(path)) == []
    settings = Settings()
    settings.apply(tomlfile.read(str(path)))
    assert set(settings.explicit()) == {row.name for row in ROWS if row.is_settable}
    assert all(settings[row] == row.default for row in ROWS)


def test_the_settings_page_has_each_row_once_with_its_ways() -> None:
    page = pages.settings_page()
    for row in ROWS:
        assert page.count(f"\n### {row.vendor}\n") == 1
        assert page.count(f"](#{row.vendor.lower()})") == 1
        assert row.text in page
        for way in (row.option, row.variable):
            assert not way or f"`{way}`" in page
    assert f'`config("{table.MESSAGE_LENGTH.vendor}[ConnectionId]")`' in page


def section(vendor: str) -> str:
    return pages.settings_page().partition(f"\n### {vendor}\n")[2].partition("\n###")[0]


def test_a_section_tells_type_bounds_default_and_time() -> None:
    assert "Type: int, in connections, 0 to 65535; default `4096` (IPWorks: `5`)" in section(
        "ConnectionBacklog"
    )
    assert "refused while listening with error 106" in section("LocalPort")
    assert "with error 104" in section("UseSSL")
    assert "with error 211" in section("Shards")
    assert "choice, wait, drop, close" in section("OutPolicy")
    assert "read-only (212)" in section("ConnectionUID")
    assert "; write-only" in section("AdminToken")
    assert "Secret: never shown" in section("AdminToken")
    assert "Applied by: nothing" in section("UseIOCP")


def test_the_codes_page_has_every_code() -> None:
    page = pages.codes_page()
    for number in (*ERROR_CODES, *CLOSE_CODES, *EXIT_CODES):
        assert f"\n| {number} |" in page
    assert "EADDRINUSE" in page


def test_the_metrics_page_has_every_metric_once_with_its_key() -> None:
    page = pages.metrics_page()
    for metric in METRICS:
        (line,) = (line for line in page.splitlines() if f"| `{metric.sample}` |" in line)
        assert metric.text in line
        assert f"`{metric.key}`" in line or not metric.key
    assert "| gauge | seconds |" in page.partition("`shardws_loop_lag_seconds`")[2]
    assert "| max | `loop_lag` (microseconds) |" in page


def test_a_bar_does_not_end_a_cell() -> None:
    assert "`N\\|auto`" not in pages.settings_page()
    assert pages.markdown_table(("a|b",), []) == "| a\\|b |\n| --- |\n"
