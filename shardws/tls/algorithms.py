"""Key-exchange groups and signature algorithms: names, numbers, strengths.

Owns the two tables (IANA TLS registries) and the spellings of other libraries.
Besides the names of IANA and OpenSSL it reads `ecdhe_x25519`, `ffdhe_2048`, and a hash with a kind
of key in either order (`sha256-rsa`, `rsa-sha256`, `rsa_pss_sha256`). Errors are TLSSetupError 276.
"""

import difflib
import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from shardws.errors import TLSSetupError


class Group(NamedTuple):
    """One group; `bits` is the size of its field or modulus, of ML-KEM its parameter set."""

    number: int
    name: str  # as OpenSSL spells it
    bits: int


GROUPS: Final = (
    Group(0x0017, "secp256r1", 256),
    Group(0x0018, "secp384r1", 384),
    Group(0x0019, "secp521r1", 521),
    Group(0x001A, "brainpoolP256r1", 256),
    Group(0x001B, "brainpoolP384r1", 384),
    Group(0x001C, "brainpoolP512r1", 512),
    Group(0x001D, "x25519", 255),
    Group(0x001E, "x448", 448),
    Group(0x001F, "brainpoolP256r1tls13", 256),
    Group(0x0020, "brainpoolP384r1tls13", 384),
    Group(0x0021, "brainpoolP512r1tls13", 512),
    Group(0x0100, "ffdhe2048", 2048),
    Group(0x0101, "ffdhe3072", 3072),
    Group(0x0102, "ffdhe4096", 4096),
    Group(0x0103, "ffdhe6144", 6144),
    Group(0x0104, "ffdhe8192", 8192),
    Group(0x0200, "MLKEM512", 512),
    Group(0x0201, "MLKEM768", 768),
    Group(0x0202, "MLKEM1024", 1024),
    Group(0x11EB, "SecP256r1MLKEM768", 768),
    Group(0x11EC, "X25519MLKEM768", 768),
    Group(0x11ED, "SecP384r1MLKEM1024", 1024),
)
GROUP_SYNONYMS: Final = {
    "p256": "secp256r1",
    "prime256v1": "secp256r1",
    "p384": "secp384r1",
    "p521": "secp521r1",
    "curve25519": "x25519",
}

SIGNATURES: Final[dict[int, str]] = {
    0x0201: "rsa_pkcs1_sha1",
    0x0202: "dsa_sha1",
    0x0203: "ecdsa_sha1",
    0x0301: "rsa_pkcs1_sha224",
    0x0302: "dsa_sha224",
    0x0303: "ecdsa_sha224",
    0x0401: "rsa_pkcs1_sha256",
    0x0402: "dsa_sha256",
    0x0403: "ecdsa_secp256r1_sha256",
    0x0501: "rsa_pkcs1_sha384",
    0x0502: "dsa_sha384",
    0x0503: "ecdsa_secp384r1_sha384",
    0x0601: "rsa_pkcs1_sha512",
    0x0602: "dsa_sha512",
    0x0603: "ecdsa_secp521r1_sha512",
    0x0804: "rsa_pss_rsae_sha256",
    0x0805: "rsa_pss_rsae_sha384",
    0x0806: "rsa_pss_rsae_sha512",
    0x0807: "ed25519",
    0x0808: "ed448",
    0x0809: "rsa_pss_pss_sha256",
    0x080A: "rsa_pss_pss_sha384",
    0x080B: "rsa_pss_pss_sha512",
    0x081A: "ecdsa_brainpoolP256r1tls13_sha256",
    0x081B: "ecdsa_brainpoolP384r1tls13_sha384",
    0x081C: "ecdsa_brainpoolP512r1tls13_sha512",
    0x0904: "mldsa44",
    0x0905: "mldsa65",
    0x0906: "mldsa87",
}
SEPARATORS: Final = re.compile(r"[;,:\s]+")
HASH: Final = r"sha-?(?P<{0}>1|224|256|384|512)"
PAIR: Final = re.compile(
    rf"(?P<first>[a-z0-9_+-]+?)[-+_]{HASH.format('behind')}|"
    rf"{HASH.format('before')}[-+_](?P<second>[a-z0-9_+-]+)"
)
# OpenSSL's names of signature algorithms by (key type, hash); PSS serves two key types.
KEYS: Final[dict[str, tuple[str, ...]]] = {
    "rsa": ("RSA+SHA{}",),
    "rsapkcs1": ("RSA+SHA{}",),
    "dsa": ("DSA+SHA{}",),
    "ecdsa": ("ECDSA+SHA{}",),
    "rsapss": ("rsa_pss_rsae_sha{}", "rsa_pss_pss_sha{}"),
    "pss": ("rsa_pss_rsae_sha{}", "rsa_pss_pss_sha{}"),
}
PSS_HASHES: Final = ("256", "384", "512")


def _plain(name: str) -> str:
    """Return the normalised form of a group's name."""
    return name.casefold().removeprefix("ecdhe").replace("_", "").replace("-", "")


GROUP_BY_NUMBER: Final = {group.number: group for group in GROUPS}
GROUP_BY_NAME: Final = {_plain(group.name): group for group in GROUPS}
SIGNATURE_BY_NAME: Final = {name.casefold(): name for name in SIGNATURES.values()}


def group_name(number: int) -> str:
    group = GROUP_BY_NUMBER.get(number)
    return group.name if group else f"0x{number:04X}"


def group_bits(name: str) -> int:
    """Return the strength of a group by its OpenSSL name, 0 for an unknown one."""
    group = GROUP_BY_NAME.get(_plain(name))
    return group.bits if group else 0


def signature_name(number: int) -> str:
    return SIGNATURES.get(number, f"0x{number:04X}")


def groups(text: str) -> tuple[str, ...]:
    """Return OpenSSL's names for a list of groups in its order; an empty text is the default."""
    return tuple(dict.fromkeys(_group(name) for name in SEPARATORS.split(text) if name))


def signatures(text: str) -> tuple[str, ...]:
    """Return OpenSSL's names for a list of signature algorithms; empty is the default."""
    names = (name for name in SEPARATORS.split(text) if name)
    return tuple(dict.fromkeys(found for name in names for found in _signature(name)))


def check_key_shares(shares: str, supported: tuple[str, ...]) -> None:
    """Refuse key-share groups that are not supported ones.

    A server makes one share, for the group chosen, so the list has no further effect.
    """
    strangers = set(groups(shares)) - set(supported)
    if supported and strangers:
        listed = ", ".join(sorted(strangers))
        raise TLSSetupError(276, f"TLS13KeyShareGroups: {listed} not in TLS13SupportedGroups")


def _group(name: str) -> str:
    plain = _plain(name)
    group = GROUP_BY_NAME.get(GROUP_SYNONYMS.get(plain, plain))
    if group is None:
        raise TLSSetupError(276, f"unknown group {name!r}{_hint(plain, GROUP_BY_NAME)}")
    return group.name


def _signature(name: str) -> tuple[str, ...]:
    plain = name.casefold()
    if plain in SIGNATURE_BY_NAME:
        return (SIGNATURE_BY_NAME[plain],)
    found = _pair(plain)
    if not found:
        hint = _hint(plain, SIGNATURE_BY_NAME)
        raise TLSSetupError(276, f"unknown signature algorithm {name!r}{hint}")
    return found


def _pair(plain: str) -> tuple[str, ...]:
    """Return what a hash and a kind of key, in either order, mean; nothing for another text."""
    pair = PAIR.fullmatch(plain)
    if pair is None:
        return ()
    size = pair["behind"] or pair["before"]
    key = re.sub("[-+_]", "", pair["first"] or pair["second"])
    forms = KEYS.get(key, ())
    if len(forms) > 1 and size not in PSS_HASHES:
        return ()
    return tuple(form.format(size) for form in forms)


def _hint(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    return f"; did you mean {near[0]}?" if near else ""
