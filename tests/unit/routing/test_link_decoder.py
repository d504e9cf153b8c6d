"""A link's decoder against the table's, which decodes each message by itself."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shardws.errors import WireError
from shardws.outcomes import GONE, QUEUED
from shardws.routing.link_decoder import RUN, LinkDecoder
from shardws.wire import messages as m
from shardws.wire.codec import encode
from tests.unit.protocol.random_streams import Input
from tests.unit.routing.link_streams import stream
from tests.unit.routing.links_contract import (
    LIMIT,
    SENDERS,
    check_agreement,
    each_implementation,
    expanded,
)
from tests.unit.wire.test_codec import INVALID, VALID

ORDINARY = [message for message in VALID if m.BY_NUMBER[message[0]].senders & SENDERS]


@each_implementation
@pytest.mark.parametrize("step", [1, 3, 17, 10_000])
def test_every_message_in_any_reads(links: Any, step: int) -> None:
    data = b"".join([encode(*message) for message in ORDINARY])
    check_agreement(links, data, [step] * (len(data) // step))


@each_implementation
@pytest.mark.parametrize("data", INVALID.values(), ids=INVALID)
@pytest.mark.parametrize("step", [1, 10_000])
def test_what_is_invalid_behind_a_run(links: Any, data: bytes, step: int) -> None:
    data = encode(m.DELIVER, 1, 1, b"text") * 2 + data
    check_agreement(links, data, [step] * (len(data) // step))


@each_implementation
@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=400), cuts=st.lists(st.integers(0, 60), max_size=12))
def test_any_stream_in_any_reads(links: Any, data: bytes, cuts: list[int]) -> None:
    check_agreement(links, stream(Input(data)), cuts)
    check_agreement(links, data, cuts)


def test_delivers_that_follow_one_another_are_one_run() -> None:
    one, other = (m.DELIVER, 7, 1, b"one"), (m.DELIVER, 8, 2, b"")
    data = encode(*one) + encode(*other) + encode(m.SYNC, 2) + encode(*one)
    messages = LinkDecoder(LIMIT, SENDERS).feed(data)
    assert [message[0] for message in messages] == [RUN, m.SYNC, RUN]
    assert expanded(messages, {7, 8}) == [one, other, (m.SYNC, 2), one]


def test_nothing_of_a_read_is_handled_when_a_part_of_it_is_invalid() -> None:
    decoder = LinkDecoder(LIMIT, SENDERS)
    with pytest.raises(WireError, match="DELIVER: 8 is no data_format"):
        decoder.feed(encode(m.DELIVER, 7, 1, b"x") + INVALID["DELIVER of a close frame"])
    with pytest.raises(WireError, match="before"):
        decoder.feed(encode(m.DELIVER, 7, 1, b"x"))


def test_a_run_outlives_the_read() -> None:
    """A run refers to the bytes of its read, which the decoder does not keep."""
    decoder = LinkDecoder(LIMIT, SENDERS)
    ((_, run),) = decoder.feed(bytes(bytearray(encode(m.DELIVER, 7, 1, b"x" * 100))))
    decoder.feed(encode(m.DELIVER, 7, 1, b"y" * 100))
    assert expanded([(RUN, run)], {7}) == [(m.DELIVER, 7, 1, b"x" * 100)]
    assert run.deliver({}, QUEUED, GONE) is None
