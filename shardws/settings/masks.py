"""The names of the bits in settings that are masks.

Owns names and numbers; `tls` implements the bits.
"""

from typing import Final

# The Schannel sums: client and server bit of each version together.
SSL2: Final = 12
SSL3: Final = 48
TLS10: Final = 192
TLS11: Final = 768
TLS12: Final = 3072
TLS13: Final = 12288

PROTOCOLS: Final[dict[str, int]] = {
    "TLS1.0": TLS10,
    "TLS1.1": TLS11,
    "TLS1.2": TLS12,
    "TLS1.3": TLS13,
}
KNOWN_PROTOCOLS: Final = TLS10 | TLS11 | TLS12 | TLS13

SECURITY_FLAGS: Final[dict[str, int]] = {
    "IgnoreTime": 0x1,
    "IgnoreUnknownCA": 0x10,
    "IgnoreUsage": 0x20,
    "IgnoreRevocation": 0xF00,
}

CERT_STORE_TYPES: Final[dict[int, str]] = {
    0: "Windows user store: not on this platform",
    1: "Windows machine store: not on this platform",
    2: "PFX file",
    3: "PFX blob",
    4: "JKS file",
    5: "JKS blob",
    6: "PEM file",
    7: "PEM blob",
    8: "public certificate file: no key, chains only",
    9: "public certificate blob: no key, chains only",
    10: "SSH key: no certificate",
    11: "P7B file: no key, chains only",
    12: "P7B blob: no key, chains only",
    13: "SSH key: no certificate",
    14: "PPK file: no certificate",
    15: "PPK blob: no certificate",
    16: "XML file: no certificate",
    17: "XML blob: no certificate",
    18: "JWK file: no certificate",
    19: "JWK blob: no certificate",
    20: "hardware token: not supported",
    21: "BCFKS file: not supported",
    22: "BCFKS blob: not supported",
    99: "automatic, by content",
}
