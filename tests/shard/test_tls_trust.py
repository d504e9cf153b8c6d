"""Whom a server trusts: authorities, flags that ignore errors, the chain that is told."""

import logging
import ssl
from pathlib import Path

import pytest

from shardws import SSLClientAuthentication
from tests.shard.client_certificates import (
    ALICE,
    CAROL,
    CLIENT_CA,
    EXPIRED,
    UNTRUSTED,
    client_auth_server,
    upgrade_response,
)
from tests.shard.server_fixture import run
from tests.shard.tls_server_fixture import (
    AUTHORITY,
    EC,
    listening_tls,
    tls_server,
)


@pytest.mark.surface("SSLSecurityFlags")
def test_ignored_errors_are_logged_as_warnings(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        server = client_auth_server()
        server.ssl_security_flags = 0x1 | 0x10
        async with listening_tls(server):
            assert b"101" in await upgrade_response(server, EXPIRED)
            assert b"101" in await upgrade_response(server, UNTRUSTED)

    run(main())
    lines = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert any("ignore certificate errors" in line for line in lines)
    assert any("CN=dave" in line and "certificate has expired" in line for line in lines)
    assert any("CN=mallory" in line and "issuer" in line for line in lines)


@pytest.mark.surface("SSLIncludeCertChain")
@pytest.mark.parametrize("is_wanted", [False, True])
def test_the_chain_is_told_when_it_is_asked_for(is_wanted: bool) -> None:
    async def main() -> None:
        seen: list[SSLClientAuthentication] = []
        server = client_auth_server()
        server.ssl_include_cert_chain = is_wanted
        server.on_ssl_client_authentication = seen.append
        async with listening_tls(server):
            assert b"101" in await upgrade_response(server, CAROL)
        assert seen[0].cert_encoded.count(b"BEGIN CERTIFICATE") == (3 if is_wanted else 1)

    run(main())


@pytest.mark.surface("OpenSSLCAFile", "OpenSSLCADir", "SSLCACertFilePaths", "SSLCACerts")
@pytest.mark.parametrize(
    "source", ["openssl_ca_file", "openssl_ca_dir", "ssl_ca_cert_file_paths", "ssl_ca_certs"]
)
def test_each_source_of_authorities_is_trusted(source: str, tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    CLIENT_CA.cert_pem.write_to_path(str(file))
    value = {
        "openssl_ca_file": str(file),
        "openssl_ca_dir": str(tmp_path),
        "ssl_ca_cert_file_paths": f"/nowhere/first.pem;{file}",
        "ssl_ca_certs": file.read_text(),
    }[source]

    async def main() -> None:
        server = tls_server()
        server.ssl_authenticate_clients = True
        setattr(server, source, value)
        async with listening_tls(server):
            assert b"101" in await upgrade_response(server, ALICE)
            with pytest.raises(ssl.SSLError, match=r"(?i)unknown.ca"):
                await upgrade_response(server, UNTRUSTED)

    run(main())


def test_the_servers_own_authority_is_not_trusted_for_clients() -> None:
    """What the server presents says nothing about whom it lets in."""

    async def main() -> None:
        server = client_auth_server()
        own = AUTHORITY.issue_cert("eve@example.org", common_name="eve", key_type=EC)
        async with listening_tls(server):
            with pytest.raises(ssl.SSLError, match=r"(?i)unknown.ca"):
                await upgrade_response(server, own)

    run(main())
