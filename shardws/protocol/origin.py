"""Which web pages may open a connection: the Origin field against an allow-list.

Owns the grammar of the setting and the comparison; knows no request. A browser sends the origin of
the page (RFC 6454 7) and a page cannot forge it, so this keeps foreign pages from acting with a
visitor's cookies (cross-site WebSocket hijacking). It does not keep out other programs: they send
what they like, so a request without Origin always passes.

    ""                        the same host and port as asked for (the default); where the
                              client came by TLS, an https page
    *                         every origin
    https://app.example.com   exactly this one; the port is the scheme's own unless given
    https://*.example.com     "*" stands for any characters but ":" and "/"
    http://localhost:*        any port
    example.com               this host with any scheme and port
    null                      sandboxed pages, and files in most browsers
    file://                   files, where a browser says so
    same                      what "" means, beside other entries

Entries are separated by commas.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from shardws.errors import SettingError

_ENTRY: Final = re.compile(
    r"(?:(?P<scheme>[a-z][a-z0-9+.-]*)://)?"
    r"(?P<host>\[[0-9a-f:.]+\]|[a-z0-9_.*-]+)"
    r"(?::(?P<port>[0-9]{1,5}|\*))?"
)
_ORIGIN: Final = re.compile(
    r"([a-z][a-z0-9+.-]*)://(\[[0-9a-f:.]+\]|[^\s/:\[\]]+)(?::([0-9]{1,5}))?"
)
_FILES: Final = "file://"  # the one origin without a host
_SECURE: Final = frozenset({"https", "wss"})
_DEFAULT_PORTS: Final = {"http": "80", "https": "443", "ws": "80", "wss": "443"}


@dataclass(frozen=True, slots=True)
class Origins:
    """A parsed allow-list; `Origins()` means same host."""

    is_open: bool = False
    allows_same: bool = True
    pattern: re.Pattern[str] | None = None  # over "scheme://host:port", lower case

    @classmethod
    def parse(cls, given: str | Iterable[str]) -> "Origins":
        """Read the setting, a text or its entries; SettingError (213) names a bad entry."""
        parts = given.split(",") if isinstance(given, str) else given
        entries = [entry for entry in (part.strip().lower() for part in parts) if entry]
        if not entries:
            return cls()
        if "*" in entries:
            return cls(is_open=True)
        patterns = [_pattern_of(entry) for entry in entries if entry != "same"]
        joined = re.compile("|".join(patterns)) if patterns else None
        return cls(allows_same="same" in entries, pattern=joined)

    def allows(self, origin: str, host: str, *, is_secure: bool = False) -> bool:
        """Tell whether a page of `origin` ("" if none was sent) may connect to `host`.

        `is_secure`: the client came by TLS. Then a page that came without it is not the same: who
        can change an http page on its way must not act as the https one.
        """
        if self.is_open or not origin:
            return True
        origin, host = origin.lower(), host.lower()
        if self.allows_same and _is_same(origin, host, is_secure):
            return True
        return self.pattern is not None and self.pattern.fullmatch(_with_port(origin)) is not None


def _pattern_of(entry: str) -> str:
    if entry in ("null", _FILES):
        return entry
    match = _ENTRY.fullmatch(entry)
    if match is None:
        raise SettingError(f"not an origin: {entry!r}; write scheme://host:port, a host, or *")
    scheme, host, port = match["scheme"], match["host"], match["port"]
    if port is None and scheme is not None:
        port = _DEFAULT_PORTS.get(scheme, "")
    scheme_pattern = r"[a-z0-9+.-]+" if scheme is None else re.escape(scheme)
    port_pattern = "[0-9]*" if port in (None, "*") else port
    host_pattern = "[^:/]*".join(re.escape(piece) for piece in host.split("*"))
    return f"{scheme_pattern}://{host_pattern}:{port_pattern}"


def _with_port(origin: str) -> str:
    """Return the origin with its port written out; one that is none as it is."""
    match = _ORIGIN.fullmatch(origin)
    if match is None:
        return origin
    scheme, host, port = match.groups()
    return f"{scheme}://{host}:{port or _DEFAULT_PORTS.get(scheme, '')}"


def _is_same(origin: str, host: str, is_secure: bool) -> bool:
    """Compare scheme, host and port; a default port may be written out on one side only."""
    scheme, mark, authority = origin.partition("://")
    if not mark or scheme not in _DEFAULT_PORTS or (is_secure and scheme not in _SECURE):
        return False
    default = f":{_DEFAULT_PORTS[scheme]}"
    return authority.removesuffix(default) == host.removesuffix(default)
