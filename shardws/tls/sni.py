"""The SNI map: from a server name to what was registered for it.

Owns patterns and their order. A pattern is a host name, or `*.` and a host name for exactly one
further label (RFC 6125 section 6.4.3). Exact names win. A look-up takes two dictionary accesses,
however many names there are.
"""

from collections.abc import Iterable
from typing import Generic, TypeVar

from shardws.errors import TLSSetupError

Value = TypeVar("Value")


class SNIMap(Generic[Value]):
    """Immutable map; TLSSetupError 272 for a bad or doubled pattern."""

    def __init__(self, entries: Iterable[tuple[str, Value]] = ()) -> None:
        self._values: dict[str, Value] = {}
        for pattern, value in entries:
            name = normalize(pattern)
            if name in self._values:
                raise TLSSetupError(272, f"SNI: {pattern!r} is given twice")
            self._values[name] = value

    def __len__(self) -> int:
        return len(self._values)

    def find(self, server_name: str) -> Value | None:
        """Return the value for a name as `Hello.server_name` has it (lower case)."""
        exact = self._values.get(server_name)
        if exact is not None or not server_name:
            return exact
        label, dot, parent = server_name.partition(".")
        return self._values.get(f"*.{parent}") if label and dot else None

    def get(self, pattern: str) -> Value | None:
        """Return what was registered under exactly this pattern."""
        return self._values.get(normalize(pattern))

    def values(self) -> list[Value]:
        return list(self._values.values())


def normalize(pattern: str) -> str:
    """Return a pattern in lower case and ASCII; TLSSetupError 272 if it is none."""
    text = pattern.strip().lower().removesuffix(".")
    star = "*." if text.startswith("*.") else ""
    try:
        name = text.removeprefix(star).encode("idna").decode()
    except UnicodeError as error:
        raise TLSSetupError(272, f"SNI: {pattern!r} is no host name ({error})") from error
    if not name or "*" in name or any(c.isspace() for c in name):
        raise TLSSetupError(272, f"SNI: {pattern!r} is neither a host name nor *.host name")
    return star + name
