"""TLS in the data path in C: records of a carrier to frames of its connection, and back.

OpenSSL is the real one; where it has to fail, a call of it is replaced by one that does.
"""

import gc
import itertools
import socket
import weakref
from collections.abc import Iterator

import pytest
from OpenSSL import SSL

from tests.unit.net.pump.carrier_fixture import CALL, CALLS, NAMES, Secure
from tests.unit.net.pump.pump_fixture import World, frame, out, worlds

RECORD = 16384
COST = 5 + 1 + 16  # of a record of TLS 1.3

world = worlds("c")


@pytest.fixture
def secure(world: World) -> Iterator[Secure]:
    made = Secure(world)
    yield made
    made.carrier.stop_tls()


def payloads(world: World) -> list[bytes]:
    return [event.text for event in world.events]


def test_any_cut_of_the_stream_is_the_same(world: World, secure: Secure) -> None:
    """A record is read when it is whole, wherever TCP cuts: its header has five such places."""
    secure.start()
    size = 2 * COST + len(frame(b"one") + frame(b"two" * 20))
    for at in range(1, size):
        world.events.clear()
        data = secure.records(frame(b"one"), frame(b"two" * 20))
        assert len(data) == size
        secure.send(data[:at])
        world.turns(2)
        secure.send(data[at:])
        world.until(lambda: len(world.events) == 2)
        assert payloads(world) == [b"one", b"two" * 20]
    assert not secure.inner.given
    assert secure.stopped == []


@pytest.mark.parametrize("cuts", [(), (1,), (2, 5), (9, 10, 11)])
def test_frames_over_several_records(world: World, secure: Secure, cuts: tuple[int, ...]) -> None:
    """What comes in one read is one call of the frame code, however the records cut it."""
    secure.start()
    data = frame(b"a" * 20) + frame(b"b" * 30)
    edges = [0, *cuts, len(data)]
    pieces = [data[at:end] for at, end in itertools.pairwise(edges)]
    secure.send(secure.records(*pieces))
    world.until(lambda: len(world.events) == 2)
    assert payloads(world) == [b"a" * 20, b"b" * 30]
    assert not secure.inner.given


def test_replies_of_a_batch_leave_in_one_record(world: World, secure: Secure) -> None:
    secure.start()
    secure.echo()
    sent = [bytes([number]) * 125 for number in range(16)]
    secure.send(secure.records(*map(frame, sent)))
    assert secure.read_record() == b"".join(map(out, sent))
    assert secure.transport.written == b""
    assert world.counts == [16, 16 * 131, 16, 16 * 127], "plaintext, and once"


def test_sends_outside_of_a_turn_share_a_record(world: World, secure: Secure) -> None:
    """They stand in several blocks of memory, which is nothing to the client."""
    secure.start()
    for number in range(100):
        secure.inner.send(2, bytes([number]) * 125)
    assert secure.read_record() == b"".join(out(bytes([number]) * 125) for number in range(100))


@pytest.mark.parametrize("size", [RECORD, 70_000, 300_000])
def test_a_large_message_fills_its_records(secure: Secure, size: int) -> None:
    secure.start()
    secure.inner.send(2, bytes(size))
    secure.inner.send(2, b"behind")
    expected = out(bytes(size)) + out(b"behind")
    found = secure.read(len(expected))
    assert b"".join(found) == expected
    assert len(found) <= len(expected) // RECORD + 2, "one of a turn that was written early"


def test_a_long_read_is_taken_in_pieces(world: World, secure: Secure) -> None:
    secure.start()
    world.handlers.on_data_in = lambda event: None
    count = 3000
    secure.send(secure.records(*[frame(b"x" * 100)] * count))
    world.until(lambda: world.counts[0] == count)


def test_what_is_no_data_is_told_with_what_came_before(world: World, secure: Secure) -> None:
    secure.start()
    secure.client.send(frame(b"last"))
    secure.client.shutdown()
    secure.send(secure.client.bio_read(1 << 16))
    world.until(lambda: secure.stopped)
    plaintext, result, left, rest, head, missing = secure.stopped[0]
    assert plaintext == frame(b"last")
    assert result <= 0
    assert (left, rest, head, missing) == (1, b"", b"", 0)
    with pytest.raises(SSL.ZeroReturnError):
        CALLS.fail(secure.server, result)
    assert world.events == [], "Python gives it to the connection, in order"


def test_what_openssl_was_not_given_is_told_too(world: World, secure: Secure) -> None:
    """So is where in a record it begins: the rest of the read, and a header that is not whole."""
    never = CALL(lambda *_: -1)
    secure.start(READ=never)
    data = secure.records(*[frame(b"x" * 1000)] * 50)[:-1000]
    secure.send(data)
    world.until(lambda: secure.stopped)
    plaintext, result, left, rest, head, missing = secure.stopped[0]
    assert (plaintext, result) == (b"", -1)
    size = len(data) - len(rest)
    record = 1008 + COST
    assert left == size // record
    assert missing == (record - size % record if size % record >= 5 else 0)
    assert len(head) == (size % record if size % record < 5 else 0)
    assert data.endswith(rest)


@pytest.mark.parametrize("size", [20_000, 100_000])
def test_a_write_that_openssl_refuses_is_told_and_the_rest_is_pythons(
    secure: Secure, size: int
) -> None:
    never = CALL(lambda *_: -1)
    secure.start(WRITE=never)
    secure.inner.send(2, bytes(size))
    secure.inner.flush()
    ((piece, result, *_),) = secure.stopped
    assert result == -1
    assert piece + secure.transport.written == out(bytes(size))
    secure.inner.send(2, b"more")
    secure.inner.flush()
    assert secure.transport.written.endswith(out(b"more"))


def test_a_short_write_goes_on_where_it_stopped(secure: Secure) -> None:
    """OpenSSL takes 512 bytes at a time for a client that asked for short records."""
    real = CALL(CALLS.pointers(secure.server)[NAMES.index("WRITE")])
    short = CALL(lambda ssl, data, size: real(ssl, data, min(size, 512)))
    secure.start(WRITE=short)
    secure.inner.send(2, bytes(2000))
    found = secure.read(2004)
    assert [len(record) for record in found] == [512, 512, 512, 468]
    assert b"".join(found) == out(bytes(2000))


def test_openssl_without_memory_ends_the_connection(world: World, secure: Secure) -> None:
    never = CALL(lambda *_: 0)
    secure.start(GIVE=never)
    secure.send(secure.records(frame(b"x")))
    world.until(lambda: secure.carrier.count("lost"))
    assert "memory" in str(secure.carrier.error)


def test_a_slow_reader_is_told_of_by_the_carrier(world: World) -> None:
    secure = Secure(world, send_buffer=4096)
    secure.start()
    secure.carrier.high_mark, secure.carrier.low_mark = 64 * 1024, 16 * 1024
    sent = 0
    while not secure.carrier.count("pause"):
        secure.inner.send(2, bytes(8192))
        secure.inner.flush()
        sent += 1
        assert sent < 1000
    assert 64 * 1024 < secure.carrier.queued < 64 * 1024 + 2 * 8192
    assert secure.inner.queued == 0
    secure.read(sent * (4 + 8192))
    world.until(lambda: secure.carrier.count("resume"))
    secure.carrier.stop_tls()


def test_after_the_loss_nothing_is_sealed_or_kept(world: World, secure: Secure) -> None:
    secure.start()
    secure.carrier.abort_wire()
    secure.inner.send(2, b"nobody's")
    secure.inner.flush()
    assert secure.inner.queued == 0
    world.until(lambda: secure.carrier.count("lost"))
    assert secure.transport.written == b""
    assert secure.stopped == []


def test_sharing_keeps_the_connection_and_openssl_alive_and_no_longer(world: World) -> None:
    secure = Secure(world)
    secure.start()
    # As in a connection: each knows the other, and OpenSSL's object knows both.
    secure.inner.outer = secure.carrier
    secure.server.set_app_data(secure)
    inner, server = weakref.ref(secure.inner), weakref.ref(secure.server)
    carrier = secure.carrier
    world.wires.remove(carrier)
    secure.server = secure.client = secure.inner = secure.transport = None  # type: ignore[assignment]
    gc.collect()
    assert inner() is not None
    assert server() is not None
    carrier.abort_wire()
    world.turns(3)
    del carrier, secure
    gc.collect()
    assert inner() is None
    assert server() is None


def test_misuse_is_refused(world: World, secure: Secure) -> None:
    pointers = CALLS.pointers(secure.server)
    plain, _ = world.connect()
    stranger = world.wire_type(world.pump)
    for carrier, inner in ((plain, secure.inner), (secure.carrier, stranger)):
        with pytest.raises(ValueError, match="a carrier with a socket"):
            carrier.start_tls(inner, secure.server, pointers, b"", 0)
    with pytest.raises(ValueError, match="a whole header"):
        secure.carrier.start_tls(secure.inner, secure.server, pointers, b"12345", 0)
    with pytest.raises(TypeError):
        secure.carrier.start_tls(secure.inner, secure.server, pointers[:3], b"", 0)
    with pytest.raises(TypeError):
        secure.carrier.start_tls(socket, secure.server, pointers, b"", 0)
    secure.start()
    with pytest.raises(ValueError, match="carried already"):
        secure.start()
    secure.carrier.stop_tls()
    secure.carrier.stop_tls()
    secure.start()
