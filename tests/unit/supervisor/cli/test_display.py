"""display: short numbers, aligned columns, rates between two reports."""

from typing import Any

import pytest

from shardws_supervisor.cli import display


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0"), (999, "999"), (1000, "1.0k"), (12_345, "12.3k"), (123_456, "123k"), (4.5e6, "4.5M"),
     (7e12, "7.0T"), (5e16, "50000T")],
)  # fmt: skip
def test_count(value: float, shown: str) -> None:
    assert display.count(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(0, "0"), (1023, "1023"), (1024, "1.0Ki"), (40 << 20, "40.0Mi")]
)
def test_size(value: float, shown: str) -> None:
    assert display.size(value) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.9, "0s"),
        (59.9, "59s"),
        (61, "1m01s"),
        (3600, "1h00m"),
        (90_061, "1d01h"),
        (1e7, "115d17h"),
    ],
)
def test_duration(seconds: float, shown: str) -> None:
    assert display.duration(seconds) == shown


@pytest.mark.parametrize(
    ("microseconds", "shown"), [(0, "0us"), (999, "999us"), (1500, "1.5ms"), (2_300_000, "2.3s")]
)
def test_lag(microseconds: int, shown: str) -> None:
    assert display.lag(microseconds) == shown


def shard(number: int, messages: int = 0, **fields: Any) -> dict[str, Any]:
    return {
        "shard": number, "state": "ready", "pid": 100 + number, "uptime": 61.0, "restarts": 0,
        "connections": 2, "messages_in": messages, "messages_out": messages, "bytes_in": 0,
        "bytes_out": 1024 * messages, "loop_lag": 250, "queue_bytes": 1000, "link_bytes": 24,
        "rss": 30 << 20, "cpu_seconds": messages / 1000, "last_end": "", **fields,
    }  # fmt: skip


def report(uptime: float, *shards: dict[str, Any], **fields: Any) -> dict[str, Any]:
    totals = {
        "connections": 4,
        "messages_in": 1234,
        "messages_out": 5,
        "bytes_in": 0,
        "bytes_out": 9,
    }
    return {
        "url": "ws://127.0.0.1:9001", "phase": "serving", "ready": True, "pid": 99,
        "uptime": uptime, "max_connections": 1000, "totals": totals, "shards": list(shards),
        "reload_outcome": "", "auxiliaries": [], **fields,
    }  # fmt: skip


def test_rates_need_two_reports() -> None:
    rates = display.Rates()
    assert rates.update(report(10.0, shard(0, 100))) == {}
    assert rates.update(report(12.0, shard(0, 300), shard(1, 5))) == {
        0: {"messages": 200.0, "in": 0.0, "out": 102_400.0, "cpu": pytest.approx(10.0)}
    }
    assert set(rates.update(report(13.0, shard(0, 300), shard(1, 5)))) == {0, 1}


def test_rates_never_fall_below_zero() -> None:
    """CPU time belongs to a process: it begins anew with the next one."""
    rates = display.Rates()
    rates.update(report(10.0, shard(0, 100)))
    assert rates.update(report(11.0, shard(0, 100, cpu_seconds=0.0)))[0]["cpu"] == 0.0


def test_the_picture_without_rates() -> None:
    assert display.status(report(3661.0, shard(0), shard(1, pid=0)), {}) == [
        "ws://127.0.0.1:9001  serving  pid 99  up 1h01m",
        "4 of 1000 connections  1.2k messages in  5 out  0B in  9B out",
        "",
        "SHARD  STATE  PID  UPTIME  RESTARTS  CONNS  MSG/S"
        "  IN/S  OUT/S    LAG  QUEUE     RSS  CPU%",
        "0      ready  100   1m01s         0      2      -"
        "     -      -  250us  1.0Ki  30.0Mi     -",
        "1      ready    -   1m01s         0      2      -"
        "     -      -  250us  1.0Ki  30.0Mi     -",
    ]


def test_the_picture_with_rates_and_news() -> None:
    rate = {"messages": 1500.0, "in": 10.0, "out": 2048.0, "cpu": 99.6}
    text = display.status(
        report(
            1.0,
            shard(0, last_end="was killed by SIGKILL"),
            ready=False,
            phase="draining",
            reload_outcome="reloaded: 1 shards replaced",
        ),
        {0: rate},
    )
    assert text[0] == "ws://127.0.0.1:9001  draining, not ready  pid 99  up 1s"
    assert text[4].split()[6:9] == ["1.5k", "10", "2.0Ki"]
    assert text[4].split()[-1] == "100"
    assert text[5:] == ["", "shard 0 last was killed by SIGKILL", "", "reloaded: 1 shards replaced"]


def test_the_children_that_are_no_shards() -> None:
    admin = {"name": "admin", "pid": 7, "uptime": 61.0, "restarts": 0, "last_end": ""}
    dead = {**admin, "name": "acceptor", "pid": 0, "restarts": 2, "last_end": "exited with 3"}
    text = display.status(report(1.0, shard(0), auxiliaries=[dead, admin]), {})
    assert text[5:] == [
        "",
        "acceptor  not running  2 restarts  last exited with 3",
        "admin  pid 7  up 1m01s",
    ]


def row(**fields: Any) -> dict[str, Any]:
    return {
        "id": 12345, "shard": 1, "address": "[::1]", "port": 50000, "silent": 61.0,
        "ping": 0.0015, "queue_bytes": 2048, "groups": 2, "resumed": 3, "path": "/chat",
        **fields,
    }  # fmt: skip


def test_a_list_of_connections() -> None:
    assert display.connections({"total": 1, "connections": [row()]}) == [
        "ID     SHARD      ADDRESS  SILENT   PING  QUEUE  GROUPS  RESUMED   PATH",
        "12345  1      [::1]:50000   1m01s  1.5ms  2.0Ki       2        3  /chat",
        "1 connections",
    ]
    assert display.connections({"total": 900, "connections": [row()]})[-1] == "1 of 900 connections"
    assert display.connections({"total": 0, "connections": []})[1:] == ["0 connections"]


def test_a_path_of_a_client_cannot_play_with_the_terminal() -> None:
    shown = display.connections({"total": 1, "connections": [row(path="/\x1b[2J\n")]})[1]
    assert shown.endswith("/\\x1b[2J\\x0a")


def test_one_connection_is_shown_on_a_line_for_each_fact() -> None:
    report = {"id": 5, "origin": "http://a", "group_names": ["a", "b"], "more_groups": 998}
    assert display.connection(report) == [
        "id           5",
        "origin       http://a",
        "group_names  a, b and 998 more",
    ]
