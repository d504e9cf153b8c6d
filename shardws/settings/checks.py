"""Checks of single values that bounds cannot express.

Owns the rules for one value. Each check raises ValueError with the reason (error 213) or Refusal
with another code, and returns nothing. `settings.cross_checks` checks two settings together.
"""

import ipaddress
import re
from pathlib import Path
from typing import Final

from shardws.errors import is_sendable_close_code
from shardws.settings import masks
from shardws.settings.row import Refusal

MAX_CLOSE_REASON: Final = 123  # RFC 6455 5.5: 125 bytes of a control frame less the code
MAX_PATTERNS: Final = 10_000

# The grammar that shardws.net.addresses reads; a test compares the two.
HOST_NAME: Final = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?")
HOST_PATTERN: Final = re.compile(r"[A-Za-z0-9_.*-]{1,255}")  # of AllowedHosts
HOST_WILDCARD: Final = re.compile(r"[A-Za-z0-9_.:*-]{1,255}")
ZONE: Final = re.compile(r"%[^/]*")
ORIGIN: Final = re.compile(
    r"(?:[A-Za-z][A-Za-z0-9+.-]*://)?(?:[A-Za-z0-9_.*-]+|\[[0-9A-Fa-f:.]+\])(?::(?:[0-9]{1,5}|\*))?"
)
TOKEN: Final = re.compile(r"[\x21-\x7e]+")  # what a client can send after "Bearer " as it is
TOKEN_LENGTH: Final = 16


def close_code(value: int) -> None:
    """1000 to 1003, 1007 to 1014 and 3000 to 4999."""
    if not is_sendable_close_code(value):
        raise ValueError("must be 1000-1003, 1007-1014 or 3000-4999 (RFC 6455 7.4)")


def close_reason(value: str) -> None:
    """At most 123 bytes of UTF-8."""
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise ValueError("must be valid Unicode") from None
    if size > MAX_CLOSE_REASON:
        raise ValueError(f"must be at most {MAX_CLOSE_REASON} bytes of UTF-8 ({size} given)")


def cert_store_type(value: int) -> None:
    """A number of the table; whether that type is usable shows when the store is loaded."""
    if value not in masks.CERT_STORE_TYPES:
        raise ValueError("must be 0 to 22, or 99 for automatic")


def enabled_protocols(value: int) -> None:
    """TLS 1.0 to 1.3; SSL 2 and 3 are refused (275)."""
    if value & (masks.SSL2 | masks.SSL3):
        raise Refusal(275, "SSL 2 and SSL 3 are broken and not available")
    if value & ~masks.KNOWN_PROTOCOLS or not value:
        raise Refusal(275, f"must be a sum of {', '.join(masks.PROTOCOLS)}")


def ssl_provider(value: str) -> None:
    """The known names all mean OpenSSL; any other is refused (270)."""
    names = ("*", "Automatic", "Platform", "Internal", "OpenSSL")
    if value.lower() not in {name.lower() for name in names}:
        raise Refusal(270, f"must be one of {', '.join(names)}")


def ca_directory(value: str) -> None:
    """A directory with at least one file (273): OpenSSL itself would not complain."""
    if not value:
        return
    path = Path(value)
    try:
        if not any(entry.is_file() for entry in path.iterdir()):
            raise Refusal(273, "the directory holds no file")
    except OSError as error:
        raise Refusal(273, f"the directory cannot be read ({error.strerror})") from None


def ca_file(value: str) -> None:
    """A file that can be read and is not empty (273)."""
    if not value:
        return
    try:
        with Path(value).open("rb") as file:
            if not file.read(1):
                raise Refusal(273, "the file is empty")
    except OSError as error:
        raise Refusal(273, f"the file cannot be read ({error.strerror})") from None


def host_patterns(value: str) -> None:
    """Comma separated names, IP addresses, CIDR blocks and `*` wildcards."""
    patterns = value.split(",")
    if len(patterns) > MAX_PATTERNS:
        raise ValueError(f"must be at most {MAX_PATTERNS} patterns")
    for pattern in patterns:
        if _is_network_like(pattern):
            network(pattern)
        elif not (HOST_WILDCARD if "*" in pattern else HOST_NAME).fullmatch(pattern):
            raise ValueError("must be names, IP addresses, CIDR blocks or *, separated by commas")


def _is_network_like(pattern: str) -> bool:
    """Tell whether it must be a block: it has a prefix length, a colon, or only digits and dots."""
    if "*" in pattern or not pattern:
        return False
    has_length = re.search(r"/[0-9]+$", pattern) is not None
    return has_length or ":" in pattern or not pattern.strip("0123456789.")


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(ZONE.sub("", text.strip()), strict=False)
    except ValueError:
        return False
    return True


def network(value: str) -> None:
    """One IP address or CIDR block."""
    if not _is_network(value):
        raise ValueError("must hold IP addresses or CIDR blocks such as 10.0.0.0/8")


def networks(value: tuple[str, ...]) -> None:
    """IP addresses or CIDR blocks."""
    for block in value:
        network(block)


def origins(value: str) -> None:
    """`*`, `same`, `null`, `file://`, or origins of RFC 6454, with `*` in host or port."""
    for origin in filter(None, value.split(",")):
        if origin not in ("*", "null", "file://") and not ORIGIN.fullmatch(origin):
            raise ValueError(
                "must be *, same, null, file://, or origins such as https://*.example.com"
            )


def hosts(value: str) -> None:
    """`auto` alone, or `*`, `loopback`, IP addresses, and names with `*` wildcards, no ports."""
    for host in filter(None, value.split(",")):
        if host.lower() == "auto" and value.lower() != "auto":
            raise ValueError("auto stands alone")
        if not HOST_PATTERN.fullmatch(host) and not _is_address(host):
            raise ValueError("must be *, loopback, IP addresses or names such as *.example.com")


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


def sni_entries(value: tuple[str, ...]) -> None:
    """Entries `NAME=STORE`: a server name, `*` in its first label allowed, and a store file."""
    for entry in value:
        name, mark, store = entry.partition("=")
        if not (mark and store and re.fullmatch(r"(?:\*\.)?[A-Za-z0-9_.-]+", name)):
            raise ValueError("must be entries such as *.example.com=/path/to/store.pem")


def address(value: str) -> None:
    """`HOST:PORT` with an IPv6 host in brackets, or "" for none."""
    if not value:
        return
    host, mark, port = value.rpartition(":")
    is_port = port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65535
    is_host = bool(host) and (":" not in host or (host[0] == "[" and host[-1] == "]"))
    if not (mark and is_port and is_host):
        raise ValueError("must be HOST:PORT such as 127.0.0.1:9002 or [::1]:9002")


def token(value: str) -> None:
    """A secret too long to be guessed, of characters that HTTP can carry; "" for none."""
    if value and (len(value) < TOKEN_LENGTH or not TOKEN.fullmatch(value)):
        raise ValueError(
            f"must be at least {TOKEN_LENGTH} visible ASCII characters, without blanks"
        )
