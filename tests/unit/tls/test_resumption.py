"""Sessions: resumed on every shard, never under another certificate or name."""

import dataclasses
import os
import ssl

import pytest
import trustme

from shardws.tls import certificate_set, contexts, selftest
from shardws.tls.contexts import ServerContext
from shardws.tls.engine import State, TLSEngine
from tests.unit.tls.stdlib_client import (
    EC,
    HOST,
    TLS12,
    TLS13,
    VERSIONS,
    StdlibClient,
    client_context,
    config_of,
)

both_versions = pytest.mark.parametrize("version", VERSIONS)
CALLS = selftest.choose().calls


def connect_to(
    context: ServerContext,
    client: ssl.SSLContext,
    session: ssl.SSLSession | None = None,
    name: str = HOST,
) -> StdlibClient:
    """Connect, receive data (TLS 1.3 tickets come with it) and close properly."""
    peer = StdlibClient(client, TLSEngine(context, CALLS), name, session).handshake()
    assert peer.engine.state is State.OPEN, (peer.error, peer.engine.ending)
    peer.decrypt(peer.engine.send(b"x"))
    assert peer.engine.negotiated is not None
    assert peer.engine.negotiated.is_resumed == peer.object.session_reused
    return peer


@both_versions
def test_a_session_resumes(
    context: ServerContext, authority: trustme.CA, version: ssl.TLSVersion
) -> None:
    client = client_context(authority, version)
    session = connect_to(context, client).object.session
    assert connect_to(context, client, session).object.session_reused


@both_versions
def test_reuse_can_be_switched_off(
    leaf: trustme.LeafCert, authority: trustme.CA, version: ssl.TLSVersion
) -> None:
    context = contexts.build(dataclasses.replace(config_of(leaf), reuse_sessions=False))
    client = client_context(authority, version)
    session = connect_to(context, client).object.session
    assert not connect_to(context, client, session).object.session_reused


@both_versions
def test_a_session_resumes_in_every_forked_shard(
    context: ServerContext, authority: trustme.CA, version: ssl.TLSVersion
) -> None:
    """Two children, the second forked after the first has ended, as after a respawn.

    The client stays in the parent; a child is nothing but the engine behind a pipe.
    """
    client = client_context(authority, version)
    session = None
    for expected in (False, True, True):
        with ForkedEngine(context) as engine:
            peer = StdlibClient(client, engine, HOST, session).handshake()  # type: ignore[arg-type]
            assert peer.error is None
            peer.decrypt(engine.send(b"x"))
            assert peer.object.session_reused is expected
            session = peer.object.session


class ForkedEngine:
    """An engine in a child process, for the calls that `Client` makes.

    Each request is one byte for the call, 4 bytes size, and data; each answer size and data.
    """

    def __init__(self, context: ServerContext) -> None:
        self.state = State.HANDSHAKING
        self._from_child, answer = os.pipe()
        question, self._to_child = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            try:
                os.close(self._from_child)
                os.close(self._to_child)
                serve_pipe(context, question, answer)
            finally:
                os._exit(0)
        os.close(answer)
        os.close(question)

    def __enter__(self) -> "ForkedEngine":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._to_child)
        os.waitpid(self._pid, 0)
        os.close(self._from_child)

    def receive(self, data: bytes) -> bytes:
        return self._ask(b"r", data)

    def outgoing(self) -> bytes:
        return self._ask(b"o", b"")

    def send(self, data: bytes) -> bytes:
        return self._ask(b"s", data)

    def _ask(self, call: bytes, data: bytes) -> bytes:
        os.write(self._to_child, call + len(data).to_bytes(4, "big") + data)
        return read_exactly(
            self._from_child, int.from_bytes(read_exactly(self._from_child, 4), "big")
        )


def serve_pipe(context: ServerContext, question: int, answer: int) -> None:
    engine = TLSEngine(context, selftest.choose().calls)
    while call := os.read(question, 1):
        data = read_exactly(question, int.from_bytes(read_exactly(question, 4), "big"))
        if call == b"r":
            out = engine.receive(data)
        else:
            out = engine.outgoing() if call == b"o" else engine.send(data)
        os.write(answer, len(out).to_bytes(4, "big") + out)


def read_exactly(descriptor: int, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = os.read(descriptor, size - len(data))
        if not piece:
            raise EOFError("the child has ended")
        data += piece
    return data


@pytest.fixture(scope="module")
def other_name(authority: trustme.CA) -> trustme.LeafCert:
    return authority.issue_cert("other.example.org", key_type=EC)


@both_versions
def test_no_resumption_under_another_server_name(
    leaf: trustme.LeafCert,
    other_name: trustme.LeafCert,
    authority: trustme.CA,
    version: ssl.TLSVersion,
) -> None:
    """CVE-2025-23419: a ticket of one name must not open another."""
    made = certificate_set.build(config_of(leaf), [("other.example.org", config_of(other_name))])
    client = client_context(authority, version)
    client.check_hostname = False
    default, other = made.contexts
    first = connect_to(default, client).object.session
    second = connect_to(other, client, name="other.example.org").object.session
    assert not connect_to(other, client, first, "other.example.org").object.session_reused
    assert not connect_to(default, client, second).object.session_reused
    assert connect_to(default, client, first).object.session_reused
    assert connect_to(other, client, second, "other.example.org").object.session_reused


@both_versions
def test_alternatives_resume_on_themselves_only(
    leaf: trustme.LeafCert,
    other_name: trustme.LeafCert,
    authority: trustme.CA,
    version: ssl.TLSVersion,
) -> None:
    """They share the ticket keys of their parent; the session id context keeps them apart."""
    parent = contexts.build(config_of(leaf))
    # The same alternative, made in two shards after the fork.
    here = contexts.build(config_of(other_name), parent)
    there = contexts.build(config_of(other_name), parent)
    client = client_context(authority, version)
    client.check_hostname = False
    first = connect_to(parent, client).object.session
    second = connect_to(here, client).object.session
    assert connect_to(there, client, second).object.session_reused
    assert not connect_to(parent, client, second).object.session_reused
    assert not connect_to(here, client, first).object.session_reused
    assert connect_to(parent, client, first).object.session_reused


def test_tickets_are_bounded_in_age(leaf: trustme.LeafCert) -> None:
    assert contexts.build(config_of(leaf)).modern.get_timeout() == 3600
    config = dataclasses.replace(config_of(leaf), ticket_seconds=60)
    assert contexts.build(config).modern.get_timeout() == 60


@pytest.mark.parametrize(("version", "hint"), [(TLS12, 60), (TLS13, 60)])
def test_the_lifetime_told_is_that_of_the_setting(
    leaf: trustme.LeafCert, authority: trustme.CA, version: ssl.TLSVersion, hint: int
) -> None:
    context = contexts.build(dataclasses.replace(config_of(leaf), ticket_seconds=hint))
    session = connect_to(context, client_context(authority, version)).object.session
    assert session is not None
    assert session.has_ticket
    assert session.ticket_lifetime_hint == hint
