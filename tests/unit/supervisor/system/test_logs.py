"""logs: one line per record, to stderr or to a file that may be moved or full."""

import json
import logging
import os
from pathlib import Path

import pytest

from shardws import log
from shardws.errors import StartError
from shardws_supervisor.system import logs
from shardws_supervisor.system.log_formats import BLOCK
from tests.unit.supervisor.over_exec import over_exec

pytestmark = pytest.mark.usefixtures("unconfigured_logs")


def test_a_text_line_carries_shard_and_id(tmp_path: Path) -> None:
    logs.configure(1, "text", str(tmp_path / "log"))
    log.shard_logger("net", 3).warning("gone: %s", "x", extra={"connection_id": 77})
    line = (tmp_path / "log").read_text()
    assert line.endswith("Z warning shardws.net shard=3 id=77: gone: x\n")
    assert line[4] == "-"


def test_a_plain_record(tmp_path: Path) -> None:
    logs.configure(1, "text", str(tmp_path / "log"))
    log.logger("supervisor").info("hello")
    assert (tmp_path / "log").read_text().endswith("Z info shardws.supervisor: hello\n")


def test_a_json_line(tmp_path: Path) -> None:
    logs.configure(1, "json", str(tmp_path / "log"))
    log.shard_logger("net", 3).info("two\nlines é", extra={"connection_id": 77})
    text = (tmp_path / "log").read_text()
    assert text.count("\n") == 1
    line = json.loads(text)
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "info",
        "logger": "shardws.net",
        "pid": os.getpid(),
        "message": "two\nlines é",
        "shard": 3,
        "connection_id": 77,
    }


@pytest.mark.parametrize("style", ["text", "json"])
def test_an_exception_is_told(tmp_path: Path, style: str) -> None:
    logs.configure(1, style, str(tmp_path / "log"))
    try:
        raise RuntimeError("boom")
    except RuntimeError:
        log.logger("x").exception("it went wrong")
    assert "RuntimeError: boom" in (tmp_path / "log").read_text()


@pytest.mark.parametrize(
    ("level", "seen"),
    [(0, ["warning"]), (1, ["warning", "info"]), (3, ["warning", "info", "debug"])],
)
def test_levels(tmp_path: Path, level: int, seen: list[str]) -> None:
    logs.configure(level, "json", str(tmp_path / "log"))
    for word in ("warning", "info", "debug"):
        getattr(log.logger("x"), word)("said")
    lines = (tmp_path / "log").read_text().splitlines()
    assert [json.loads(line)["level"] for line in lines] == seen


def test_a_file_that_was_moved_away_is_opened_anew(tmp_path: Path) -> None:
    logs.configure(1, "text", str(tmp_path / "log"))
    log.logger("x").info("first")
    (tmp_path / "log").rename(tmp_path / "log.1")
    log.logger("x").info("second")
    assert "first" in (tmp_path / "log.1").read_text()
    assert "second" not in (tmp_path / "log.1").read_text()
    assert "second" in (tmp_path / "log").read_text()


def test_a_file_that_was_replaced_is_opened_anew(tmp_path: Path) -> None:
    handler = logs.configure(1, "text", str(tmp_path / "log"))
    (tmp_path / "log").rename(tmp_path / "log.1")
    (tmp_path / "log").touch()
    log.logger("x").info("second")
    assert "second" in (tmp_path / "log").read_text()
    assert os.fstat(handler.fileno()).st_ino == (tmp_path / "log").stat().st_ino


def test_when_it_cannot_be_opened_anew_the_old_file_goes_on(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "d").mkdir()
    logs.configure(1, "text", str(tmp_path / "d" / "log"))
    (tmp_path / "d").rename(tmp_path / "e")
    log.logger("x").info("still here")
    assert "still here" in (tmp_path / "e" / "log").read_text()
    assert "cannot be opened: No such file" in capfd.readouterr().err


def test_a_file_that_cannot_be_opened_at_the_start_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="cannot be opened: Is a directory") as caught:
        logs.configure(1, "text", str(tmp_path))
    assert caught.value.code == 302


@pytest.mark.parametrize("style", ["text", "json"])
def test_a_full_disk_costs_lines_that_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], style: str
) -> None:
    handler = logs.configure(1, style, str(tmp_path / "log"))
    full = os.open("/dev/full", os.O_WRONLY)
    monkeypatch.setattr(handler, "_follow", lambda: None)
    good, handler._file = handler._file, full
    log.logger("x").info("lost")
    log.logger("x").info("lost too")
    assert handler.lost == 2
    told = f"shardws: log file {tmp_path / 'log'} cannot be written: No space left on device\n"
    assert capfd.readouterr().err == told  # once
    handler._file = good
    log.logger("x").info("back")
    first, second = (tmp_path / "log").read_text().splitlines()
    assert "2 log lines were lost" in first
    assert "warning" in first
    assert "shardws.logs" in first
    assert "back" in second
    assert handler.lost == 0
    if style == "json":
        assert json.loads(first)["message"] == "2 log lines were lost"
    os.close(full)


def test_a_line_that_is_written_in_part_does_not_run_into_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs.configure(1, "text", str(tmp_path / "log"))
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:20]))
    log.logger("x").info("torn")
    monkeypatch.setattr(os, "write", write)
    log.logger("x").info("whole")
    torn, lost, whole = (tmp_path / "log").read_text().splitlines()
    assert len(torn) == 20
    assert lost.endswith("warning shardws.logs: 1 log lines were lost")
    assert whole.endswith("info shardws.x: whole")


def test_a_record_with_wrong_arguments_harms_nobody(tmp_path: Path) -> None:
    logs.configure(1, "text", str(tmp_path / "log"))
    log.logger("x").info("%d things", "no number")
    assert "unprintable log record: '%d things'" in (tmp_path / "log").read_text()


def test_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    handler = logs.configure(1, "text", "")
    log.logger("x").info("there")
    handler.reopen()
    assert "there" in capfd.readouterr().err


def test_configuring_again_replaces_the_handler(tmp_path: Path) -> None:
    logs.configure(1, "text", str(tmp_path / "one"))
    logs.configure(1, "text", str(tmp_path / "two"))
    log.logger("x").info("once")
    assert (tmp_path / "one").read_text() == ""
    assert (tmp_path / "two").read_text().count("once") == 1


def test_what_the_loop_complains_of_comes_with_the_rest(tmp_path: Path) -> None:
    """An exception in a callback was a bare text on stderr, and not in the log file at all."""
    logs.configure(0, "text", str(tmp_path / "old"))
    logs.configure(0, "text", str(tmp_path / "log"))
    logging.getLogger("asyncio").error("Exception in callback")
    assert (tmp_path / "log").read_text().endswith("Z error asyncio: Exception in callback\n")
    assert (tmp_path / "old").read_text() == ""


@pytest.mark.parametrize("style", ["text", "json"])
def test_no_text_of_others_looks_like_a_line_of_ours(tmp_path: Path, style: str) -> None:
    """An exception could forge lines, and give orders to the terminal that shows them."""
    forged = (
        "x\n2026-01-31T12:00:00.000Z info shardws.room: all is well\x1b[2J\x9b1m\u2028\u202e\r\x00"
    )
    logs.configure(1, style, str(tmp_path / "log"))
    log.logger("x").info("said: %s", forged)
    try:
        raise RuntimeError(forged)
    except RuntimeError:
        log.logger("x").exception("it went wrong")
    text = (tmp_path / "log").read_text()
    lines = text.split("\n")
    assert not any(
        line.startswith("2026-01-31T12:00:00.000Z info shardws.room: all") for line in lines
    )
    assert text.replace("\n", "").isprintable()
    if style == "json":
        assert json.loads(lines[0])["message"] == f"said: {forged}"
        assert forged in json.loads(lines[1])["exception"]
    else:
        assert "\\x1b[2J\\x9b1m\\u2028" in lines[0]
        assert all(line.startswith("    ") for line in lines[2:-1])


@pytest.mark.parametrize("style", ["text", "json"])
@pytest.mark.parametrize("name", ["shardws.x", "asyncio"])
def test_a_record_is_bounded(tmp_path: Path, style: str, name: str) -> None:
    """A client chose the size of a line, by way of the exception that quotes its message."""
    logs.configure(1, style, str(tmp_path / "log"))
    words = "a word " * 200_000
    try:
        raise RuntimeError(f"{words}\n{words}" + "\nx" * 100_000)
    except RuntimeError:
        logging.getLogger(name).exception("said: %s", words)
    text = (tmp_path / "log").read_text()
    assert len(text) < 60_000  # short lines, each indented
    assert "characters are left out" in text


def test_a_text_of_several_lines_below_a_record(tmp_path: Path) -> None:
    logs.configure(1, "text", str(tmp_path / "log"))
    log.logger("x").info("see", extra={BLOCK: "Traceback\n  File"})
    assert (tmp_path / "log").read_text().endswith(": see\n    Traceback\n      File\n")


def test_lines_for_a_pipe_that_nobody_reads_are_lost_and_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A write waited for a reader, and with it the supervisor and all shards."""
    reader, writer = os.pipe()
    monkeypatch.setattr(logs, "STDERR", writer)
    handler = logs.configure(1, "text", "")
    while not handler.lost:
        log.logger("x").info("a line")
    pid = os.fork()
    if pid == 0:
        for _ in range(10):
            log.logger("x").info("one of a child")
        os._exit(0)
    os.waitpid(pid, 0)
    mine = handler.lost
    assert handler.count_lost() == mine + 10
    os.read(reader, 1 << 20)
    log.logger("x").info("back")
    told, back = os.read(reader, 1 << 20).decode().splitlines()[-2:]
    assert told.endswith(f"warning shardws.logs: {mine} log lines were lost")
    assert back.endswith(": back")
    log.logger("x").info("and no word of it again")
    assert os.read(reader, 1 << 20).count(b"\n") == 1
    assert handler.count_lost() == mine + 10
    handler.give_back()
    for file in (reader, writer):
        os.close(file)


def test_configuring_again_leaves_no_descriptor(tmp_path: Path) -> None:
    logs.configure(1, "text", str(tmp_path / "log"))
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        logs.configure(1, "text", str(tmp_path / "log"))
    assert len(os.listdir("/proc/self/fd")) == before


def test_lost_lines_are_counted_over_an_exec(tmp_path: Path) -> None:
    """The shards go on counting in the same eventfd."""
    handler = logs.configure(1, "text", str(tmp_path / "log"))
    handler._lose(OSError(28, "no space"))
    assert handler.count_lost() == 1
    kept = over_exec(handler.keep())
    handler._lose(OSError(28, "no space"))
    again = logs.configure(1, "text", str(tmp_path / "log"), kept)
    assert again.count_lost() == 2
