"""Cipher suites: three settings become the two lists that OpenSSL takes.

Owns the defaults and the rules; the rows are in `suite_table`. Facts: OpenSSL keeps TLS 1.3 suites
apart from the others. Unknown names in a cipher string are silently ignored and "ALL" includes
anonymous suites, so an operator's string is expanded here and its members are checked one by one.
"""

import difflib
import re
from typing import Final, NamedTuple

from OpenSSL import SSL

from shardws.errors import TLSSetupError
from shardws.tls.suite_table import TABLE, Suite

BY_NUMBER: Final = {suite.number: suite for suite in TABLE}
BY_NAME: Final = {
    name.upper(): suite for suite in TABLE if suite.openssl for name in (suite.name, suite.openssl)
}
# Mozilla intermediate 5.7: forward secrecy and AEAD, the cheapest first.
MODERN: Final = tuple(BY_NUMBER[number] for number in (0x1301, 0x1302, 0x1303))
INTERMEDIATE: Final = tuple(
    BY_NUMBER[number]
    for number in (0xC02B, 0xC02F, 0xC02C, 0xC030, 0xCCA9, 0xCCA8, 0x009E, 0x009F, 0xCCAA)
)
# What TLS 1.0 and 1.1 need in addition, when the operator enables those.
OLD: Final = tuple(BY_NUMBER[number] for number in (0xC009, 0xC013, 0xC00A, 0xC014, 0x002F, 0x0035))
EVERYTHING: Final = "*"
SEPARATORS: Final = re.compile(r"[;,:\s]+")
LEVEL: Final = re.compile(r"@SECLEVEL=([0-5])", re.IGNORECASE)
WEAK: Final = re.compile(r"_anon_|_NULL_|PSK|SRP|EXPORT|RC4")


class Selection(NamedTuple):
    """The suites to use; an empty part rules out the versions it serves."""

    modern: tuple[Suite, ...]  # TLS 1.3
    legacy: tuple[Suite, ...]  # TLS 1.2 and older
    level: int | None  # @SECLEVEL of the operator's cipher string
    is_ordered: bool  # the operator gave an order, which nothing overrules

    def modern_string(self) -> bytes:
        return ":".join(suite.openssl for suite in self.modern).encode()

    def legacy_string(self) -> bytes:
        level = "" if self.level is None else f":@SECLEVEL={self.level}"
        return (":".join(suite.openssl for suite in self.legacy) + level).encode()


def name_of(number: int) -> str:
    """Return the IANA name of a suite; unknown ones as 0x1A2B."""
    suite = BY_NUMBER.get(number)
    return suite.name if suite else f"0x{number:04X}"


def iana_name(openssl_name: str) -> str:
    """Return the IANA name for OpenSSL's; a name we do not know as it is."""
    suite = BY_NAME.get(openssl_name.upper())
    return suite.name if suite else openssl_name


def select(enabled: str, cipher_list: str, strength: int, is_old: bool = False) -> Selection:
    """Combine SSLEnabledCipherSuites, OpenSSLCipherList and SSLCipherStrength (bits).

    `enabled` names suites of all versions, `cipher_list` is an OpenSSL string for TLS 1.2 and
    older; given both, only what both allow is left. TLSSetupError 274 for an unknown name, a
    suite without authentication or encryption, or when nothing is left.
    """
    named = _named(enabled)
    legacy = INTERMEDIATE + (OLD if is_old else ())
    modern = MODERN
    if named is not None:
        legacy = tuple(suite for suite in named if not _is_modern(suite))
        modern = tuple(suite for suite in named if _is_modern(suite))
    level = None
    if cipher_list.strip():
        listed, level = _listed(cipher_list.strip())
        legacy = tuple(suite for suite in listed if named is None or suite in legacy)
    if strength:
        legacy = tuple(suite for suite in legacy if suite.bits >= strength)
        modern = tuple(suite for suite in modern if suite.bits >= strength)
    if not legacy and not modern:
        raise TLSSetupError(274, f"no cipher suite is left (at least {strength} bits)")
    return Selection(modern, legacy, level, named is not None or bool(cipher_list.strip()))


def _is_modern(suite: Suite) -> bool:
    return suite.number >> 8 == 0x13


def _named(enabled: str) -> tuple[Suite, ...] | None:
    """Look up names, IANA's or OpenSSL's; None for the default."""
    names = [name for name in SEPARATORS.split(enabled) if name]
    if not names or names == [EVERYTHING]:
        return None
    return tuple(dict.fromkeys(_lookup(name) for name in names))


def _lookup(name: str) -> Suite:
    suite = BY_NAME.get(name.upper())
    if suite is None:
        near = difflib.get_close_matches(name.upper(), BY_NAME, 1)
        hint = f"; did you mean {BY_NAME[near[0]].name}?" if near else ""
        raise TLSSetupError(274, f"unknown cipher suite {name!r}{hint}")
    if WEAK.search(suite.name):
        raise TLSSetupError(274, f"{suite.name} is refused: it is not secure")
    if not _is_modern(suite) and not _expand(suite.openssl):
        raise TLSSetupError(274, f"{suite.name} is not available in this OpenSSL")
    return suite


def _listed(cipher_list: str) -> tuple[tuple[Suite, ...], int | None]:
    """Expand an OpenSSL cipher string, without insecure suites; check each word by itself."""
    for word in SEPARATORS.split(cipher_list):
        if word and word[0] not in "!-+@":
            _check_word(word)
    level = LEVEL.search(cipher_list)
    found = [suite for suite in _expand(cipher_list) if not WEAK.search(suite.name)]
    return tuple(found), int(level[1]) if level else None


def _check_word(word: str) -> None:
    """Refuse a word that names no suite, or only insecure ones."""
    members = _expand(f"{word}:@SECLEVEL=0")
    if not members:
        raise TLSSetupError(274, f"OpenSSLCipherList: {word!r} names no available cipher suite")
    if all(WEAK.search(suite.name) for suite in members):
        raise TLSSetupError(274, f"OpenSSLCipherList: {word!r} is refused: it is not secure")


def _expand(cipher_list: str) -> list[Suite]:
    """Return the members of a cipher string for TLS 1.2 and older, as OpenSSL orders them."""
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    try:
        context.set_cipher_list(cipher_list.encode())
    except SSL.Error:
        return []
    names = SSL.Connection(context).get_cipher_list()
    found = (BY_NAME.get(name.upper()) for name in names)
    return [suite for suite in found if suite and not _is_modern(suite)]
