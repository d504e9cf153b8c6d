"""What TLS agrees on, by each setting, as a client of another OpenSSL sees it."""

import re
import ssl

import pytest

from shardws import Connected, ShardwsError, WebSocketServer
from tests.shard.server_fixture import EventRecorder, run
from tests.shard.tls_client import limited_client_context, negotiate_once, s_client
from tests.shard.tls_server_fixture import (
    RSA_LEAF,
    TLS12,
    TLS13,
    client_context,
    connect_wss,
    listen_error,
    listening_tls,
    tls_server,
)


def refuses(server: WebSocketServer, context: ssl.SSLContext) -> bool:
    """Tell whether the server and such a client cannot agree."""
    try:
        negotiate_once(server, context)
    except ssl.SSLError:
        return True
    return False


# -- versions and suites -------------------------------------------------------------------


@pytest.mark.surface("SSLEnabledProtocols")
def test_only_enabled_versions_are_served() -> None:
    server = tls_server()
    assert negotiate_once(server).version == "TLSv1.3"
    assert negotiate_once(server, client_context(TLS12)).version == "TLSv1.2"
    server.ssl_enabled_protocols = 3072
    assert negotiate_once(server).version == "TLSv1.2"
    assert refuses(server, client_context(TLS13))
    server.config("SSLEnabledProtocols=12288")
    assert negotiate_once(server).version == "TLSv1.3"
    assert refuses(server, client_context(TLS12))
    with pytest.raises(ShardwsError) as raised:
        server.ssl_enabled_protocols = 48  # SSL 3
    assert raised.value.code == 275


@pytest.mark.surface("SSLEnabledCipherSuites")
def test_only_enabled_suites_are_served() -> None:
    server = tls_server()
    server.ssl_enabled_cipher_suites = (
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256;TLS_CHACHA20_POLY1305_SHA256"
    )
    assert negotiate_once(server).cipher == "TLS_CHACHA20_POLY1305_SHA256"
    assert negotiate_once(server, client_context(TLS12)).cipher == "ECDHE-ECDSA-CHACHA20-POLY1305"
    server.ssl_enabled_cipher_suites = "TLS_AES_128_GCM_SHA256,NO_SUCH_SUITE"
    error = listen_error(server)
    assert error.code == 274
    assert "NO_SUCH_SUITE" in error.description


@pytest.mark.surface("OpenSSLCipherList")
def test_the_cipher_list_of_openssl_is_for_tls_12() -> None:
    server = tls_server()
    server.openssl_cipher_list = "ECDHE-ECDSA-AES256-GCM-SHA384"
    assert negotiate_once(server, client_context(TLS12)).cipher == "ECDHE-ECDSA-AES256-GCM-SHA384"
    assert refuses(server, limited_client_context(TLS12, "ECDHE-ECDSA-AES128-GCM-SHA256"))
    assert negotiate_once(server).version == "TLSv1.3"
    server.openssl_cipher_list = "aNULL"
    assert listen_error(server).code == 274


@pytest.mark.surface("SSLCipherStrength")
def test_short_keys_are_not_served() -> None:
    server = tls_server()
    weak = limited_client_context(TLS12, "ECDHE-ECDSA-AES128-GCM-SHA256")
    assert negotiate_once(server, weak).cipher == "ECDHE-ECDSA-AES128-GCM-SHA256"
    server.ssl_cipher_strength = 256
    assert refuses(server, weak)
    assert negotiate_once(server).cipher in (
        "TLS_AES_256_GCM_SHA384",
        "TLS_CHACHA20_POLY1305_SHA256",
    )


# -- groups and signatures -----------------------------------------------------------------


def exchange(server: WebSocketServer, context: ssl.SSLContext | None = None) -> str:
    """Return the key exchange that the server tells of a connection."""
    found: list[str] = []

    async def main() -> None:
        recorder = EventRecorder()

        def on_connected(e: Connected) -> None:
            found.append(server.config(f"SSLNegotiatedKeyExchange[{e.connection_id}]"))
            recorder.note("connected")

        server.on_connected = on_connected
        async with listening_tls(server) as url:
            ws = await connect_wss(url, context)
            await recorder.wait_for("connected")
            await ws.close()

    run(main())
    return found[0]


@pytest.mark.surface("TLS12SupportedGroups", "TLS13SupportedGroups", "SSLNegotiatedKeyExchange")
def test_groups_are_set_for_each_version() -> None:
    """Lists that differ make two contexts, and the ClientHello chooses."""
    server = tls_server()
    server.tls12_supported_groups = "ecdhe_secp384r1"
    server.tls13_supported_groups = "secp521r1"
    assert exchange(server, client_context(TLS12)) == "secp384r1"
    assert exchange(server, client_context(TLS13)) == "secp521r1"
    assert refuses(server, limited_client_context(TLS12, curve="prime256v1"))
    assert refuses(server, limited_client_context(TLS13, curve="prime256v1"))
    server.tls13_supported_groups = "no_such_group"
    assert listen_error(server).code == 276


@pytest.mark.surface("TLS13KeyShareGroups")
def test_key_shares_are_among_the_groups() -> None:
    server = tls_server()
    server.tls13_supported_groups = "ecdhe_x25519,ecdhe_secp256r1"
    server.tls13_key_share_groups = "ecdhe_secp256r1"
    assert exchange(server, limited_client_context(TLS13, curve="prime256v1")) == "secp256r1"
    server.tls13_key_share_groups = "ecdhe_secp384r1"
    assert listen_error(server).code == 276


@pytest.mark.surface("TLS12SignatureAlgorithms", "TLS13SignatureAlgorithms")
@pytest.mark.parametrize(
    ("version", "digest", "kind"), [("-tls1_2", "SHA384", "RSA"), ("-tls1_3", "SHA512", "RSA-PSS")]
)
def test_signatures_are_set_for_each_version(version: str, digest: str, kind: str) -> None:
    async def main() -> None:
        server = tls_server(leaf=RSA_LEAF)
        server.tls12_signature_algorithms = "rsa-sha384"
        server.tls13_signature_algorithms = "rsa_pss_rsae_sha512"
        async with listening_tls(server):
            found = await s_client(server, version)
        assert re.search(rf"Peer signing digest: {digest}$", found, re.M), found
        assert re.search(rf"Peer signature type: {kind}$", found, re.M), found

    run(main())


@pytest.mark.surface("TLS12SignatureAlgorithms", "TLS13SignatureAlgorithms")
@pytest.mark.parametrize("name", ["tls12_signature_algorithms", "tls13_signature_algorithms"])
def test_signatures_that_fit_no_certificate_are_refused_at_the_start(name: str) -> None:
    """OpenSSL would take the list and refuse every client."""
    server = tls_server()
    setattr(server, name, "rsa_pss_rsae_sha256")  # with a certificate for ECDSA
    assert listen_error(server).code == 276


# The defaults of the component whose names these settings have.
LISTS = {
    "tls12_signature_algorithms": "sha256-rsa,sha256-dsa,sha1-rsa,sha1-dsa",
    "tls13_signature_algorithms": "ed25519,ed448,ecdsa_secp256r1_sha256,ecdsa_secp384r1_sha384,"
    "ecdsa_secp521r1_sha512,rsa_pkcs1_sha256,rsa_pkcs1_sha384,rsa_pkcs1_sha512,"
    "rsa_pss_sha256,rsa_pss_sha384,rsa_pss_sha512",
}


@pytest.mark.surface("TLS12SignatureAlgorithms", "TLS13SignatureAlgorithms")
@pytest.mark.parametrize(("version", "digest"), [("-tls1_2", "SHA256"), ("-tls1_3", "SHA256")])
def test_the_lists_of_the_original_component_serve(version: str, digest: str) -> None:
    async def main() -> None:
        server = tls_server(leaf=RSA_LEAF)
        for name, value in LISTS.items():
            setattr(server, name, value)
        async with listening_tls(server):
            found = await s_client(server, version)
        assert re.search(rf"Peer signing digest: {digest}$", found, re.M), found

    run(main())
