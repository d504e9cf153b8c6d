"""TOML files: what is read, and every fault with its line."""

from pathlib import Path

import pytest

from shardws.errors import SettingError
from shardws.settings import Assignment, Settings, Source, table, tomlfile


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "shardws.toml"


GOOD = """\
# comment
local_port = 9001
"LocalHost" = "localhost"
log.level = 2

[server]
shards = "auto"   # comment
[tls]
use-ssl = true
sni_map = [
  "a.org=/a.pem",
]

[ messages ]
max_message_size = "2MiB"
"""


def test_a_file_gives_assignments_with_lines(path: Path) -> None:
    path.write_text(GOOD.replace("log.level", "logging.log_level"))
    assert tomlfile.read(str(path)) == [
        Assignment("local_port", 9001, Source.FILE, f"{path} line 2"),
        Assignment("local_host", "localhost", Source.FILE, f"{path} line 3"),
        Assignment("log_level", 2, Source.FILE, f"{path} line 4"),
        Assignment("shards", "auto", Source.FILE, f"{path} line 7"),
        Assignment("use_ssl", True, Source.FILE, f"{path} line 9"),
        Assignment("sni_map", ["a.org=/a.pem"], Source.FILE, f"{path} line 10"),
        Assignment("max_message_size", "2MiB", Source.FILE, f"{path} line 15"),
    ]
    assert tomlfile.check(str(path)) == []


def test_what_was_read_applies(path: Path) -> None:
    path.write_text("[listening]\nlocal_port = 9001\n")
    settings = Settings()
    settings.apply(tomlfile.read(str(path)))
    assert settings[table.LOCAL_PORT] == 9001
    assert settings.given(table.LOCAL_PORT).detail == f"{path} line 2"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "local_prot = 1",
            "'local_prot'; did you mean local_port? ({} line 1) (214)",
        ),
        ("[tls]\n\nuse_sls = true", "'use_sls'; did you mean use_ssl? ({} line 3) (214)"),
        ("[tsl]\nuse_ssl = true", "there is no table [tsl]; tables are listening, server,"),
        ("local_port = 1\nLocalPort = 2", "LocalPort is given twice ({} line 2) (213)"),
        ("local_port = 1\n[listening]\nlocal_port = 2", "is given twice ({} line 3) (213)"),
        ("connection_uid = 'x'", "ConnectionUID cannot be set in a file ({} line 1) (212)"),
        ("local_port = ", "{}: Invalid value"),
        ("local_port = 70000", "LocalPort: must be 0 to 65535, not 70000 ({} line 1) (213)"),
        ("[local_port]\nx = 1", "LocalPort: must be a whole number, not {{'x': 1}} ({}) (213)"),
        ("tls = {{use_sls = 1}}", "did you mean use_ssl? ({}) (214)"),
        ("proxy_protocol = 'v1'", "ProxyProtocol needs TrustedProxies"),
    ],
)
def test_a_fault_is_told_with_its_line(path: Path, text: str, problem: str) -> None:
    path.write_text(text.format())
    (told,) = tomlfile.check(str(path))
    assert problem.format(path) in told


def test_all_faults_are_told_and_reading_raises_the_first(path: Path) -> None:
    path.write_text("local_prot = 1\nlocal_port = 70000\nlog_levle = 1\nlocal_host = 'a'\n")
    problems = tomlfile.check(str(path))
    assert len(problems) == 3
    with pytest.raises(SettingError, match="local_prot") as caught:
        tomlfile.read(str(path))
    assert caught.value.code == 214


def test_a_file_that_cannot_be_opened_is_error_302(path: Path) -> None:
    with pytest.raises(SettingError, match="No such file") as caught:
        tomlfile.read(str(path))
    assert caught.value.code == 302
    assert tomlfile.check(str(path)) == [f"cannot open {path}: No such file or directory (302)"]


def test_a_file_that_is_not_utf8_is_refused(path: Path) -> None:
    path.write_bytes(b'local_host = "\xff"')
    assert tomlfile.check(str(path)) == [f"{path} is not UTF-8 (213)"]


def test_a_file_of_any_length_is_not_read(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(tomlfile.MAX_FILE + 1)
    assert "is longer than" in tomlfile.check(str(path))[0]


def test_a_mark_of_byte_order_is_no_part_of_the_file(path: Path) -> None:
    """Editors on Windows write one; it was an invalid statement."""
    path.write_bytes(b"\xef\xbb\xbflocal_port = 9\n")
    assert tomlfile.read(str(path))[0][1] == 9


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("local_port = " + "[" * 50_000, "is nested too deeply"),
        ("local_port = " + "9" * 5_000, "digits"),
        ("local_port = " + "[" * 200 + "]" * 200, "LocalPort: must be a whole number"),
    ],
)
def test_what_exhausts_the_parser_is_one_line(path: Path, text: str, words: str) -> None:
    """It was a traceback of RecursionError, or of int()."""
    path.write_text(text)
    (told,) = tomlfile.check(str(path))
    assert words in told
    assert len(told) < 500 + len(str(path))
