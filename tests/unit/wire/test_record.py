"""The record of a connection: each field comes back, and what is no record is refused."""

import math
import struct
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shardws import ids
from shardws.errors import RecordError
from shardws.wire import record
from shardws.wire.record import Record, decode, encode

ID = ids.pack(0, 3, 7, 12345)
PLAIN = Record(ID)

VALUES: dict[str, Any] = {
    "id": ids.MAX_ID,
    "head": b"GET /a?b=\xff HTTP/1.1\r\nHost: h\r\n\r\n",
    "remote_host": "2001:db8::1",
    "remote_port": 65535,
    "local_address": "127.0.0.1",
    "groups": ("room:1", "grüße"),
    "data_format": 9,
    "timeout": 0.0,
    "accepts_data": False,
    "deflate": "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
    "unread": b"\x82\x83abcd",
    "held": ((1, b"a", False), (10, b"", True)),
    "unsent": bytes(70_000),
    "is_inside_frame": True,
    "seen": 12.5,
    "active": 13.25,
    "ping_at": 1234567.000001,
    "ping_from": 0.1,
    "pong_seen": 0.2,
    "quiet_since": 0.3,
    "ahead": (5, 2**60),
    "late_pong": b"",
    "rtt": 0.0125,
    "calm_at": 77.0,
    "size": 2**40,
    "user_data": b"\x00any bytes",
    "moves": record.MOST_MOVES,
}


def test_there_is_a_value_for_each_field() -> None:
    assert set(VALUES) == {field.name for field in fields(Record)}


def with_field(name: str) -> Record:
    changed = {name: VALUES[name]}
    if name == "held":  # only a connection that does not accept data has any
        changed["accepts_data"] = False
    return replace(PLAIN, **changed)


@pytest.mark.parametrize("name", VALUES)
def test_each_field_comes_back(name: str) -> None:
    one = with_field(name)
    assert one != PLAIN
    assert decode(encode(one)) == one


def test_all_fields_come_back_together() -> None:
    assert decode(encode(Record(**VALUES))) == Record(**VALUES)


WRONG: list[tuple[str, Any]] = [
    ("id", 0),
    ("id", ids.MAX_ID + 1),
    ("id", ids.SERIALS),  # without a serial
    ("head", bytes(record.LONGEST_HEAD + 1)),
    ("remote_host", "1" * 256),
    ("local_address", "1" * 256),
    ("remote_port", -1),
    ("remote_port", 65536),
    ("groups", ("",)),
    ("groups", ("a", "a")),
    ("groups", ("a" * 1025,)),
    ("data_format", 3),
    ("held", ((9, b"a", True),)),
    ("held", ((1, b"a", True),)),  # while it accepts data
    ("timeout", -1.0),
    ("deflate", "x" * 256),
    ("seen", -0.1),
    ("active", math.inf),
    ("ping_at", math.nan),
    ("ping_from", -1.0),
    ("pong_seen", math.nan),
    ("quiet_since", math.inf),
    ("rtt", -1.0),
    ("calm_at", math.nan),
    ("ahead", (2, 1)),
    ("late_pong", bytes(126)),
    ("size", -1),
    ("user_data", bytes(record.MOST_USER_DATA + 1)),
    ("moves", record.MOST_MOVES + 1),
]


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_value_that_no_connection_has_is_refused(name: str, value: Any) -> None:
    with pytest.raises(RecordError):
        encode(replace(PLAIN, **{name: value}))


@pytest.mark.parametrize("at", [5, 13, 21, 77])
def test_numbers_that_were_changed_on_the_way_are_refused(at: int) -> None:
    """NaN for a time, and other values that a struct can hold."""
    data = bytearray(encode(Record(**VALUES)))
    data[2:10] = bytes(8)  # the id
    with pytest.raises(RecordError):
        decode(bytes(data))
    data = bytearray(encode(Record(**VALUES)))
    struct.pack_into("<d", data, 16 + (at % 9) * 8, math.nan)
    with pytest.raises(RecordError):
        decode(bytes(data))


@pytest.mark.parametrize("version", [0, record.VERSION + 1, 0xFFFF])
def test_another_version_is_named(version: int) -> None:
    data = version.to_bytes(2, "little") + encode(PLAIN)[2:]
    with pytest.raises(RecordError, match=f"record version {version}, this is version 1"):
        decode(data)


def test_a_record_that_is_cut_or_too_long_is_refused() -> None:
    data = encode(Record(**VALUES))
    for size in (*range(300), len(data) - 1):
        with pytest.raises(RecordError):
            decode(data[:size])
    with pytest.raises(RecordError):
        decode(data + b"\x00")


def test_a_record_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode(PLAIN)
    monkeypatch.setattr(record, "LARGEST", len(data) - 1)
    for call in (lambda: encode(PLAIN), lambda: decode(data)):
        with pytest.raises(RecordError, match="above the limit"):
            call()


@settings(deadline=None)
@given(st.data())
def test_any_record_comes_back(data: st.DataObject) -> None:
    times = st.floats(0, 1e12, allow_nan=False)
    texts = st.text(st.characters(codec="utf-8"), max_size=60)
    held = st.tuples(st.sampled_from([1, 2, 10]), st.binary(max_size=20), st.booleans())
    accepts = data.draw(st.booleans())
    made = Record(
        id=data.draw(st.integers(0, 0x3FFFFFF)) << 27 | data.draw(st.integers(1, 2**27 - 1)),
        head=data.draw(st.binary(max_size=50)),
        remote_host=data.draw(texts),
        remote_port=data.draw(st.integers(0, 65535)),
        groups=tuple(data.draw(st.sets(texts.filter(bool), max_size=4))),
        timeout=data.draw(st.none() | times),
        accepts_data=accepts,
        unread=data.draw(st.binary(max_size=50)),
        held=() if accepts else tuple(data.draw(st.lists(held, max_size=4))),
        unsent=data.draw(st.binary(max_size=50)),
        is_inside_frame=data.draw(st.booleans()),
        seen=data.draw(times),
        ping_at=data.draw(times),
        late_pong=data.draw(st.none() | st.binary(max_size=125)),
        user_data=data.draw(st.binary(max_size=50)),
        moves=data.draw(st.integers(0, record.MOST_MOVES)),
    )
    assert decode(encode(made)) == made
