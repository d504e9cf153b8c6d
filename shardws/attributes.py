"""Attributes that a class does not have: refused when they are set, with the nearest right name.

Owns the check. Names are those that the class or one of its bases declares, as a value, a property,
a slot or an annotation; reading costs nothing more than before.
"""

import difflib

from shardws.errors import UsageError

MAX_NAME = 100  # longer text is not a misspelling, and difflib would be slow


def check(kind: type, name: str) -> None:
    """Raise UsageError (214) unless `kind` declares an attribute of that name."""
    if hasattr(kind, name) or any(name in annotations(base) for base in kind.__mro__):
        return
    close = difflib.get_close_matches(name[:MAX_NAME], declared(kind), n=1, cutoff=0.6)
    hint = f"; did you mean {close[0]}?" if close else ""
    text = f"{kind.__name__} has no attribute {name[:MAX_NAME]!r}{hint}"
    raise UsageError(text, code=214)


def annotations(kind: type) -> dict[str, object]:
    """Return the annotations in the body of a class, not those of its bases."""
    found: dict[str, object] = vars(kind).get("__annotations__", {})
    return found


def declared(kind: type) -> list[str]:
    """Return the public names that may be set."""
    return [
        name
        for name in dir(kind)
        if not name.startswith("_") and hasattr(getattr(kind, name), "__set__")
    ]
