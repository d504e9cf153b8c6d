"""close_reasons: each row can be sent, and a shard is only told what it can drain for."""

import pytest

from shardws.close_reasons import (
    CLOSE_REASONS,
    CLOSE_UNANSWERED,
    DRAIN_REASONS,
    SERVER_FAILED,
    SERVER_RESTARTS,
    SERVER_STOPS,
    SHARD_DIED,
    CloseReason,
)
from shardws.errors import CLOSE_CODES, is_sendable_close_code
from shardws.protocol import closing
from shardws.wire import messages
from shardws.wire.codec import encode

TOLD_ONLY = (SHARD_DIED, CLOSE_UNANSWERED, SERVER_FAILED)  # by Disconnected, to the application
ROWS = list(CLOSE_REASONS.values())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_close_frame_can_carry_it(row: CloseReason) -> None:
    if row in TOLD_ONLY:
        assert not CLOSE_CODES[row.code].on_the_wire
        return
    assert is_sendable_close_code(row.code)
    closing.check(row.code, row.text)


def test_numbers_and_names_are_used_once() -> None:
    assert [row.number for row in ROWS] == list(range(1, len(ROWS) + 1))
    assert len({row.name for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_only_a_reason_to_drain_goes_to_a_shard(row: CloseReason) -> None:
    if row.number in DRAIN_REASONS:
        assert encode(messages.DRAIN, row.number, 0, 0)
    else:
        with pytest.raises(ValueError, match=f"DRAIN: {row.number} is no reason"):
            encode(messages.DRAIN, row.number, 0, 0)


def test_openings_are_finished_only_when_another_shard_serves() -> None:
    assert [row for row in ROWS if row.lets_openings_finish] == [SERVER_RESTARTS]
    assert {SERVER_STOPS.code, SERVER_RESTARTS.code} == {1001, 1012}
