"""Groups and signature algorithms: spellings, numbers, strengths."""

import pytest
from OpenSSL import SSL

from shardws.errors import TLSSetupError
from shardws.tls import algorithms, ffi


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", ()),
        ("ecdhe_x25519,ffdhe_2048", ("x25519", "ffdhe2048")),
        ("X25519:P-256;prime256v1", ("x25519", "secp256r1")),
        ("ecdhe_secp256r1, ecdhe_secp384r1", ("secp256r1", "secp384r1")),
        ("x25519mlkem768", ("X25519MLKEM768",)),
    ],
)
def test_groups(text: str, names: tuple[str, ...]) -> None:
    assert algorithms.groups(text) == names


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", ()),
        ("rsa-sha256, ecdsa-sha384", ("RSA+SHA256", "ECDSA+SHA384")),
        ("RSA+SHA512", ("RSA+SHA512",)),
        ("sha256-rsa,sha1-dsa, SHA384+ECDSA", ("RSA+SHA256", "DSA+SHA1", "ECDSA+SHA384")),
        ("rsa_pss_sha256", ("rsa_pss_rsae_sha256", "rsa_pss_pss_sha256")),
        ("sha512-rsa-pss", ("rsa_pss_rsae_sha512", "rsa_pss_pss_sha512")),
        ("rsa-pkcs1-sha256;rsa_pkcs1_sha384", ("RSA+SHA256", "rsa_pkcs1_sha384")),
        ("rsa_pss_rsae_sha256;ED25519", ("rsa_pss_rsae_sha256", "ed25519")),
    ],
)
def test_signatures(text: str, names: tuple[str, ...]) -> None:
    assert algorithms.signatures(text) == names


@pytest.mark.parametrize(
    ("text", "words"), [("x25518", "did you mean x25519"), ("zzz", "unknown group 'zzz' \\(")]
)
def test_unknown_groups(text: str, words: str) -> None:
    with pytest.raises(TLSSetupError, match=words) as caught:
        algorithms.groups(text)
    assert caught.value.code == 276


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rsa-md5", "unknown signature"),
        ("rsa-pss-sha1", "unknown signature"),
        ("x-sha256", "unknown signature"),
        ("sha257-rsa", "unknown signature"),
        ("ed25518", "did you mean ed25519"),
        ("q", "'q' \\("),
    ],
)
def test_unknown_signatures(text: str, words: str) -> None:
    with pytest.raises(TLSSetupError, match=words) as caught:
        algorithms.signatures(text)
    assert caught.value.code == 276


def test_key_shares_are_a_subset() -> None:
    algorithms.check_key_shares("x25519", ("x25519", "secp256r1"))
    algorithms.check_key_shares("", ("x25519",))
    algorithms.check_key_shares("ffdhe2048", ())  # the default supports all
    with pytest.raises(TLSSetupError, match="secp256r1 not in TLS13SupportedGroups"):
        algorithms.check_key_shares("P-256", ("x25519",))
    with pytest.raises(TLSSetupError, match="unknown group"):
        algorithms.check_key_shares("p-1", ())


def test_numbers_and_strengths() -> None:
    assert algorithms.group_name(0x1D) == "x25519"
    assert algorithms.group_name(0x9999) == "0x9999"
    assert algorithms.group_bits("x25519") == 255
    assert algorithms.group_bits("X25519MLKEM768") == 768
    assert algorithms.group_bits("new") == 0
    assert algorithms.signature_name(0x0403) == "ecdsa_secp256r1_sha256"
    assert algorithms.signature_name(0x9999) == "0x9999"


def test_openssl_knows_all_the_names() -> None:
    """A row that OpenSSL spells otherwise could never be set."""
    for group in algorithms.GROUPS:
        ffi.set_groups(SSL.Context(SSL.TLS_SERVER_METHOD), (group.name,))
    for name in algorithms.SIGNATURES.values():
        if not name.startswith("dsa"):
            ffi.set_signatures(SSL.Context(SSL.TLS_SERVER_METHOD), algorithms.signatures(name))
