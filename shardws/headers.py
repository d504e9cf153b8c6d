"""The header of an opening request, read: names in any case, repeated fields kept in order.

Owns the parsing of "Name: value" lines. Only CRLF ends a line: a value may hold octets that other
splitters treat as the end of a line (0x85, 0x0B), and text after such an octet is not a header of
its own (RFC 9110 5.5).
"""

from collections.abc import Iterator
from typing import Final, TypeVar, overload

from shardws.errors import UsageError

T = TypeVar("T")

_SPACE: Final = " \t"  # RFC 9110 5.6.3


class Headers:
    """Header fields as they were received; immutable.

    `headers["cookie"]` and `get` return the first field of that name, `get_all` every one. Names
    are compared without regard to case (RFC 9110 5.1) and kept as they were written.
    """

    __slots__ = ("_fields",)
    _fields: tuple[tuple[str, str], ...]

    def __init__(self, text: str) -> None:
        """Read lines of "Name: value" with CRLF between them; UsageError (213) for another line."""
        object.__setattr__(self, "_fields", tuple(_field_of(line) for line in _lines_of(text)))

    def __setattr__(self, name: str, _value: object) -> None:
        raise AttributeError(f"{name}: the headers of a request cannot be changed")

    def __getitem__(self, name: str) -> str:
        """Return the value of the first field of that name; KeyError when there is none."""
        for value in self._values(name):
            return value
        raise KeyError(name)

    @overload
    def get(self, name: str) -> str | None: ...
    @overload
    def get(self, name: str, default: T) -> str | T: ...
    def get(self, name: str, default: T | None = None) -> str | T | None:
        """Return the value of the first field of that name, else `default`."""
        return next(self._values(name), default)

    def get_all(self, name: str) -> list[str]:
        """Return the values of all fields of that name in their order; empty when there is none."""
        return list(self._values(name))

    def items(self) -> list[tuple[str, str]]:
        """Return every field as (name, value), in the order they came."""
        return list(self._fields)

    def _values(self, name: str) -> Iterator[str]:
        wanted = name.lower()
        return (value for given, value in self._fields if given.lower() == wanted)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and next(self._values(name), None) is not None

    def __iter__(self) -> Iterator[str]:
        """Give the name of each field, a repeated one as often as it came."""
        return (name for name, _ in self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Headers) and self._fields == other._fields

    def __hash__(self) -> int:
        return hash(self._fields)

    def __repr__(self) -> str:
        # Names only: values may hold cookies and tokens.
        return f"<Headers {', '.join(self)}>"


def _lines_of(text: str) -> list[str]:
    return text.split("\r\n") if text else []


def _field_of(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon:
        raise UsageError(f"not a header line: {line!r:.60}", code=213)
    return name, value.strip(_SPACE)
