"""log: lines about clients name them in one way."""

import logging

import pytest

from shardws.log import shard_logger


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


@pytest.mark.parametrize("is_stranger", [True, False])
def test_a_line_that_anybody_can_cause_is_marked(
    is_stranger: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """The handler limits the number of such lines; it knows them by the mark alone."""
    caplog.set_level(logging.INFO, "shardws")
    log = shard_logger("shard", 3)
    log.about(Client("192.0.2.1"), logging.INFO, "refused %s", is_stranger=is_stranger)
    (record,) = caplog.records
    assert vars(record).get("is_stranger", False) is is_stranger
    assert vars(record)["connection_id"] == 7


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
