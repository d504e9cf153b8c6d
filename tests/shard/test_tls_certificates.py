"""Certificate settings through the public API: stores of every kind, subjects, names, errors."""

import shutil
import ssl
import subprocess
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    load_pem_private_key,
    pkcs7,
    pkcs12,
)

from shardws import ShardwsError, WebSocketServer
from shardws.tls.containers import KEY_TYPES
from tests.shard.server_fixture import run
from tests.shard.tls_client import negotiate
from tests.shard.tls_server_fixture import (
    AUTHORITY,
    EC,
    LEAF,
    RSA_LEAF,
    client_context,
    listen_error,
    listening_tls,
    pem_of,
    tls_server,
    write_store,
)

OTHER = AUTHORITY.issue_cert("b.example", common_name="other", key_type=EC)
PASSWORD = "correct horse"


def shown(server: WebSocketServer, *names: str) -> list[str]:
    """Return the common name that a client of each server name is shown."""
    found: list[str] = []

    async def main() -> None:
        async with listening_tls(server):
            for name in names or ("127.0.0.1",):
                found.append((await negotiate(server, client_context(), name)).subject)

    run(main())
    return found


def certificates(leaf: trustme.LeafCert) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(pem_of(leaf))


def pfx(leaf: trustme.LeafCert) -> bytes:
    key = load_pem_private_key(leaf.private_key_pem.bytes(), None)
    assert isinstance(key, KEY_TYPES)
    first, *rest = certificates(leaf)
    protection = BestAvailableEncryption(PASSWORD.encode())
    return pkcs12.serialize_key_and_certificates(b"shard", key, first, rest or None, protection)


@pytest.mark.surface("SSLCertStore", "SSLCertStoreType", "SSLCertStorePassword")
@pytest.mark.parametrize("kind", [2, 3, 6, 7, 99])
def test_files_and_blobs_are_stores(kind: int, tmp_path: Path) -> None:
    data = pfx(LEAF) if kind in (2, 3) else pem_of(LEAF)
    file = tmp_path / "store"
    file.write_bytes(data)
    server = tls_server()
    server.ssl_cert_store_type = kind
    server.ssl_cert_store = data if kind in (3, 7) else str(file)
    server.ssl_cert_store_password = PASSWORD
    assert shown(server) == ["shard"]


@pytest.mark.surface("SSLCertStore", "SSLCertStoreType", "SSLCertStorePassword")
@pytest.mark.skipif(shutil.which("keytool") is None, reason="keytool (a JDK) is missing")
@pytest.mark.parametrize("kind", [4, 99])
def test_a_store_of_keytool_serves(kind: int, tmp_path: Path) -> None:
    file = tmp_path / "store.jks"
    subprocess.run(
        ["keytool", "-genkeypair", "-keystore", str(file), "-storetype", "JKS"]
        + ["-alias", "a", "-keyalg", "EC", "-dname", "CN=from java", "-ext", "san=ip:127.0.0.1"]
        + ["-storepass", PASSWORD, "-keypass", PASSWORD],
        check=True,
        capture_output=True,
    )
    server = tls_server()
    server.ssl_cert_store = str(file)
    server.ssl_cert_store_type = kind
    server.ssl_cert_store_password = PASSWORD

    async def main() -> None:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        async with listening_tls(server):
            assert (await negotiate(server, context)).version == "TLSv1.3"
            assert server.ssl_cert_subject == "CN=from java"

    run(main())


@pytest.mark.surface("SSLCertStorePassword")
def test_the_password_is_written_and_never_read() -> None:
    server = tls_server()
    server.ssl_cert_store = pfx(LEAF)
    server.ssl_cert_store_password = "battery staple"
    with pytest.raises(ShardwsError):
        _ = server.ssl_cert_store_password
    with pytest.raises(ShardwsError):
        server.config("SSLCertStorePassword")
    error = listen_error(server)
    assert error.code == 271
    assert "password" in error.description
    assert "battery" not in str(error) + repr(server.settings)
    server.ssl_cert_store_password = PASSWORD
    assert shown(server) == ["shard"]


@pytest.mark.surface("SSLCertSubject", "SSLCertEncoded")
def test_the_subject_chooses_and_reads_back_what_was_found() -> None:
    server = tls_server()
    server.ssl_cert_store = pem_of(LEAF) + pem_of(OTHER)
    server.ssl_cert_subject = "cn=OTHER"

    async def main() -> None:
        async with listening_tls(server):
            assert (await negotiate(server)).subject == "other"
            assert "CN=other" in server.ssl_cert_subject.split(", ")
            assert server.ssl_cert_subject != "cn=OTHER"
            assert server.ssl_cert_encoded == OTHER.cert_chain_pems[0].bytes()
        assert "CN=other" in server.ssl_cert_subject.split(", ")
        assert server.ssl_cert_encoded == OTHER.cert_chain_pems[0].bytes()

    run(main())


@pytest.mark.surface("SSLCertSubject", "SSLCertEncoded", "SSLCertStore")
def test_the_selection_is_seen_as_soon_as_it_is_made() -> None:
    """It was seen while listening only, and a subject that matched nothing read as if it had."""
    server = tls_server()
    server.ssl_cert_store = ""
    assert (server.ssl_cert_subject, server.ssl_cert_encoded) == ("*", b"")
    server.ssl_cert_store = pem_of(LEAF) + pem_of(OTHER)
    leaf, other = (one.cert_chain_pems[0].bytes() for one in (LEAF, OTHER))
    assert "CN=shard" in server.ssl_cert_subject
    assert server.ssl_cert_encoded == leaf
    server.ssl_cert_subject = "other"
    assert "CN=other" in server.config("SSLCertSubject")
    assert server.ssl_cert_encoded == other
    server.ssl_cert_subject = "CN=nobody"
    assert (server.ssl_cert_subject, server.config("SSLCertSubject")) == ("", "")
    assert listen_error(server).code == 272
    assert server.ssl_cert_subject == ""  # after the failed start too
    server.ssl_cert_subject = ""  # as "*"
    assert "CN=shard" in server.ssl_cert_subject
    server.ssl_cert_encoded = other
    assert "CN=other" in server.ssl_cert_subject
    assert shown(server, "b.example") == ["other"]
    server.ssl_cert_encoded = RSA_LEAF.cert_chain_pems[0].bytes()
    assert server.ssl_cert_subject == ""
    assert listen_error(server).code == 272
    server.ssl_cert_store = b"nonsense"
    server.ssl_cert_subject = "x"
    assert server.ssl_cert_subject == "x"  # nobody can tell
    assert "PRIVATE KEY" not in repr(server.settings)


@pytest.mark.surface("SSLCertSubject")
def test_without_a_subject_the_first_certificate_with_a_key_serves() -> None:
    server = tls_server()
    server.ssl_cert_store = AUTHORITY.cert_pem.bytes() + pem_of(OTHER) + pem_of(LEAF)
    assert server.ssl_cert_subject.startswith("CN=other, ")
    assert shown(server) == ["other"]


@pytest.mark.surface("SSLCertEncoded")
def test_an_encoded_certificate_finds_its_key_in_the_store() -> None:
    server = tls_server()
    server.ssl_cert_store = LEAF.private_key_pem.bytes() + pem_of(OTHER)
    server.ssl_cert_encoded = LEAF.cert_chain_pems[0].bytes()
    assert shown(server) == ["shard"]
    server.ssl_cert_encoded = RSA_LEAF.cert_chain_pems[0].bytes()
    assert listen_error(server).code == 272


def p7b(leaf: trustme.LeafCert) -> bytes:
    return pkcs7.serialize_certificates(certificates(leaf), Encoding.PEM)


@pytest.mark.surface("SSLCertStore", "UseSSL")
def test_what_cannot_serve_is_refused_at_the_start_with_its_reason(tmp_path: Path) -> None:
    server = tls_server()
    cases: list[tuple[str | bytes, int, int, str]] = [
        ("", 99, 271, "empty"),
        (str(tmp_path / "none.pem"), 6, 271, "No such file"),
        (b"nonsense", 7, 271, "PEM"),
        (AUTHORITY.cert_pem.bytes(), 99, 272, "no private key"),
        (LEAF.private_key_pem.bytes(), 99, 272, "no certificate"),
        (p7b(LEAF), 12, 272, "no private key"),
        (LEAF.cert_chain_pems[0].bytes(), 9, 272, "no private key"),
        (write_store(LEAF, tmp_path / "a.pem"), 20, 271, "hardware token"),
        (write_store(LEAF, tmp_path / "a.pem"), 0, 271, "Windows"),
    ]
    for value, kind, code, words in cases:
        server.ssl_cert_store = value
        server.ssl_cert_store_type = kind
        error = listen_error(server)
        assert (error.code, words in error.description) == (code, True), error
    server.ssl_cert_store, server.ssl_cert_store_type = pem_of(LEAF), 99
    server.ssl_cert_subject = "CN=nobody"
    error = listen_error(server)
    assert error.code == 272
    assert "CN=shard" in error.description  # what there is instead
    server.ssl_cert_subject = "*"
    assert shown(server) == ["shard"]


@pytest.mark.surface("UseSSL")
def test_tls_cannot_be_switched_while_listening() -> None:
    async def main() -> None:
        server = tls_server()
        async with listening_tls(server):
            with pytest.raises(ShardwsError) as raised:
                server.use_ssl = False
            assert raised.value.code == 104

    run(main())


def test_a_key_for_ecdsa_and_one_for_rsa_serve_their_clients() -> None:
    both = (
        AUTHORITY.issue_cert("127.0.0.1", common_name="ec", key_type=EC),
        AUTHORITY.issue_cert("127.0.0.1", common_name="rsa", key_type=trustme.KeyType.RSA),
    )
    server = tls_server()
    server.ssl_cert_store = b"".join(map(pem_of, both))

    async def main() -> None:
        async with listening_tls(server):
            assert (await negotiate(server)).subject == "ec"
            context = client_context(ssl.TLSVersion.TLSv1_2)
            context.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256")
            assert (await negotiate(server, context)).subject == "rsa"

    run(main())


def test_names_of_the_sni_map_get_their_certificate(tmp_path: Path) -> None:
    wild = AUTHORITY.issue_cert("*.c.example", common_name="wild", key_type=EC)
    server = tls_server()
    server.sni_map = (
        f"b.example={write_store(OTHER, tmp_path / 'b.pem')}",
        f"*.c.example={write_store(wild, tmp_path / 'c.pem')}",
    )
    names = ("b.example", "B.EXAMPLE", "x.c.example", "x.y.c.example", "c.example", "127.0.0.1")
    assert shown(server, *names) == ["other", "other", "wild", "shard", "shard", "shard"]


def test_a_store_of_the_sni_map_that_cannot_be_read_is_refused_at_the_start() -> None:
    server = tls_server()
    server.sni_map = ("b.example=/nowhere/b.pem",)
    error = listen_error(server)
    assert error.code == 271
    assert "/nowhere/b.pem" in error.description
