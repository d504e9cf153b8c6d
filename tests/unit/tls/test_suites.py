"""Cipher suites: three settings, two lists."""

import pytest

from shardws.errors import TLSSetupError
from shardws.tls import suites
from shardws.tls.suite_table import Suite


def names(part: tuple[Suite, ...]) -> list[str]:
    return [suite.name for suite in part]


def refusal(enabled: str = "*", cipher_list: str = "", strength: int = 0) -> str:
    with pytest.raises(TLSSetupError) as caught:
        suites.select(enabled, cipher_list, strength)
    assert caught.value.code == 274
    return caught.value.description


def test_default_is_mozilla_intermediate() -> None:
    chosen = suites.select("*", "", 0)
    assert names(chosen.modern) == [
        "TLS_AES_128_GCM_SHA256",
        "TLS_AES_256_GCM_SHA384",
        "TLS_CHACHA20_POLY1305_SHA256",
    ]
    assert chosen.legacy_string() == (
        b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
        b"ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
        b"ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"
        b"DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384:DHE-RSA-CHACHA20-POLY1305"
    )
    assert chosen.level is None
    assert not chosen.is_ordered
    assert suites.select("", "", 0) == chosen


def test_old_versions_get_suites_they_know() -> None:
    added = set(names(suites.select("*", "", 0, is_old=True).legacy))
    assert "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA" in added


@pytest.mark.parametrize("separator", [";", ",", ":", "; ", " "])
def test_enabled_suites_by_either_name(separator: str) -> None:
    given = ["TLS_AES_256_GCM_SHA384", "ECDHE-RSA-AES128-GCM-SHA256", "tls_aes_256_gcm_sha384"]
    chosen = suites.select(separator.join(given), "", 0)
    assert names(chosen.modern) == ["TLS_AES_256_GCM_SHA384"]
    assert names(chosen.legacy) == ["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"]
    assert chosen.is_ordered
    assert chosen.modern_string() == b"TLS_AES_256_GCM_SHA384"


def test_an_unknown_suite_is_an_error_with_the_nearest_name() -> None:
    told = refusal("TLS_AES_256_GCM_SHA38")
    assert "did you mean TLS_AES_256_GCM_SHA384?" in told
    assert refusal("xyz") == "unknown cipher suite 'xyz'"


@pytest.mark.parametrize(
    "name",
    ["TLS_RSA_WITH_NULL_SHA256", "TLS_DH_anon_WITH_AES_128_CBC_SHA", "PSK-AES128-CBC-SHA"],
)
def test_suites_that_protect_nobody_are_refused(name: str) -> None:
    assert "refused" in refusal(name)


def test_a_suite_that_openssl_lacks_is_refused() -> None:
    assert "not available" in refusal("TLS_RSA_WITH_3DES_EDE_CBC_SHA")


def test_strength() -> None:
    chosen = suites.select("*", "", 256)
    assert {suite.bits for suite in (*chosen.modern, *chosen.legacy)} == {256}
    assert refusal("TLS_AES_128_GCM_SHA256", "", 256).startswith("no cipher suite is left")


def test_cipher_list_is_expanded() -> None:
    chosen = suites.select("*", "ECDHE+AESGCM:!aECDSA", 0)
    assert names(chosen.legacy) == [
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    ]
    assert len(chosen.modern) == 3
    assert chosen.is_ordered


def test_cipher_list_and_enabled_suites_meet() -> None:
    both = suites.select("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "ECDHE+AESGCM", 0)
    assert names(both.legacy) == ["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"]
    assert both.modern == ()


@pytest.mark.parametrize("word", ["ALL", "HIGH", "ALL:@SECLEVEL=0"])
def test_broad_words_leave_out_what_protects_nobody(word: str) -> None:
    """ "ALL" of OpenSSL holds anonymous and PSK suites."""
    chosen = suites.select("*", word, 0)
    assert len(chosen.legacy) > 10
    assert not [name for name in names(chosen.legacy) if suites.WEAK.search(name)]


def test_security_level_is_kept() -> None:
    chosen = suites.select("*", "HIGH:@SECLEVEL=1", 0)
    assert chosen.level == 1
    assert chosen.legacy_string().endswith(b":@SECLEVEL=1")


@pytest.mark.parametrize("word", ["eNULL", "aNULL", "PSK", "ADH-AES128-SHA"])
def test_words_for_what_protects_nobody_are_refused(word: str) -> None:
    assert "is not secure" in refusal("*", f"HIGH:{word}")


def test_unknown_words_are_refused() -> None:
    """OpenSSL passes over them in silence."""
    assert "'ECDHE-RSA-AES999'" in refusal("*", "HIGH:ECDHE-RSA-AES999")
    assert len(suites.select("*", "HIGH:!RC4:!3DES:-EXPORT:+SHA1", 0).legacy) > 10


def test_names() -> None:
    assert suites.name_of(0x1301) == "TLS_AES_128_GCM_SHA256"
    assert suites.name_of(0x00FF) == "TLS_EMPTY_RENEGOTIATION_INFO_SCSV"
    assert suites.name_of(0xFEFE) == "0xFEFE"
    assert suites.iana_name("ECDHE-RSA-AES128-GCM-SHA256").startswith("TLS_ECDHE_RSA_WITH")
    assert suites.iana_name("NEW-SUITE") == "NEW-SUITE"
