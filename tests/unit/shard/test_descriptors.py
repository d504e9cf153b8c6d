"""descriptors: room for clients, and one line when it ends and when it is there again."""

import logging
import os
import resource

import pytest

from shardws.log import shard_logger
from shardws.shard import descriptors
from shardws.shard.descriptors import LOOKS, OWN, RESPONDING, SPARE, Descriptors

LOG = shard_logger("shard", 0)


class Process:
    """A process that has opened so many."""

    def __init__(self, opened: int) -> None:
        self.opened = opened

    def count(self) -> int:
        return self.opened


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "shardws")
    return caplog


def test_without_a_word_of_the_kernel_the_usual_share_is_kept_back() -> None:
    made = Descriptors(LOG, 1024, 5000, lambda: 0)
    assert made.room == 1024 - OWN
    made.look(900)
    assert made.room == 1024 - OWN


def test_what_is_open_besides_clients_is_not_room_for_them() -> None:
    process = Process(100 + 20)
    made = Descriptors(LOG, 1024, 5000, process.count)
    made.look(100)
    assert made.room == 1024 - 20 - SPARE
    process.opened += 300  # of the application
    for _ in range(LOOKS):
        made.look(100)
    assert made.room == 1024 - 320 - SPARE


def test_sockets_that_are_no_clients_yet_do_not_count_as_others() -> None:
    process = Process(20)
    made = Descriptors(LOG, 1024, 5000, process.count)
    made.look(0)
    process.opened = 20 + 500  # accepted together
    made.look(0)
    assert made.room == 1024 - 20 - SPARE


def test_no_more_than_are_wanted_and_no_less_than_none() -> None:
    assert Descriptors(LOG, 1024, 500, lambda: 20).room == 500
    made = Descriptors(LOG, 100, 500, lambda: 99)
    made.look(0)
    assert made.room == 0


def test_a_refused_client_waits_for_its_answer_while_some_are_left() -> None:
    made = Descriptors(LOG, 1024, 500, lambda: 0)
    assert made.allow_response(1024 - OWN + RESPONDING)
    assert not made.allow_response(1024 - OWN + RESPONDING + 1)


def test_one_line_when_they_end_and_one_when_they_are_there_again(
    lines: pytest.LogCaptureFixture,
) -> None:
    made = Descriptors(LOG, 1024, 5000, lambda: 0)
    for clients in (961, 962, 961):
        made.refuse(clients)
        made.look(clients - 1)  # one leaves and one comes: that is no end of it
    assert lines.messages == [
        "out of descriptors: RLIMIT_NOFILE 1024 leaves room for 960 clients here;"
        " 961 are connected, more are refused (raise it: ulimit -n, LimitNOFILE=)"
    ]
    lines.clear()
    made.look(960 - SPARE)
    made.look(960 - SPARE)
    assert lines.messages == ["descriptors are free again; 3 clients were refused"]
    made.refuse(961)
    assert len(lines.messages) == 2


def test_a_small_limit_has_its_end_too(lines: pytest.LogCaptureFixture) -> None:
    made = Descriptors(LOG, 70, 5000, lambda: 0)
    assert made.room == 6
    made.refuse(7)
    made.look(6)
    assert lines.messages[-1].startswith("descriptors are free again")


def test_what_this_process_has() -> None:
    before = descriptors.open_now()
    extra = os.open("/dev/null", os.O_RDONLY)
    try:
        assert descriptors.open_now() == (before + 1 if before else 0)
    finally:
        os.close(extra)


def test_no_proc_is_no_word(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(path: str) -> os.stat_result:
        raise FileNotFoundError(2, path)

    monkeypatch.setattr(os, "stat", nothing)
    assert descriptors.open_now() == 0


@pytest.mark.parametrize(("soft", "limit"), [(300, 300), (resource.RLIM_INFINITY, 1 << 20)])
def test_the_limit_is_the_soft_one(monkeypatch: pytest.MonkeyPatch, soft: int, limit: int) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, resource.RLIM_INFINITY))
    assert descriptors.limit_now() == limit


def test_without_any_room_nothing_is_said_to_be_free_again(lines: pytest.LogCaptureFixture) -> None:
    """The application holds them all: a line for each tick, in turns."""
    process = Process(1024)
    made = Descriptors(LOG, 1024, 5000, process.count)
    for _ in range(LOOKS):
        made.look(0)
    assert made.room == 0
    made.refuse(1)
    made.look(0)
    assert "free again" not in lines.text
    process.opened = 20
    made.look(0)
    assert "descriptors are free again; 1 clients were refused" in lines.text
