"""resources: what is found before the first fork is told in words an operator can act on."""

import errno
import logging
import os
from types import SimpleNamespace
from typing import Any, cast

import pytest

from shardws.errors import StartError
from shardws_supervisor.resources import Resources
from shardws_supervisor.system.limits import Room


@pytest.mark.parametrize(
    ("limit", "level"), [(None, None), (64 << 20, logging.INFO), (16 << 20, logging.WARNING)]
)
def test_the_memory_of_the_control_group_is_told(
    caplog: pytest.LogCaptureFixture, limit: int | None, level: int | None
) -> None:
    resources: Any = SimpleNamespace(
        max_connections=2_000, room=Room(1_064, 1_000, 2_000), memory_limit=limit, is_tls=False
    )
    plan: Any = SimpleNamespace(shards=2, max_connections=0)
    with caplog.at_level(logging.INFO, "shardws.supervisor"):
        Resources.log_room(resources, plan)
    told = [record for record in caplog.records if "control group" in record.getMessage()]
    assert [record.levelno for record in told] == ([] if level is None else [level])
    if limit:
        assert told[0].getMessage().startswith(f"the control group allows {limit >> 20} MiB of mem")
        assert told[0].getMessage().endswith("2000 idle connections take about 32 MiB")


def test_no_memory_for_the_tables_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was a traceback of mmap."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    monkeypatch.setattr("shardws.shared_memory.mmap.mmap", refuse)
    with pytest.raises(StartError, match=r"no shared memory for 7 connections .*: Cannot allocate"):
        Resources._shared_memory(cast(Any, SimpleNamespace(room=Room(8, 7, 7))), 1)
