"""Which host names a server answers to: the Host field against a list.

Owns the grammar of the setting and the comparison; knows no request. Against DNS rebinding: a page
of the web gives its own name the address of a server on the visitor's machine, and is then of the
same origin as that server. What it cannot do is to leave out that name.

    "" or *          every name
    loopback         localhost, and every loopback address (127.0.0.0/8, ::1)
    app.example.com  this name, on any port
    *.example.com    "*" stands for any characters but ":" and "/"
    192.0.2.1, ::1   this address

Entries are separated by commas.
"""

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from shardws.errors import SettingError

LOOPBACK: Final = "loopback"
_NAME: Final = re.compile(r"[a-z0-9_.*-]{1,255}")
_PORT: Final = re.compile(r":[0-9]{0,5}\Z")


@dataclass(frozen=True, slots=True)
class Hosts:
    """A parsed list; `Hosts()` means every name."""

    is_open: bool = True
    allows_loopback: bool = False
    pattern: re.Pattern[str] | None = None  # over a name in lower case, without port
    for_pages_only: bool = False  # programs, which send no Origin, may use any name

    @classmethod
    def parse(cls, given: str | Iterable[str], *, for_pages_only: bool = False) -> "Hosts":
        """Read the setting, a text or its entries; SettingError (213) names a bad entry."""
        parts = given.split(",") if isinstance(given, str) else given
        entries = [entry for entry in (part.strip().lower() for part in parts) if entry]
        if not entries or "*" in entries:
            return cls()
        patterns = [_pattern_of(entry) for entry in entries if entry != LOOPBACK]
        joined = re.compile("|".join(patterns)) if patterns else None
        return cls(False, LOOPBACK in entries, joined, for_pages_only)

    def allows(self, host: str, *, has_origin: bool = True) -> bool:
        """Tell whether a request may name `host`, with or without port."""
        if self.is_open or (self.for_pages_only and not has_origin):
            return True
        name = bare(host)
        if self.allows_loopback and is_loopback(name):
            return True
        return self.pattern is not None and self.pattern.fullmatch(name) is not None


def bare(host: str) -> str:
    """Return a Host field in lower case without its port, and an IPv6 address without brackets."""
    name = _PORT.sub("", host.lower())
    return name[1:-1] if name.startswith("[") and name.endswith("]") else name


def is_loopback(name: str) -> bool:
    """Tell whether a name or address is this host's own wherever it is looked up."""
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _pattern_of(entry: str) -> str:
    try:
        return re.escape(str(ipaddress.ip_address(entry.removeprefix("[").removesuffix("]"))))
    except ValueError:
        pass
    if not _NAME.fullmatch(entry):
        raise SettingError(f"not a host: {entry!r}; write a name without port, an address, or *")
    return "[^:/]*".join(re.escape(piece) for piece in entry.split("*"))
