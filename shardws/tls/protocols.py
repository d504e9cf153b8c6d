"""Protocol versions: the bit mask of SSLEnabledProtocols in OpenSSL's terms.

Owns the bits (those of Schannel, as in the original component). Either bit of a version enables it.
SSL 2 and 3 are errors, since OpenSSL has neither.
"""

from typing import Final, NamedTuple

from OpenSSL import SSL

from shardws.errors import TLSSetupError


class Version(NamedTuple):
    """One protocol version."""

    name: str  # as Connection.get_protocol_version_name gives it
    number: int  # on the wire (RFC 8446 section 4.2.1)
    mask: int
    exclusion: int  # the option that leaves it out


VERSIONS: Final = (
    Version("TLSv1", 0x0301, 0x00C0, SSL.OP_NO_TLSv1),
    Version("TLSv1.1", 0x0302, 0x0300, SSL.OP_NO_TLSv1_1),
    Version("TLSv1.2", 0x0303, 0x0C00, SSL.OP_NO_TLSv1_2),
    Version("TLSv1.3", 0x0304, 0x3000, SSL.OP_NO_TLSv1_3),
)
TLS12: Final = VERSIONS[2]
TLS13: Final = VERSIONS[3]
DEFAULT_MASK: Final = TLS12.mask | TLS13.mask
SSL_MASK: Final = 0x003C
KNOWN_MASK: Final = DEFAULT_MASK | VERSIONS[0].mask | VERSIONS[1].mask


def enabled(mask: int) -> tuple[Version, ...]:
    """Return the versions of a mask, oldest first; TLSSetupError 275 for SSL 2/3 or none."""
    if mask & SSL_MASK:
        raise TLSSetupError(275, "SSL 2 and SSL 3 are not available: they are broken")
    if mask & ~KNOWN_MASK or mask < 0:
        raise TLSSetupError(275, f"SSLEnabledProtocols has unknown bits: {mask & ~KNOWN_MASK:#x}")
    found = tuple(version for version in VERSIONS if mask & version.mask)
    if not found:
        raise TLSSetupError(275, "SSLEnabledProtocols enables no protocol; TLS 1.2 + 1.3 is 15360")
    return found


def restrict(context: SSL.Context, versions: tuple[Version, ...]) -> None:
    """Restrict a context to exactly these versions; gaps become options."""
    first, last = versions[0], versions[-1]
    context.set_min_proto_version(first.number)
    context.set_max_proto_version(last.number)
    for version in VERSIONS:
        if first.number < version.number < last.number and version not in versions:
            context.set_options(version.exclusion)


def needs_old_security(versions: tuple[Version, ...]) -> bool:
    """Tell whether TLS 1.0 or 1.1 is among them: they sign with SHA-1, below security level 1."""
    return versions[0].number < TLS12.number
