"""How much one slice of a session does, flood by flood, and when a flood is a storm."""

import zlib

import pytest

from shardws.protocol import codec, slices
from shardws.protocol.deflate import Deflate
from shardws.protocol.session import Session, SessionConfig, State
from shardws.protocol.slices import BURST, BYTES, FIRST_ITEMS, ITEMS, RATE, SECONDS, UNITS, Slice
from tests.unit.protocol.client_frames import close, frame
from tests.unit.protocol.deflate_client import agreed

MIB = 1 << 20
READ = 256_000  # bytes of one read of uvloop
LARGE = (1 << 20) - 100


def pack(plain: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (packer.compress(plain) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]


BOMB = frame(0xC2, pack(bytes(LARGE)))  # 1 KiB that inflates to 1 MiB
TWO = pack(b"x" * 100)
HALVES = frame(0x42, TWO[:3]) + frame(0x80, TWO[3:])

# name, what begins the stream, what is repeated, the most items and bytes that one slice may make
FLOODS = [
    ("messages that inflate", b"", BOMB, 1, LARGE),
    ("compressed messages of two fragments", b"", HALVES, UNITS // slices.FALLBACK, BYTES),
    ("empty pings", b"", frame(0x89), ITEMS, 0),
    ("pongs", b"", frame(0x8A), ITEMS, 0),
    ("empty fragments", frame(0x02), frame(0x00), 0, 0),
    ("fragments of one byte", frame(0x02), frame(0x00, b"x"), ITEMS, ITEMS),
    ("messages of one byte", b"", frame(0x82, b"x"), ITEMS, ITEMS),
]
parametrize_floods = pytest.mark.parametrize(
    ("begin", "unit", "items", "size"), [row[1:] for row in FLOODS], ids=[row[0] for row in FLOODS]
)


def flood(begin: bytes, unit: bytes) -> bytes:
    return begin + unit * ((READ - len(begin)) // len(unit))


@parametrize_floods
@pytest.mark.parametrize("is_buffered", [False, True])
def test_one_slice_of_a_flood_is_bounded(
    implementation: codec.Implementation,
    begin: bytes,
    unit: bytes,
    items: int,
    size: int,
    is_buffered: bool,
) -> None:
    """All of a read was parsed and inflated in one go, and nobody else had a turn (S01, S05)."""
    session = Session(SessionConfig(buffer_message=is_buffered), agreed("shared"))
    session.limit = ITEMS
    made = session.receive(flood(begin, unit))
    for _ in range(50):
        assert session.has_more
        assert len(made) <= items
        assert sum(len(payload) for _, payload, _ in made) <= size
        assert len(session.replies) <= ITEMS
        session.replies.clear()
        made = session.go_on()


@parametrize_floods
def test_slices_together_make_what_was_sent(
    implementation: codec.Implementation, begin: bytes, unit: bytes, items: int, size: int
) -> None:
    session = Session(SessionConfig(), agreed("shared"))
    data = begin + unit * 300
    made = session.receive(data)
    while session.has_more:
        made += session.go_on()
    whole = Session(SessionConfig(), agreed("shared"))
    alone = [item for part in (begin, *[unit] * 300) if part for item in whole.receive(part)]
    assert [item for item in made if item[1] or item[2]] == [
        item for item in alone if item[1] or item[2]
    ]
    assert session.replies == whole.replies
    assert session.state is State.OPEN


def test_a_slice_ends_inside_the_fast_lane(implementation: codec.Implementation) -> None:
    session = Session(SessionConfig())
    stream = b"".join(frame(0x82, b"%d" % number) for number in range(40))
    assert [int(item[1]) for item in session.receive(stream)] == list(range(FIRST_ITEMS))
    assert [int(item[1]) for item in session.go_on()] == list(range(16, 32))
    assert [int(item[1]) for item in session.go_on()] == list(range(32, 40))
    assert not session.has_more
    assert session.go_on() == []
    assert session.rest == b""


def test_bytes_that_come_behind_a_rest_stay_behind_it(implementation: codec.Implementation) -> None:
    session = Session(SessionConfig())
    session.limit = 1
    made = session.receive(frame(0x82, b"a") + frame(0x82, b"b"))
    assert session.rest is None  # a session with a rest is not handed over
    made += session.receive(frame(0x82, b"c"))
    made += session.go_on()
    assert [payload for _, payload, _ in made] == [b"a", b"b", b"c"]


def test_a_close_frame_in_the_rest_is_seen_in_its_turn(
    implementation: codec.Implementation,
) -> None:
    session = Session(SessionConfig())
    session.limit = 1
    session.receive(frame(0x82, b"a") + frame(0x82, b"b") + close(1000) + frame(0x82, b"c"))
    assert session.ending is None
    assert session.go_on() == [(2, b"b", True)]
    assert session.go_on() == [(8, b"", True)]
    assert session.state is State.CLOSED
    assert not session.has_more


def test_our_own_close_lets_the_rest_be_read(implementation: codec.Implementation) -> None:
    session = Session(SessionConfig())
    session.limit = 2
    session.receive(frame(0x82, b"a") * 5 + close(1000))
    session.close(1001)
    while session.has_more:
        assert [item for item in session.go_on() if item[0] != 8] == []
    assert session.state is State.CLOSED
    assert session.ending is not None
    assert session.ending.is_clean


def test_a_small_rest_does_not_pin_a_large_read(implementation: codec.Implementation) -> None:
    session = Session(SessionConfig(max_message_size=MIB))
    session.limit = 1
    session.receive(frame(0x82, bytes(200_000)) + frame(0x82, b"b") * 2)
    assert session._rest is not None
    assert len(session._rest[0]) <= 200_000 // 4
    assert session.go_on() == [(2, b"b", True)]


def test_what_was_forgotten_is_not_told() -> None:
    session = Session(SessionConfig())
    session.receive(frame(0x82, b"a") * (FIRST_ITEMS + 5))
    session.forget_rest()
    assert not session.has_more
    assert session.go_on() == []


# -- the limit follows the time of handlers ------------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "count", "seconds", "expected"),
    [
        (16, 16, 0.0, 32),
        (64, 64, SECONDS, 64),
        (1, 1, 0.0001, 2),
        (64, 64, 64 * SECONDS, 1),
        (64, 64, 2 * SECONDS, 32),
        (64, 10, 100.0, 1),
        (1, 1, 1.0, 1),
    ],
)
def test_the_next_slice_is_as_long_as_handlers_allow(
    limit: int, count: int, seconds: float, expected: int
) -> None:
    assert slices.paced(limit, count, seconds) == expected
    session = Session(SessionConfig())
    session.limit = limit
    session.pace(count, seconds)
    assert session.limit == expected


def test_a_slice_without_items_says_nothing_of_handlers() -> None:
    session = Session(SessionConfig())
    session.pace(0, 1.0)
    assert session.limit == FIRST_ITEMS


def test_a_slice_counts_what_the_fast_lane_took() -> None:
    part = Slice(3, [(9, b"", True)], 1)
    assert (part.left, part.nothings, part.is_full) == (2, 1, False)
    part.items += [(2, b"", True)] * 2
    assert (part.left, part.is_full) == (0, True)


def code_of(session: Session) -> int | None:
    """The code that the application is told; None while the session goes on."""
    return None if session.ending is None else session.ending.code


# -- storms --------------------------------------------------------------------------------------


def storm(session: Session, data: bytes, now: float) -> None:
    session.receive(data)
    session.charge(now)
    while session.has_more:
        session.replies.clear()
        session.go_on()
        session.charge(now)


@pytest.mark.parametrize("unit", [frame(0x89), frame(0x8A), frame(0x8A, b"x" * 125)])
def test_a_storm_of_control_frames_ends_with_1008(
    implementation: codec.Implementation, unit: bytes
) -> None:
    session = Session(SessionConfig())
    storm(session, unit * BURST, 10.0)
    assert code_of(session) is None
    storm(session, unit, 10.0)
    assert session.state is State.CLOSED
    assert session.ending is not None
    assert (session.ending.code, session.ending.is_clean) == (1008, False)
    assert session.ending.error is not None
    assert session.replies[-1][0] == 0x88
    assert session.replies[-1][1][:2] == (1008).to_bytes(2)


@pytest.mark.parametrize("is_buffered", [False, True])
@pytest.mark.parametrize(("first", "deflate"), [(0x02, None), (0x42, agreed("shared"))])
def test_a_storm_of_empty_fragments_ends_with_1008(
    implementation: codec.Implementation, is_buffered: bool, first: int, deflate: Deflate | None
) -> None:
    session = Session(SessionConfig(buffer_message=is_buffered), deflate)
    storm(session, frame(first) + frame(0x00) * (BURST - 1), 0.0)
    assert code_of(session) is None
    storm(session, frame(0x00), 0.0)
    assert session.state is State.CLOSED
    assert code_of(session) == 1008


def test_frames_without_content_are_forgiven_over_time(
    implementation: codec.Implementation,
) -> None:
    """An honest client may ping for ever, RATE times a second."""
    session = Session(SessionConfig())
    storm(session, frame(0x89) * BURST, 0.0)
    for second in range(1, 50):
        storm(session, frame(0x89) * int(RATE), float(second))
        assert session.state is State.OPEN
    storm(session, frame(0x89) * BURST, 1000.0)
    assert session.state is State.OPEN


def test_what_ends_a_message_or_carries_a_byte_is_no_storm(
    implementation: codec.Implementation,
) -> None:
    """Autobahn sends a message of 131,072 fragments; some libraries end all with an empty one."""
    session = Session(SessionConfig(max_message_size=MIB))
    storm(session, frame(2, b"x") + frame(0, b"x") * 131_070 + frame(0x80, b"x"), 0.0)
    storm(session, (frame(2, b"x") + frame(0x80)) * 2 * BURST, 0.0)
    storm(session, frame(0x82) * 2 * BURST, 0.0)
    assert session.state is State.OPEN
    assert session.calm_at is None


def test_a_closing_session_does_not_bear_a_storm_either(
    implementation: codec.Implementation,
) -> None:
    session = Session(SessionConfig())
    session.close(1000)
    storm(session, frame(0x89) * (BURST + 1), 0.0)
    assert session.state is State.CLOSED
    assert session.ending is not None
    assert session.ending.code == 1008
    session.charge(0.0)  # nothing more to account for


# -- messages in progress ------------------------------------------------------------------------


def test_what_is_held_of_a_message_is_known(implementation: codec.Implementation) -> None:
    session = Session(SessionConfig(buffer_message=True))
    assert (session.held, session.in_progress) == (0, None)
    session.receive(frame(0x82, bytes(1000))[:508])  # 8 bytes of header
    first = session.in_progress
    assert session.held == 500
    session.receive(bytes(100))
    assert (session.held, session.in_progress) == (600, first)
    session.receive(bytes(400) + frame(2, bytes(70)) + frame(0x89))
    assert session.held == 70
    assert session.in_progress is not first
    session.receive(frame(0x80))
    assert (session.held, session.in_progress) == (0, None)


def test_inflated_bytes_are_held_too(implementation: codec.Implementation) -> None:
    session = Session(SessionConfig(buffer_message=True), agreed("shared"))
    session.receive(frame(0x42, pack(bytes(50_000))[:-1]))
    assert session.held > 10_000
    assert session.in_progress is not None


def test_what_is_passed_on_is_not_held(implementation: codec.Implementation) -> None:
    session = Session(SessionConfig())
    session.receive(frame(0x82, bytes(1000))[:508])
    session.receive(frame(0x82, bytes(1000))[508:] + frame(2, bytes(70)))
    assert session.held == 0


def test_a_message_that_is_not_completed_ends_with_1008() -> None:
    session = Session(SessionConfig(buffer_message=True))
    session.receive(frame(2, bytes(70)))
    session.give_up_message()
    assert session.ending is not None
    assert session.ending.code == 1008
    assert session.held == 0
