"""Environment and command line, and the order of all sources."""

import argparse
from pathlib import Path

import pytest

from shardws.settings import Assignment, Settings, Source, table
from shardws.settings.sources import (
    DESTINATION,
    add_options,
    assignments,
    from_environment,
    gather,
)
from shardws.settings.table import ROWS


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(allow_abbrev=False)
    made.add_argument("reference", nargs="?")
    add_options(made)
    return made


def test_variables_are_assignments() -> None:
    given, warnings = from_environment(
        {"SHARDWS_LOCAL_PORT": "9001", "SHARDWS_USESSL": "on", "PATH": "/", "shardws_node": "1"}
    )
    assert given == [
        Assignment("local_port", "9001", Source.ENV, "SHARDWS_LOCAL_PORT"),
        Assignment("use_ssl", "on", Source.ENV, "SHARDWS_USESSL"),
    ]
    assert warnings == []


@pytest.mark.parametrize(
    ("variable", "warning"),
    [
        ("SHARDWS_LOCAL_PROT", "; did you mean SHARDWS_LOCAL_PORT?"),
        ("SHARDWS_XYZZY", "is ignored"),
        ("SHARDWS_CONNECTION_UID", "is ignored"),
        ("SHARDWS_CONECTION_UID", "is ignored"),
    ],
)
def test_an_unknown_variable_is_a_warning(variable: str, warning: str) -> None:
    given, warnings = from_environment({variable: "1"})
    assert given == []
    (told,) = warnings
    assert told.startswith(f"{variable} is no setting")
    assert told.endswith(warning)


def test_reserved_variables_are_neither() -> None:
    assert from_environment({"SHARDWS_CONFIG": "x", "SHARDWS_CODEC": "python"}) == ([], [])


def test_options_are_assignments_by_the_rows() -> None:
    namespace = parser().parse_args(
        ["--local-port", "9001", "--use-ssl", "--no-tcp-no-delay", "a:b", "--run-dir", "/r"]
    )
    assert namespace.reference == "a:b"
    settings = Settings()
    settings.apply(assignments(namespace))
    assert settings[table.LOCAL_PORT] == 9001
    assert settings[table.USE_SSL] is True
    assert settings[table.TCP_NO_DELAY] is False
    assert settings[table.RUN_DIRECTORY] == "/r"
    assert settings.given(table.RUN_DIRECTORY).detail == "--run-dir"
    assert len(settings.explicit()) == 4


def test_options_not_given_assign_nothing() -> None:
    assert assignments(parser().parse_args([])) == []


def test_every_option_is_offered_and_explained() -> None:
    text = " ".join(parser().format_help().split())
    for row in ROWS:
        assert not row.option or f" {row.option}" in text
        if row.sensitive:
            assert row.name.replace("_", "-") not in text
    assert "(default: 1MiB)" in text
    assert "(default: none)" in text


def test_destinations_take_no_other_name() -> None:
    namespace = parser().parse_args(["--node", "3"])
    assert vars(namespace) == {"reference": None, f"{DESTINATION}node": "3"}


def test_flags_beat_environment_beats_file(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text("local_port = 1\nnode = 1\nlog_level = 1\n")
    environ = {"SHARDWS_NODE": "2", "SHARDWS_LOG_LEVEL": "2", "SHARDWS_XYZZY": ""}
    namespace = parser().parse_args(["--log-level", "3"])
    for given, warnings in (
        gather(namespace, environ, str(path)),
        gather(namespace, environ | {"SHARDWS_CONFIG": str(path)}),
    ):
        settings = Settings()
        settings.apply(given)
        rows = (table.LOCAL_PORT, table.NODE, table.LOG_LEVEL)
        assert [settings[row] for row in rows] == [1, 2, 3]
        assert [settings.source(row) for row in rows] == [Source.FILE, Source.ENV, Source.FLAG]
        assert len(warnings) == 1


def test_without_a_file_none_is_read() -> None:
    assert gather(parser().parse_args([]), {}) == ([], [])
