"""Settings of TLS: their effect in process and on a shard, as clients of another OpenSSL see it."""

import re
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from websockets.exceptions import WebSocketException

from tests.processes.conftest import DEADLINE, RunServer, eventually
from tests.processes.surface_places import Asker, Place
from tests.processes.tls_client import EC, Authority

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is missing"),
]

TLS12 = ssl.TLSVersion.TLSv1_2


@pytest.fixture(params=["in-process", "same-shard"])
def place(request: pytest.FixtureRequest, launch: RunServer, tmp_path: Path) -> Iterator[Place]:
    """A server over TLS in one place, to be started by the test."""
    place = Place(request.param, launch, tmp_path, is_tls=True)
    yield place
    place.end()


def authority_of(place: Place) -> Authority:
    assert place.authority is not None
    return place.authority


def s_client(place: Place, *options: str, commands: str = "") -> str:
    """Return what `openssl s_client` prints."""
    found = subprocess.run(
        ["openssl", "s_client", "-connect", f"{place.host}:{place.port}", *options],
        input=commands,
        capture_output=True,
        check=False,
        text=True,
        timeout=DEADLINE,
    )
    return found.stdout + found.stderr


def agrees(place: Place, *options: str) -> bool:
    """Tell whether such a client and the server agree on something."""
    return "Cipher is (NONE)" not in s_client(place, *options)


@pytest.mark.surface(
    "UseSSL",
    "SSLCertStore",
    "SSLCertStoreType",
    "SSLEnabledProtocols",
    "OpenSSLCipherList",
    "SSLCipherStrength",
    "TLS12SupportedGroups",
    "TLS12SignatureAlgorithms",
    "SSLProvider",
    "SSLServerCACerts",
    "OpenSSLPrngSeedData",
    where=("in-process", "same-shard"),
    over="tls",
)
def test_what_tls_12_agrees_on(place: Place) -> None:
    place.start(
        ssl_cert_store_type=6,
        ssl_enabled_protocols=3072,
        openssl_cipher_list="ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256",
        ssl_cipher_strength=256,
        tls12_supported_groups="ecdhe_secp384r1,ecdhe_secp256r1",
        tls12_signature_algorithms="sha384-ecdsa",
        ssl_provider="Internal",
        ssl_server_ca_certs="kept",
        openssl_prng_seed_data="seed",
    )
    found = s_client(place)
    assert re.search(r"Cipher is ECDHE-ECDSA-AES256-GCM-SHA384$", found, re.M), found
    assert "TLSv1.2" in found
    assert re.search(r"Peer signing digest: SHA384$", found, re.M), found
    assert re.search(r"Server Temp Key: ECDH, (secp384r1|P-384)", found), found
    assert not agrees(place, "-tls1_3")
    assert not agrees(place, "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256")
    assert not agrees(place, "-sigalgs", "ECDSA+SHA256")
    asker = place.owner(place.on_shard(0)[0])
    assert asker.ask("config", 0, "SSLServerCACerts") == "kept"
    assert asker.ask("config", 0, "SSLProvider") == "Internal"


@pytest.mark.surface(
    "SSLEnabledCipherSuites",
    "TLS13SupportedGroups",
    "TLS13KeyShareGroups",
    "TLS13SignatureAlgorithms",
    where=("in-process", "same-shard"),
    over="tls",
)
def test_what_tls_13_agrees_on(place: Place) -> None:
    place.start(
        ssl_enabled_cipher_suites="TLS_CHACHA20_POLY1305_SHA256",
        tls13_supported_groups="ecdhe_secp384r1,ecdhe_secp256r1",
        tls13_key_share_groups="ecdhe_secp384r1",
        tls13_signature_algorithms="ed25519,ecdsa_secp256r1_sha256,rsa_pss_sha256",
    )
    found = s_client(place)
    assert re.search(r"TLSv1.3, Cipher is TLS_CHACHA20_POLY1305_SHA256$", found, re.M), found
    assert re.search(r"Peer signing digest: SHA256$", found, re.M), found
    assert re.search(r"Server Temp Key: ECDH, (secp384r1|P-384)", found), found
    assert not agrees(place, "-groups", "X25519")
    assert not agrees(place, "-ciphersuites", "TLS_AES_128_GCM_SHA256")
    assert not agrees(place, "-sigalgs", "ecdsa_secp384r1_sha384")


@pytest.mark.surface(
    "SSLCertSubject",
    "SSLCertEncoded",
    "SSLCertStorePassword",
    where=("in-process", "same-shard"),
    over="tls",
)
def test_which_certificate_is_presented(place: Place) -> None:
    authority = authority_of(place)
    first, second = (authority.store(name) for name in ("first", "second"))
    both = authority.directory / "both.pem"
    both.write_bytes(first.read_bytes() + second.read_bytes())
    place.start(ssl_cert_store=str(both), ssl_cert_subject="second", ssl_cert_store_password="x")
    client, _ = place.on_shard(0)
    assert isinstance(client.socket, ssl.SSLSocket)
    shown: Any = client.socket.getpeercert()
    assert dict(pair[0] for pair in shown["subject"])["commonName"] == "second"
    asker = place.owner(client)
    assert "CN=second" in asker.ask("config", 0, "SSLCertSubject")
    leaf = second.read_text()
    encoded = asker.ask("config", 0, "SSLCertEncoded")
    assert encoded.strip() in leaf
    assert asker.ask("config", 0, "SSLCertStorePassword") == {"error": 211}
    if place.where == "same-shard":  # a shard gets another certificate by a reload, as its siblings
        assert asker.ask("config", 0, "SSLCertSubject=first") == {"error": 211}
        return
    assert asker.ask("config", 0, "SSLCertSubject=CN=nobody") == ""
    assert asker.ask("config", 0, "SSLCertSubject=first") != ""
    assert "CN=first" in asker.ask("config", 0, "SSLCertSubject")


PERSONS = trustme.CA(key_type=EC)
BETWEEN = PERSONS.create_child_ca(key_type=EC)
ALICE = PERSONS.issue_cert("alice@example.org", common_name="alice", key_type=EC)
DEEP = BETWEEN.issue_cert("carol@example.org", common_name="carol", key_type=EC)
STRANGER = trustme.CA(key_type=EC).issue_cert("mallory@example.org", key_type=EC)


def as_person(place: Place, person: trustme.LeafCert | None) -> tuple[Asker, int]:
    """Return an asker that presents a certificate, and its id; an error when it is refused."""
    context = authority_of(place).context(TLS12)  # whose clients hear of a refusal at once
    if person is not None:
        person.configure_cert(context)
    client, identity = place.on_shard(0, ssl=context)
    return place.owner(client), identity


REFUSED = (OSError, EOFError, WebSocketException)  # as the client happens to hear of it


@pytest.mark.surface(
    "SSLAuthenticateClients",
    "SSLClientAuthentication",
    "SSLIncludeCertChain",
    where=("in-process", "same-shard"),
    over="tls",
)
@pytest.mark.parametrize("source", ["file", "directory", "paths", "text"])
@pytest.mark.surface(
    "OpenSSLCAFile",
    "OpenSSLCADir",
    "SSLCACertFilePaths",
    "SSLCACerts",
    where=("in-process", "same-shard"),
    over="tls",
)
def test_whose_certificates_are_accepted(place: Place, tmp_path: Path, source: str) -> None:
    directory = tmp_path / "authorities"
    directory.mkdir()
    file = directory / "persons.pem"
    PERSONS.cert_pem.write_to_path(str(file))
    place.start(
        ssl_authenticate_clients=True,
        ssl_include_cert_chain=True,
        **{
            "file": {"openssl_ca_file": str(file)},
            "directory": {"openssl_ca_dir": str(directory)},
            "paths": {"ssl_ca_cert_file_paths": f"/nowhere.pem;{file}"},
            "text": {"ssl_ca_certs": file.read_text()},
        }[source],
    )
    for stranger in (STRANGER, None):
        with pytest.raises(REFUSED):
            as_person(place, stranger)
    asker, identity = as_person(place, DEEP)
    assert ["on_ssl_client_authentication", 3, "OK"] in asker.ask("seen", identity)
    everything = asker.ask("seen all")
    none = ["on_ssl_client_authentication", 0, "the client presented no certificate"]
    assert none in everything
    assert everything.count(["on_error", 281]) == 2
    assert everything.count(["on_connected"]) == 1


@pytest.mark.surface("SSLSecurityFlags", where=("in-process", "same-shard"), over="tls")
def test_errors_that_the_flags_ignore(place: Place) -> None:
    place.start(ssl_authenticate_clients=True, ssl_security_flags=0x10)
    asker, identity = as_person(place, STRANGER)
    assert ["on_ssl_client_authentication", 1, "OK"] in asker.ask("seen", identity)


@pytest.mark.surface("LogSSLPackets", "SSLStatus", where=("in-process", "same-shard"), over="tls")
def test_packets_are_told_by_ssl_status(place: Place) -> None:
    place.start(log_ssl_packets=True)
    client, identity = place.on_shard(0)
    assert ["on_ssl_packet"] in place.owner(client).ask("seen", identity)


@pytest.mark.surface("ReuseSSLSession", where=("in-process", "same-shard"), over="tls")
@pytest.mark.parametrize("is_reused", [True, False])
def test_sessions_resume_when_they_may(place: Place, tmp_path: Path, is_reused: bool) -> None:
    place.start(reuse_ssl_session=is_reused)
    session = str(tmp_path / "session.pem")
    s_client(place, "-tls1_2", "-sess_out", session)
    if not is_reused:
        assert "Reused, TLSv1.2" not in s_client(place, "-tls1_2", "-reconnect")
        return
    assert "Reused, TLSv1.2" in s_client(place, "-tls1_2", "-sess_in", session)


@pytest.mark.surface(
    "SSLEnableRenegotiation", "Error", where=("in-process", "same-shard"), over="tls"
)
@pytest.mark.parametrize("is_allowed", [True, False])
def test_a_client_renegotiates_when_it_may(place: Place, is_allowed: bool) -> None:
    place.start(ssl_enable_renegotiation=is_allowed)
    found = s_client(place, "-tls1_2", commands="R\nQ\n")
    assert ("no renegotiation" in found) is not is_allowed
    asker = place.owner(place.on_shard(0)[0])
    if not is_allowed:
        eventually(lambda: ["on_error", 284] in errors(asker))


def errors(asker: Asker) -> list[Any]:
    """Return the errors of all connections so far."""
    return [event for event in asker.ask("seen all") if event[0] == "on_error"]
