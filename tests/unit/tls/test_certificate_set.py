"""All certificates of a server: by name, and by choice."""

import dataclasses
from pathlib import Path

import pytest
import trustme

from shardws.errors import TLSSetupError
from shardws.tls import certificate_set, selftest, stores
from shardws.tls.certificate_set import Alternatives
from shardws.tls.clienthello import Hello
from shardws.tls.config import TLSConfig
from shardws.tls.engine import TLSEngine
from tests.unit.tls.stdlib_client import EC, StdlibClient, client_context, config_of, pem_of

CALLS = selftest.choose().calls


def named(server_name: str) -> Hello:
    return Hello((), server_name=server_name)


@pytest.fixture(scope="module")
def wild(authority: trustme.CA) -> trustme.LeafCert:
    return authority.issue_cert("*.wild.example.org", common_name="wild", key_type=EC)


def test_default_alone_needs_no_choice(leaf: trustme.LeafCert) -> None:
    made = certificate_set.build(config_of(leaf))
    assert not made.needs_choice
    assert made.choose(None) is made.choose(named("x")) is made.default
    assert made.facts == made.default.facts
    assert made.warnings == ()


def test_by_name(leaf: trustme.LeafCert, wild: trustme.LeafCert, authority: trustme.CA) -> None:
    made = certificate_set.build(config_of(leaf), [("*.wild.example.org", config_of(wild))])
    assert made.needs_choice
    assert made.choose(None) is made.default
    assert made.choose(named("elsewhere.org")) is made.default
    engine = TLSEngine(made.default, CALLS, is_choosing=True)
    client = StdlibClient(client_context(authority), engine, "a.wild.example.org")
    client.handshake(lambda engine: engine.start(made.choose(engine.hello)))
    assert client.error is None
    assert engine.context is made.contexts[1]
    assert engine.negotiated is not None
    assert engine.negotiated.server_name == "a.wild.example.org"
    assert [fact.names for fact in made.facts] == [("shard.example.org",), ("*.wild.example.org",)]


def test_a_broken_certificate_makes_no_site(leaf: trustme.LeafCert) -> None:
    with pytest.raises(TLSSetupError):
        certificate_set.build(config_of(leaf), [("a.org", TLSConfig(cert_store=b"\x30broken"))])
    with pytest.raises(TLSSetupError, match="twice"):
        certificate_set.build(
            config_of(leaf), [("a.org", config_of(leaf)), ("a.org", config_of(leaf))]
        )


def test_warnings_come_once(leaf: trustme.LeafCert) -> None:
    asking = dataclasses.replace(config_of(leaf), authenticate_clients=True)
    made = certificate_set.build(asking, [("a.org", asking)])
    assert len(made.warnings) == 1


@pytest.fixture
def alternatives(leaf: trustme.LeafCert) -> Alternatives:
    made = certificate_set.build(config_of(leaf))
    return Alternatives(config_of(leaf), made.default)


def test_alternatives_are_made_once(alternatives: Alternatives, wild: trustme.LeafCert) -> None:
    first = alternatives.get(pem_of(wild), 7, "", "*")
    assert alternatives.get(pem_of(wild), 7, "", "*") is first
    assert alternatives.get(pem_of(wild).decode(), 7, "", "*") is first
    assert alternatives.get(pem_of(wild), 99, "", "*") is not first
    assert first.parent is not None
    assert "CN=wild" in first.facts[0].subject


def test_alternatives_see_a_renewed_file(
    alternatives: Alternatives, wild: trustme.LeafCert, leaf: trustme.LeafCert, tmp_path: Path
) -> None:
    path = tmp_path / "store.pem"
    path.write_bytes(pem_of(wild))
    first = alternatives.get(str(path), stores.AUTO, "", "*")
    assert alternatives.get(str(path), stores.AUTO, "", "*") is first
    path.write_bytes(pem_of(leaf))
    second = alternatives.get(str(path), stores.AUTO, "", "*")
    assert "CN=shard" in second.facts[0].subject
    assert alternatives.get(str(path), 6, "", "*") is not second


def test_alternatives_are_bounded(
    alternatives: Alternatives, wild: trustme.LeafCert, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certificate_set, "MAX_ALTERNATIVES", 2)
    first = alternatives.get(pem_of(wild), 7, "", "*")
    second = alternatives.get(pem_of(wild), 7, "", "CN=wild")
    assert alternatives.get(pem_of(wild), 7, "", "*") is first
    alternatives.get(pem_of(wild), 7, "", "wild")
    assert alternatives.get(pem_of(wild), 7, "", "*") is first
    assert alternatives.get(pem_of(wild), 7, "", "CN=wild") is not second


def test_alternatives_tell_what_is_wrong(alternatives: Alternatives) -> None:
    for value, kind, code in ((b"x", 7, 271), ("/missing", 6, 271), (b"x", 0, 271), (b"", 99, 271)):
        with pytest.raises(TLSSetupError) as caught:
            alternatives.get(value, kind, "", "*")
        assert caught.value.code == code
