"""The open phase: floods, renegotiation, and what OpenSSL rarely does."""

import contextlib
import dataclasses
import os
import shutil
import socket
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest
import trustme
from OpenSSL import SSL

from shardws.tls import contexts, endings, protocols, selftest
from shardws.tls.contexts import ServerContext
from shardws.tls.endings import Ending
from shardws.tls.engine import State, TLSEngine
from shardws.tls.ffi import Calls
from shardws.tls.records import RecordCounter
from shardws.tls.stream import BARREN_COST, BARREN_LIMIT, HELD_LIMIT, Stream
from tests.unit.tls.stdlib_client import config_of

RECORD = b"\x17\x03\x03\x00\x01x"
ALLOWED_BARREN = BARREN_LIMIT // BARREN_COST


class Script(Calls):
    """Calls that answer as told; an exception is raised."""

    def __init__(self, *answers: bytes | SSL.Error) -> None:
        self.answers = list(answers)
        self.waiting = b""

    def feed(self, connection: SSL.Connection, data: bytes) -> None:
        pass

    def read(self, connection: SSL.Connection) -> bytes:
        answer = self.answers.pop(0)
        if isinstance(answer, SSL.Error):
            raise answer
        return answer

    def seal(self, connection: SSL.Connection, data: bytes) -> bytes:
        return self.read(connection)

    def drain(self, connection: SSL.Connection) -> bytes:
        waiting, self.waiting = self.waiting, b""
        return waiting


def ending_of(ended: Stream | TLSEngine) -> Ending | None:
    """Read the ending anew: mypy takes an attribute for unchanged by a method call."""
    return ended.ending


def stream_of(calls: Calls) -> Stream:
    connection = SSL.Connection(SSL.Context(SSL.TLS_SERVER_METHOD))
    return Stream(connection, calls, RecordCounter(), None)


def test_records_without_data_are_a_flood_at_the_limit() -> None:
    stream = stream_of(Script(*[SSL.WantReadError()] * (ALLOWED_BARREN + 1)))
    for _ in range(ALLOWED_BARREN):
        assert stream.receive(RECORD) == b""
    assert ending_of(stream) is None
    stream.receive(RECORD)
    assert stream.ending is not None
    assert stream.ending.code == 284


def test_many_records_without_data_in_one_chunk() -> None:
    stream = stream_of(Script(b"data", SSL.WantReadError()))
    assert stream.receive(RECORD * (ALLOWED_BARREN + 2)) == b"data"
    assert stream.ending is not None
    assert stream.ending.code == 284


@pytest.mark.parametrize("is_chunked", [False, True])
def test_data_pays_for_records_without_data(is_chunked: bool) -> None:
    """An honest client that updates its keys now and then is never cut off."""
    turn: list[bytes | SSL.Error] = [SSL.WantReadError(), *[b"d"] * BARREN_COST]
    stream = stream_of(Script(*turn * 100))
    for _ in range(100):
        assert stream.receive(RECORD) == b""
        chunks = [RECORD * BARREN_COST] if is_chunked else [RECORD] * BARREN_COST
        assert b"".join(map(stream.receive, chunks)) == b"d" * BARREN_COST
    assert ending_of(stream) is None


def test_what_waits_for_a_renegotiation_goes_first() -> None:
    script = Script(SSL.WantReadError(), SSL.WantReadError(), b"<1>", b"<2>")
    stream = stream_of(script)
    script.waiting = b"<hello>"
    assert stream.send(b"1") == b""
    assert stream.send(b"2") == b""  # OpenSSL is not asked: the order must be kept
    assert stream.out == [b"<hello>"]
    stream.receive(RECORD)
    assert stream.out[1:] == [b"<1>", b"<2>"]
    assert stream._held == []


def test_what_waits_for_a_renegotiation_may_wait_on() -> None:
    stream = stream_of(Script(SSL.WantReadError(), SSL.WantReadError(), SSL.WantReadError()))
    stream.send(b"1")
    stream.send(b"2")
    stream.receive(RECORD)
    assert stream._held == [b"1", b"2"]


def test_what_waits_is_bounded() -> None:
    stream = stream_of(Script(SSL.WantReadError()))
    for _ in range(HELD_LIMIT // 16384 + 1):
        stream.send(b"x" * 16384)
    assert stream.ending == Ending(284, "a renegotiation does not end")


def test_what_waits_is_dropped_at_the_end() -> None:
    flood = [SSL.WantReadError()] * (ALLOWED_BARREN + 2)
    stream = stream_of(Script(*flood))
    stream.send(b"1")
    stream.receive(RECORD * (ALLOWED_BARREN + 1))
    assert stream.ending is not None
    assert b"".join(stream.out) == b""


def test_a_send_that_fails() -> None:
    stream = stream_of(Script(SSL.Error([("SSL routines", "", "internal error")])))
    assert stream.send(b"x") == b""
    assert stream.ending == Ending(282, "TLS: internal error")


def test_a_send_that_fails_after_the_peer_ended() -> None:
    failure = SSL.Error([("SSL routines", "", "internal error")])
    stream = stream_of(Script(SSL.ZeroReturnError(), failure, failure))
    stream.receive(RECORD)
    assert stream.ending is endings.CLOSE_NOTIFY
    stream.send(b"x")
    assert stream.ending.code == 282
    stream.send(b"x")
    assert stream.ending.code == 282


def test_a_close_that_fails() -> None:
    """SSL_shutdown refuses during a handshake, as in a renegotiation."""
    connection = SSL.Connection(SSL.Context(SSL.TLS_SERVER_METHOD))
    connection.set_accept_state()
    with contextlib.suppress(SSL.Error):
        connection.do_handshake()
    stream = Stream(connection, Calls(), RecordCounter(), None)
    stream.close()
    assert stream.ending is not None
    assert stream.ending.code == 282


class OldClient:
    """A TLS 1.2 client of pyOpenSSL, which can renegotiate."""

    def __init__(self, engine: TLSEngine) -> None:
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_max_proto_version(protocols.TLS12.number)
        context.set_options(1 << 8)
        self.engine = engine
        self.connection = SSL.Connection(context)
        self.connection.set_connect_state()
        for _ in range(3):
            self.step()
        assert engine.state is State.OPEN

    def step(self) -> bytes:
        """Advance the client's handshake, hand over what it wrote, return the plaintext."""
        with contextlib.suppress(SSL.WantReadError):
            self.connection.do_handshake()
        plaintext = b""
        with contextlib.suppress(SSL.WantReadError):
            plaintext = self.engine.receive(self.connection.bio_read(65536))
        self.decrypt(self.engine.outgoing())
        return plaintext

    def decrypt(self, records: bytes) -> None:
        if records:
            self.connection.bio_write(records)

    def renegotiate(self) -> None:
        assert self.connection.renegotiate()
        self.step()


def test_renegotiation_is_refused(context: ServerContext, calls: Calls) -> None:
    """The alert stands before the data, although nobody called outgoing(): else a bad MAC."""
    engine = TLSEngine(context, calls)
    client = OldClient(engine)
    assert client.connection.renegotiate()
    with contextlib.suppress(SSL.WantReadError):
        client.connection.do_handshake()
    engine.receive(client.connection.bio_read(65536))
    client.decrypt(engine.send(b"data"))
    with pytest.raises(SSL.Error, match="no renegotiation"):
        client.connection.recv(10)  # OpenSSL's client takes the warning for the end
    assert ending_of(engine) is None


@pytest.mark.parametrize("answers", [True, False])
def test_the_end_after_a_refused_renegotiation_is_its_own(
    context: ServerContext, calls: Calls, answers: bool
) -> None:
    """The client's alert was reported as a damaged record (282), its leaving as a truncation."""
    engine = TLSEngine(context, calls)
    client = OldClient(engine)
    assert client.connection.renegotiate()
    with contextlib.suppress(SSL.WantReadError):
        client.connection.do_handshake()
    engine.receive(client.connection.bio_read(65536))
    client.decrypt(engine.outgoing())
    with pytest.raises(SSL.Error, match="no renegotiation"):
        client.connection.recv(10)
    if answers:
        engine.receive(client.connection.bio_read(65536))  # handshake_failure, fatal
    else:
        engine.eof()
    assert engine.ending == endings.REFUSED


def test_a_replayed_record_is_damage(context: ServerContext, calls: Calls) -> None:
    engine = TLSEngine(context, calls)
    client = OldClient(engine)
    assert client.connection.renegotiate()
    with contextlib.suppress(SSL.WantReadError):
        client.connection.do_handshake()
    hello = client.connection.bio_read(65536)
    engine.receive(hello)
    assert ending_of(engine) is None
    engine.receive(hello)
    assert engine.ending is not None
    assert engine.ending.code == 282


def test_renegotiation_on_demand_is_capped(leaf: trustme.LeafCert, calls: Calls) -> None:
    config = dataclasses.replace(config_of(leaf), renegotiation=True)
    engine = TLSEngine(contexts.build(config), calls)
    client = OldClient(engine)
    for count in range(3):
        client.renegotiate()
        assert engine.send(b"held") == b""
        client.step()
        client.step()
        assert client.connection.total_renegotiations() == count + 1
        assert client.connection.recv(10) == b"held"
        assert ending_of(engine) is None
    client.renegotiate()
    assert engine.ending == Ending(284, "more than 3 renegotiations")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is missing")
@pytest.mark.parametrize("command", [b"k\n", b"K\n"])
def test_key_updates_of_s_client(context: ServerContext, tmp_path: Path, command: bytes) -> None:
    """`K` asks for our update too. Some are fine, data go on; a flood ends the connection."""
    engine = TLSEngine(context, selftest.choose().calls)
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        client = subprocess.Popen(
            ["openssl", "s_client", "-unix", path, "-quiet", "-no_ign_eof"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        peer, _ = listener.accept()
    with client, peer:
        peer.settimeout(10)
        assert client.stdin is not None
        assert client.stdout is not None
        while engine.state is State.HANDSHAKING:
            exchange(engine, peer)
        for _ in range(ALLOWED_BARREN):
            os.write(client.stdin.fileno(), command)
            exchange(engine, peer)
        assert ending_of(engine) is None
        os.write(client.stdin.fileno(), b"hello\n")
        assert exchange(engine, peer) == b"hello\n"
        peer.sendall(engine.send(b"answer\n"))
        assert client.stdout.readline() == b"answer\n"
        for _ in range(2):
            os.write(client.stdin.fileno(), command)
            exchange(engine, peer)
        assert engine.ending is not None
        assert engine.ending.code == 284
        client.kill()


def exchange(engine: TLSEngine, peer: socket.socket) -> bytes:
    """Receive once, answer, and return the plaintext."""
    plaintext = engine.receive(peer.recv(65536))
    peer.sendall(engine.outgoing())
    return plaintext


class Failing(Script):
    """Calls whose results from C stand for an error."""

    def __init__(self, error: SSL.Error, *answers: bytes) -> None:
        super().__init__(*answers)
        self.error = error

    def fail(self, connection: SSL.Connection, result: int) -> NoReturn:
        raise self.error


def test_where_a_read_from_c_stopped_is_judged_as_from_python() -> None:
    stream = stream_of(Failing(SSL.WantReadError()))
    stream.read_stopped(-1, 2, b"\x17\x03", 0)
    assert stream.shared[2:] == (b"\x17\x03", 0)
    assert not stream.is_calm, "until data has paid for the records without"
    stream.read_stopped(-1, ALLOWED_BARREN, b"", 7)
    assert ending_of(stream) == Ending(
        284, "too many records without data (KeyUpdate or renegotiation)"
    )
    ended = stream_of(Failing(SSL.ZeroReturnError()))
    ended.read_stopped(0, 1, b"", 0)
    assert ended.ending is endings.CLOSE_NOTIFY
    assert not ended.is_calm


def test_a_write_from_c_that_has_to_wait_is_not_lost() -> None:
    calls = Failing(SSL.WantReadError(), b"<first>", b"<second>")
    stream = stream_of(calls)
    stream.write_stopped(b"first", -1, b"", 0)
    assert not stream.is_calm
    assert stream.send(b"second") == b""
    stream.read_stopped(-1, 0, b"", 0)
    assert b"".join(stream.out) == b"<first><second>"


def test_a_write_from_c_that_fails_ends_the_stream() -> None:
    stream = stream_of(Failing(SSL.Error([("SSL routines", "", "protocol is shutdown")])))
    stream.write_stopped(b"lost", -1, b"", 0)
    assert ending_of(stream) == Ending(282, "TLS: protocol is shutdown")
