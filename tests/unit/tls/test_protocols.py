"""The bit mask of SSLEnabledProtocols."""

import pytest
import trustme
from OpenSSL import SSL

from shardws.errors import TLSSetupError
from shardws.tls import probe, protocols, stores
from tests.unit.tls.stdlib_client import pem_of


@pytest.mark.parametrize(
    ("mask", "names"),
    [
        (15360, ["TLSv1.2", "TLSv1.3"]),
        (12288, ["TLSv1.3"]),
        (3072, ["TLSv1.2"]),
        (768, ["TLSv1.1"]),
        (192, ["TLSv1"]),
        (0x40, ["TLSv1"]),
        (0x80, ["TLSv1"]),
        (16320, ["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"]),
    ],
)
def test_masks(mask: int, names: list[str]) -> None:
    assert [version.name for version in protocols.enabled(mask)] == names


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (0x0C, "SSL 2 and SSL 3"),
        (0x30 | 0xC00, "SSL 2 and SSL 3"),
        (0, "no protocol"),
        (0x10000, "unknown bits"),
        (0xC01, "unknown bits"),
        (-16384, "unknown bits"),
    ],
)
def test_refused_masks(mask: int, words: str) -> None:
    with pytest.raises(TLSSetupError, match=words) as caught:
        protocols.enabled(mask)
    assert caught.value.code == 275


@pytest.mark.parametrize("mask", [192 | 3072, 192 | 768 | 12288, 768 | 3072, 15360])
def test_exactly_the_enabled_versions_are_spoken(mask: int, leaf: trustme.LeafCert) -> None:
    """Also with holes: 1.0 and 1.2 without 1.1."""
    wanted = protocols.enabled(mask)
    entry = stores.load(pem_of(leaf)).entries[0]
    for version in protocols.VERSIONS:
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.set_cipher_list(b"ALL:@SECLEVEL=0")
        context.use_certificate(entry.leaf)
        context.use_privatekey(entry.key)
        protocols.restrict(context, wanted)
        if version in wanted:
            server, _ = probe.handshake(context, version)
            assert server.get_protocol_version_name() == version.name
        else:
            with pytest.raises(SSL.Error):
                probe.handshake(context, version)


def test_old_versions_need_old_security() -> None:
    assert protocols.needs_old_security(protocols.enabled(192 | 12288))
    assert not protocols.needs_old_security(protocols.enabled(15360))
