"""log: lines about clients name them in one way."""

import logging
import logging.config

import pytest

from shardws.log import (
    MOST_KINDS,
    MOST_MESSAGE,
    MOST_TRACEBACK,
    OTHERS,
    Adapter,
    LineLimiter,
    bound,
    escaped,
    shard_logger,
    shown,
)


class Client:
    def __init__(self, host: str) -> None:
        self.id = 7
        self.remote_host = host
        self.remote_port = 4711


@pytest.mark.parametrize(
    ("host", "shown"),
    [("192.0.2.1", "192.0.2.1:4711"), ("2001:db8::1", "[2001:db8::1]:4711")],
)
def test_a_line_about_a_client_has_its_address_and_id(
    host: str, shown: str, caplog: pytest.LogCaptureFixture
) -> None:
    """An IPv6 client read as 2001:db8::1:4711, which is another address."""
    caplog.set_level(logging.INFO, "shardws")
    shard_logger("shard", 3).about(Client(host), logging.INFO, "refused %s: %d", 403)
    (record,) = caplog.records
    assert record.getMessage() == f"refused {shown}: 403"
    assert vars(record)["connection_id"] == 7
    assert vars(record)["shard"] == 3
    assert record.pathname == __file__


def test_nothing_is_made_of_a_line_that_nobody_wants(caplog: pytest.LogCaptureFixture) -> None:
    class Gone(Client):
        remote_host = property(lambda self: pytest.fail("looked at"))

        def __init__(self) -> None:
            self.id = 7

    caplog.set_level(logging.WARNING, "shardws")
    shard_logger("shard", 3).about(Gone(), logging.INFO, "refused %s")
    assert not caplog.records


def test_who_watches_hears_of_lines_that_no_logger_wants(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.CRITICAL, "shardws")
    heard: list[tuple[int, int, str, str]] = []
    log = shard_logger("shard", 3)
    log.watch(lambda *line: heard.append(line), logging.INFO)
    log.about(Client("192.0.2.1"), logging.INFO, "opened for %s")
    log.debug("not this one")
    log.unwatched.info("nor this one")
    assert heard == [(7, logging.INFO, "opened for 192.0.2.1:4711", "shard")]


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_strangers_cause_ten_lines_of_a_kind_in_a_second(caplog: pytest.LogCaptureFixture) -> None:
    """620 bad requests filled the pipe of the log at the default level."""
    caplog.set_level(logging.INFO, "shardws")
    clock = Clock()
    log = Adapter(logging.getLogger("shardws.shard"), {}, clock)
    for number in range(12):
        log.stranger("bad requests", logging.INFO, "refused %d", number)
    log.stranger("violations", logging.WARNING, "another kind")
    assert [record.getMessage() for record in caplog.records] == [
        *(f"refused {number}" for number in range(10)),
        "another kind",
    ]
    caplog.clear()
    clock.now += 1.0
    log.about_stranger("bad requests", Client("192.0.2.1"), logging.INFO, "refused %s")
    log.sum_up()
    clock.now += 9.0
    log.sum_up()
    log.sum_up()
    assert [record.getMessage() for record in caplog.records] == [
        "refused 192.0.2.1:4711",
        "bad requests: and 2 more like it in the last 10 s",
    ]
    assert all(record.pathname == __file__ for record in caplog.records[:1])
    assert caplog.records[-1].levelno == logging.INFO


def test_at_the_end_what_was_left_out_is_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "shardws")
    log = Adapter(logging.getLogger("shardws.shard"), {}, Clock())
    for _ in range(13):
        log.stranger("violations", logging.WARNING, "broke it")
        log.stranger("quiet", logging.INFO, "nobody wants this line, so none is missing")
    log.sum_up(is_end=True)
    assert caplog.records[-1].getMessage() == "violations: and 3 more like it in the last 1 s"
    assert len(caplog.records) == 11


def test_kinds_are_bounded() -> None:
    limiter = LineLimiter(most=1)
    for number in range(MOST_KINDS + 5):
        assert limiter.admits(f"kind {number}", logging.INFO, 0.0) is (number <= MOST_KINDS)
    (left,) = limiter.take(0.0, is_end=True)
    assert (left.kind, left.count) == (OTHERS, 4)


@pytest.mark.parametrize(
    ("text", "as_shown"),
    [
        ("plain", "'plain'"),
        ("a\r\nb\x1b[31m\x85", r"'a\r\nb\x1b[31m\x85'"),
        ("é" * 3, r"'\xe9\xe9\xe9'"),
        ("x" * 300, "'" + "x" * 200 + "'..."),
    ],
)
def test_text_of_a_stranger_is_escaped_and_bounded(text: str, as_shown: str) -> None:
    assert shown(text) == as_shown


@pytest.mark.parametrize(
    ("text", "as_shown"),
    [
        ("plain é 漢", "plain é 漢"),
        ("\x1b[31mred\x7f", "\\x1b[31mred\\x7f"),
        ("a\nb\r\x00\t", "a\\x0ab\\x0d\\x00\\x09"),
        ("\x9b2J", "\\x9b2J"),
        ("\u202eevil\u2028\u2066", "\\u202eevil\\u2028\\u2066"),
        ("\ud800", "\\ud800"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_what_cannot_be_printed_is_escaped(text: str, as_shown: str) -> None:
    assert escaped(text) == as_shown


def test_a_record_is_bounded_whoever_formats_it(caplog: pytest.LogCaptureFixture) -> None:
    """A host program's handlers got whatever text an application's exception had."""
    log = shard_logger("shard", 3)
    try:
        raise ValueError("word " * 100_000 + "\n" + "line\n" * 100_000 + "the end")
    except ValueError as error:
        log.error("failed: %s", "x" * 100_000, exc_info=error)
    (record,) = caplog.records
    assert record.getMessage() == "failed: " + "x" * (MOST_MESSAGE - 8) + "..."
    text = logging.Formatter("%(message)s").format(record)
    assert len(text) < MOST_MESSAGE + MOST_TRACEBACK + 200
    assert "Traceback (most recent call last)" in text
    assert text.endswith("line\nthe end")


def test_an_exception_without_a_traceback_is_told(caplog: pytest.LogCaptureFixture) -> None:
    class Evil(Exception):
        def __getattribute__(self, name: str) -> object:
            raise RuntimeError

    shard_logger("shard", 3).error("failed", exc_info=(Evil, Evil(), None))
    assert "Evil (its traceback cannot be had: RuntimeError)" in logging.Formatter(
        "%(message)s"
    ).format(caplog.records[0])


def test_a_line_with_wrong_arguments_is_its_handlers_affair() -> None:
    record = logging.LogRecord("shardws.shard", logging.ERROR, "", 0, "%d", ("x",), None)
    assert bound(record)
    assert record.msg == "%d"


@pytest.mark.parametrize("disables", [True, False])
def test_logging_that_is_configured_late_is_the_applications_choice(disables: bool) -> None:
    """As docs/topics/supervisor.md says; on_log is told all the same."""
    heard: list[str] = []
    log = shard_logger("late", 3)
    log.watch(lambda _id, _level, text, _name: heard.append(text), logging.INFO)
    one = logging.getLogger("shardws.late")
    others = [logging.getLogger(name) for name in logging.root.manager.loggerDict]
    before = [(other, other.disabled) for other in others]
    try:
        logging.config.dictConfig(
            {"version": 1, "disable_existing_loggers": disables, "incremental": False}
        )
        log.info("told")
        assert one.disabled is disables
    finally:
        for other, was_disabled in before:
            other.disabled = was_disabled
    assert heard == ["told"]
