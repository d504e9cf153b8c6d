"""Client certificates: each row of SSLAuthenticateClients and SSLClientAuthentication."""

import dataclasses
import datetime
import ssl
from typing import Any

import pytest
import trustme
from cryptography import x509

from shardws.tls import contexts, ffi
from shardws.tls.callback_state import CallbackState
from shardws.tls.contexts import ServerContext
from shardws.tls.engine import State, TLSEngine
from shardws.tls.ffi import Calls
from shardws.tls.verification import ClientCertificate
from tests.unit.tls.stdlib_client import (
    EC,
    TLS12,
    TLS13,
    VERSIONS,
    StdlibClient,
    client_context,
    config_of,
)

both_versions = pytest.mark.parametrize("version", VERSIONS)
PAST = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)


class Decision:
    """A hook that remembers what it was asked."""

    def __init__(self, answer: bool | None = None) -> None:
        self.answer = answer
        self.asked: list[ClientCertificate] = []

    def __call__(self, found: ClientCertificate) -> bool:
        self.asked.append(found)
        return found.is_trusted if self.answer is None else self.answer


@pytest.fixture(scope="module")
def person(authority: trustme.CA) -> trustme.LeafCert:
    return authority.issue_cert("person@example.org", common_name="person", key_type=EC)


@pytest.fixture(scope="module")
def deep_person(intermediate: trustme.CA) -> trustme.LeafCert:
    return intermediate.issue_cert("deep@example.org", common_name="deep person", key_type=EC)


@pytest.fixture(scope="module")
def stranger() -> trustme.LeafCert:
    return trustme.CA(key_type=EC).issue_cert("stranger@example.org", key_type=EC)


@pytest.fixture(scope="module")
def expired(authority: trustme.CA) -> trustme.LeafCert:
    return authority.issue_cert("old@example.org", not_after=PAST, key_type=EC)


def serve(leaf: trustme.LeafCert, authority: trustme.CA, **settings: Any) -> ServerContext:
    pem = authority.cert_pem.bytes().decode()
    base = dataclasses.replace(config_of(leaf), authenticate_clients=True, ca_certs=pem)
    return contexts.build(dataclasses.replace(base, **settings))


@pytest.fixture(scope="module")
def asking(leaf: trustme.LeafCert, authority: trustme.CA) -> ServerContext:
    return serve(leaf, authority)


def meet(
    context: ServerContext,
    calls: Calls,
    client: ssl.SSLContext,
    hook: Decision | None = None,
    *,
    may_lack: bool = False,
) -> StdlibClient:
    engine = TLSEngine(context, calls, on_certificate=hook, may_lack=may_lack)
    return StdlibClient(client, engine).handshake()


def refused_with(peer: StdlibClient) -> str:
    """Return the alert that the client got; TLS 1.3 clients read it after their handshake."""
    if peer.error is None:
        with pytest.raises(ssl.SSLError) as caught:
            peer.object.read(1)
        return str(caught.value).lower()
    return str(peer.error).lower()


@both_versions
def test_a_good_certificate(
    asking: ServerContext,
    calls: Calls,
    authority: trustme.CA,
    person: trustme.LeafCert,
    version: ssl.TLSVersion,
) -> None:
    hook = Decision()
    peer = meet(asking, calls, client_context(authority, version, person), hook)
    assert peer.engine.state is State.OPEN
    (found,) = hook.asked
    assert found.status == "OK"
    assert found.is_trusted
    assert "CN=person" in found.subject
    assert "Testing CA" in found.issuer
    assert found.encoded == person.cert_chain_pems[0].bytes()
    assert peer.engine.client_certificate is found
    assert peer.send(b"hello") == b"hello"


@both_versions
@pytest.mark.parametrize("is_required", [True, False])
@pytest.mark.parametrize("answer", [None, True, False])
def test_the_hook_is_asked_about_a_client_without_a_certificate(
    leaf: trustme.LeafCert,
    calls: Calls,
    authority: trustme.CA,
    version: ssl.TLSVersion,
    is_required: bool,
    answer: bool | None,
) -> None:
    hook = Decision(answer)
    context = serve(leaf, authority, require_certificate=is_required)
    peer = meet(context, calls, client_context(authority, version), hook, may_lack=True)
    (found,) = hook.asked
    assert (found.encoded, found.subject, found.issuer) == (b"", "", "")
    assert found.status == "the client presented no certificate"
    assert found.is_trusted is not is_required
    is_accepted = answer if answer is not None else not is_required
    assert peer.engine.state is (State.OPEN if is_accepted else State.CLOSED)
    if not is_accepted:
        assert peer.engine.ending is not None
        assert peer.engine.ending.code == 281
        assert peer.object.read(1) == b""  # close_notify


@both_versions
def test_a_required_certificate(
    leaf: trustme.LeafCert, calls: Calls, authority: trustme.CA, version: ssl.TLSVersion
) -> None:
    context = serve(leaf, authority, require_certificate=True)
    peer = meet(context, calls, client_context(authority, version))
    assert peer.engine.state is State.CLOSED
    assert peer.engine.ending is not None
    assert peer.engine.ending.code == 281
    alert = {TLS12: "handshake failure", TLS13: "certificate required"}[version]
    assert alert in refused_with(peer)


@both_versions
@pytest.mark.parametrize(
    ("who", "status", "alert"),
    [
        ("stranger", "unable to get local issuer certificate", "unknown ca"),
        ("expired", "certificate has expired", "certificate expired"),
    ],
)
def test_a_bad_certificate_is_refused_with_its_alert(
    asking: ServerContext,
    calls: Calls,
    authority: trustme.CA,
    request: pytest.FixtureRequest,
    version: ssl.TLSVersion,
    who: str,
    status: str,
    alert: str,
) -> None:
    hook = Decision()
    bad = request.getfixturevalue(who)
    peer = meet(asking, calls, client_context(authority, version, bad), hook)
    assert [found.status for found in hook.asked] == [status]
    assert not hook.asked[0].is_trusted
    assert peer.engine.state is State.CLOSED
    assert peer.engine.ending is not None
    assert peer.engine.ending.code == 281
    assert status in peer.engine.ending.description
    assert peer.engine.negotiated is None
    assert alert in refused_with(peer)


@both_versions
def test_without_a_hook_the_preset_counts(
    asking: ServerContext,
    calls: Calls,
    authority: trustme.CA,
    person: trustme.LeafCert,
    stranger: trustme.LeafCert,
    version: ssl.TLSVersion,
) -> None:
    good = meet(asking, calls, client_context(authority, version, person))
    assert good.engine.state is State.OPEN
    bad = meet(asking, calls, client_context(authority, version, stranger))
    assert bad.engine.state is State.CLOSED


@both_versions
def test_the_hook_may_accept_a_bad_one(
    asking: ServerContext,
    calls: Calls,
    authority: trustme.CA,
    stranger: trustme.LeafCert,
    version: ssl.TLSVersion,
) -> None:
    hook = Decision(True)
    peer = meet(asking, calls, client_context(authority, version, stranger), hook)
    assert peer.engine.state is State.OPEN
    assert len(hook.asked) == 1
    assert peer.engine.client_certificate is not None
    assert not peer.engine.client_certificate.is_trusted


@both_versions
def test_the_hook_may_refuse_a_good_one(
    asking: ServerContext,
    calls: Calls,
    authority: trustme.CA,
    person: trustme.LeafCert,
    version: ssl.TLSVersion,
) -> None:
    """The client is told bad_certificate; pyOpenSSL alone says internal_error."""
    peer = meet(asking, calls, client_context(authority, version, person), Decision(False))
    assert peer.engine.state is State.CLOSED
    assert "bad certificate" in refused_with(peer)


def test_refusals_without_the_private_calls(
    leaf: trustme.LeafCert,
    calls: Calls,
    authority: trustme.CA,
    person: trustme.LeafCert,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(ffi, "has_private", lambda *names: False)
        context = serve(leaf, authority)
    peer = meet(context, calls, client_context(authority, TLS13, person), Decision(False))
    assert peer.engine.state is State.CLOSED
    assert "internal error" in refused_with(peer)
    good = meet(context, calls, client_context(authority, TLS13, person), Decision())
    assert good.engine.state is State.OPEN


@both_versions
def test_a_hook_that_raises_closes_the_connection(
    asking: ServerContext,
    calls: Calls,
    authority: trustme.CA,
    person: trustme.LeafCert,
    version: ssl.TLSVersion,
) -> None:
    class Broken(Decision):
        def __call__(self, found: ClientCertificate) -> bool:
            raise KeyError("handler")

    client = StdlibClient(
        client_context(authority, version, person),
        TLSEngine(asking, calls, on_certificate=Broken()),
    )
    with pytest.raises(KeyError, match="handler"):
        client.handshake()
    assert client.engine.state is State.CLOSED
    assert client.engine.ending is not None
    assert client.engine.ending.code == 281
    good = meet(asking, calls, client_context(authority, version, person))
    assert good.engine.state is State.OPEN


@both_versions
def test_the_chain_on_demand(
    leaf: trustme.LeafCert,
    calls: Calls,
    authority: trustme.CA,
    deep_person: trustme.LeafCert,
    version: ssl.TLSVersion,
) -> None:
    hook = Decision()
    context = serve(leaf, authority, include_cert_chain=True)
    meet(context, calls, client_context(authority, version, deep_person), hook)
    chain = x509.load_pem_x509_certificates(hook.asked[0].encoded)
    assert len(chain) == 3  # the verified chain, root included
    assert chain[0].issuer == chain[1].subject
    assert chain[2].issuer == chain[2].subject


@pytest.mark.parametrize(
    ("flags", "who", "is_open"),
    [
        (0x1, "expired", True),
        (0x10, "expired", False),
        (0x10, "stranger", True),
        (0x1, "stranger", False),
        (0x31, "expired", True),
    ],
)
def test_security_flags(
    leaf: trustme.LeafCert,
    calls: Calls,
    authority: trustme.CA,
    request: pytest.FixtureRequest,
    flags: int,
    who: str,
    is_open: bool,
) -> None:
    context = serve(leaf, authority, security_flags=flags)
    client = client_context(authority, TLS13, request.getfixturevalue(who))
    hook = Decision()
    peer = meet(context, calls, client, hook)
    assert (peer.engine.state is State.OPEN) is is_open
    assert bool(hook.asked[0].ignored) is is_open


@both_versions
def test_with_client_certificates_nothing_resumes(
    asking: ServerContext,
    calls: Calls,
    authority: trustme.CA,
    person: trustme.LeafCert,
    version: ssl.TLSVersion,
) -> None:
    """A resumed session would call nobody: every connection is judged anew."""
    context = client_context(authority, version, person)
    hook = Decision()
    first = meet(asking, calls, context, hook)
    first.decrypt(first.engine.send(b"x"))  # a ticket would come along with data
    session = first.object.session
    second = StdlibClient(
        context, TLSEngine(asking, calls, on_certificate=hook), session=session
    ).handshake()
    assert second.engine.state is State.OPEN
    assert not second.object.session_reused
    assert len(hook.asked) == 2


def test_a_certificate_that_nobody_judged_is_refused(
    asking: ServerContext,
    calls: Calls,
    authority: trustme.CA,
    person: trustme.LeafCert,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The last line: if OpenSSL ever calls otherwise than it does, nobody slips in."""
    monkeypatch.setattr(CallbackState, "judge", lambda *_: True)
    peer = meet(asking, calls, client_context(authority, TLS13, person), Decision(True))
    assert peer.engine.state is State.CLOSED
    assert peer.engine.ending is not None
    assert "not judged" in peer.engine.ending.description


def test_without_a_witness_nobody_is_trusted(
    asking: ServerContext,
    calls: Calls,
    authority: trustme.CA,
    person: trustme.LeafCert,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The callback of a Connection that has no state must not accept."""
    monkeypatch.setattr(ServerContext, "needs_witness", False)
    peer = meet(asking, calls, client_context(authority, TLS13, person), Decision(True))
    assert peer.engine.state is State.CLOSED
    assert peer.engine.ending is not None
    assert peer.engine.ending.code == 281
