"""Routes: which coroutine function serves a path.

Owns the patterns and their order: a path without parameters precedes those with, which are tried as
they were added. `{name}` is one segment as text, `{name:int}` a number of at most 18 digits, and
`{name:path}` the whole rest.
"""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from shardws.errors import UsageError

Segments: TypeAlias = tuple[str, ...]
RouteHandler: TypeAlias = Callable[..., Awaitable[object]]
Parameters: TypeAlias = Mapping[str, str | int]

LONGEST_INT: Final = 18  # digits; more fit no id, and int() of thousands takes long
KINDS: Final = ("str", "int", "path")


@dataclass(frozen=True, slots=True)
class Part:
    """One segment of a pattern: literal text, or a parameter of some kind."""

    text: str  # or the parameter's name
    kind: str = ""  # "" for literal text


@dataclass(frozen=True, slots=True)
class Route:
    """One pattern and what serves it."""

    pattern: str
    parts: tuple[Part, ...]
    handler: RouteHandler

    @property
    def names(self) -> list[str]:
        return [part.text for part in self.parts if part.kind]

    def match(self, segments: Segments) -> Parameters | None:
        """Return the parameters of a path; None when it does not match."""
        has_rest = self.parts[-1].kind == "path"
        if len(segments) < len(self.parts) or (len(segments) > len(self.parts) and not has_rest):
            return None
        found: dict[str, str | int] = {}
        for at, part in enumerate(self.parts):
            value = "/".join(segments[at:]) if part.kind == "path" else segments[at]
            if not part.kind:
                if value != part.text:
                    return None
            elif (read := _read(part.kind, value)) is None:
                return None
            else:
                found[part.text] = read
        return found


def _read(kind: str, value: str) -> str | int | None:
    """Return the value of a parameter; None when it is none of that kind."""
    if not value:
        return None
    if kind != "int":
        return value
    is_number = value.isascii() and value.isdecimal() and len(value) <= LONGEST_INT
    return int(value) if is_number else None


class Routes:
    """All routes of one application."""

    def __init__(self) -> None:
        self._literal: dict[Segments, Route] = {}
        self._others: list[Route] = []

    def add(self, pattern: str, handler: RouteHandler) -> None:
        """Add a route; UsageError (213) for a pattern or a handler that cannot be one."""
        route = Route(pattern, parse(pattern), handler)
        _check(route)
        shape = _shape(route)
        if any(_shape(other) == shape for other in [*self._literal.values(), *self._others]):
            raise UsageError(f"route {pattern!r}: another route has the same paths", code=213)
        if route.names:
            self._others.append(route)
        else:
            self._literal[tuple(part.text for part in route.parts)] = route

    def match(self, segments: Segments) -> tuple[Route, Parameters] | None:
        """Return the route of a path and its parameters; None when there is none."""
        literal = self._literal.get(segments)
        if literal is not None:
            return literal, {}
        for route in self._others:
            found = route.match(segments)
            if found is not None:
                return route, found
        return None


def _shape(route: Route) -> list[tuple[str, str]]:
    return [(part.kind, "" if part.kind else part.text) for part in route.parts]


def parse(pattern: str) -> tuple[Part, ...]:
    """Read a pattern; UsageError (213)."""
    if not isinstance(pattern, str) or not pattern.startswith("/"):
        raise UsageError(f"route {pattern!r} must begin with a slash", code=213)
    parts = tuple(_part(pattern, text) for text in pattern.split("/")[1:])
    names = [part.text for part in parts if part.kind]
    if len(set(names)) != len(names):
        raise UsageError(f"route {pattern!r}: a parameter occurs twice", code=213)
    if any(part.kind == "path" for part in parts[:-1]):
        raise UsageError(f"route {pattern!r}: a path parameter must be the last", code=213)
    return parts


def _part(pattern: str, text: str) -> Part:
    if not (text.startswith("{") and text.endswith("}")):
        if "{" in text or "}" in text:
            raise UsageError(f"route {pattern!r}: a parameter is a whole segment", code=213)
        return Part(text)
    name, _, kind = text[1:-1].partition(":")
    kind = kind or "str"
    if not name.isidentifier() or kind not in KINDS:
        raise UsageError(f"route {pattern!r}: {text} is not {{name}} or {{name:int}}", code=213)
    return Part(name, kind)


def _check(route: Route) -> None:
    """Check that the handler is a coroutine function of the client and the parameters."""
    handler: Any = route.handler
    called = inspect.unwrap(handler) if callable(handler) else None
    if called is None or inspect.isgeneratorfunction(called) or inspect.isasyncgenfunction(called):
        raise UsageError(f"route {route.pattern!r} takes a coroutine function", code=213)
    if inspect.isfunction(called) and not inspect.iscoroutinefunction(called):
        raise UsageError(f"route {route.pattern!r}: {called.__name__} is not async def", code=213)
    try:
        inspect.signature(handler).bind(None, **dict.fromkeys(route.names))
    except TypeError as error:
        wanted = ", ".join(["ws", *route.names])
        text = f"route {route.pattern!r} is called as handler({wanted}): {error}"
        raise UsageError(text, code=213) from None
