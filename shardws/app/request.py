"""The opening request as routes read it: path, query and cookies.

Owns the parsing. All of it comes from the client: nothing here raises for what it sent, and sizes
are bounded by MaxHeaderBytes.
"""

from collections.abc import Iterator, Mapping
from urllib.parse import parse_qsl, unquote

from shardws.headers import Headers


class Query(Mapping[str, str]):
    """The parameters behind the `?`, decoded; of a repeated one the first counts."""

    __slots__ = ("_pairs",)

    def __init__(self, text: str) -> None:
        self._pairs = parse_qsl(text, keep_blank_values=True)

    def __getitem__(self, name: str) -> str:
        for given, value in self._pairs:
            if given == name:
                return value
        raise KeyError(name)

    def get_all(self, name: str) -> list[str]:
        """Return all values of a parameter in their order."""
        return [value for given, value in self._pairs if given == name]

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(name for name, _ in self._pairs))

    def __len__(self) -> int:
        return len({name for name, _ in self._pairs})

    def __repr__(self) -> str:
        return f"<Query {', '.join(self)}>"  # names only: values may be tokens


def split_target(target: str) -> tuple[str, str]:
    """Return path and query of a request target, both as sent (RFC 9112 3.2)."""
    path, _, query = target.partition("?")
    if not path.startswith("/"):  # absolute form: scheme://host/path
        path = "/" + path.partition("://")[2].partition("/")[2]
    return path, query


def segments_of(path: str) -> tuple[str, ...] | None:
    """Return the decoded segments of a path; None for one that is not UTF-8."""
    try:
        return tuple(unquote(part, errors="strict") for part in path.split("/")[1:])
    except UnicodeDecodeError:
        return None


def cookies_of(headers: Headers) -> dict[str, str]:
    """Return the cookies (RFC 6265 5.4); of a repeated name the first, of the longest path."""
    cookies: dict[str, str] = {}
    for field in headers.get_all("cookie"):
        for pair in field.split(";"):
            name, mark, value = pair.strip(" \t").partition("=")
            if mark and name:
                cookies.setdefault(name, _unquoted(value))
    return cookies


def _unquoted(value: str) -> str:
    is_quoted = len(value) >= 2 and value[0] == value[-1] == '"'
    return value[1:-1] if is_quoted else value
