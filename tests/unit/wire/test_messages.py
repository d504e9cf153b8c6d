"""The table itself: what must hold for every row."""

import pytest

from shardws.outcomes import Outcome
from shardws.wire import messages
from shardws.wire.messages import ALLOWED, BY_NUMBER, COUNTABLE, FIXED, MESSAGES, REST, TEXT


def test_numbers_and_names_are_unique() -> None:
    assert len(BY_NUMBER) == len(MESSAGES) == len({row.name for row in MESSAGES})


@pytest.mark.parametrize("row", MESSAGES, ids=lambda row: row.name)
def test_row_is_complete(row: messages.Message) -> None:
    assert getattr(messages, row.name) == row.number
    assert 0 < row.number < 256
    assert row.text
    assert row.senders & (messages.SHARD | messages.SUPERVISOR | messages.ADMIN)
    assert all(kind in FIXED or kind in REST or kind == TEXT for _, kind in row.fields)


def test_countable_messages_name_a_connection() -> None:
    assert all(BY_NUMBER[number].fields[0][0] == "connection_id" for number in COUNTABLE)


def test_outcomes_on_the_wire_are_the_enumeration() -> None:
    assert ALLOWED["outcome"] == set(Outcome)


def test_only_the_supervisor_commands() -> None:
    for number in (messages.PEERS, messages.DRAIN, messages.STOP):
        assert BY_NUMBER[number].senders == messages.SUPERVISOR
