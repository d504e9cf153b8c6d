"""Looks up the row for any spelling of a setting's name, and the nearest name for a misspelt one.

Owns the rule that case, `_` and `-` are ignored: `LocalPort`, `local_port` and `local-port` are the
same setting.
"""

import difflib
from typing import Any, Final

from shardws.errors import SettingError
from shardws.settings.row import Row
from shardws.settings.table import ROWS

MAX_NAME: Final = 100  # longer text is not a misspelling, and difflib would be slow


def key(name: str) -> str:
    """Return the normalised form of a name."""
    return name.replace("_", "").replace("-", "").lower()


BY_KEY: Final[dict[str, Row[Any]]] = {
    spelling: row for row in ROWS for spelling in (key(row.name), key(row.vendor))
}


def find(name: str) -> Row[Any]:
    """Return the row of that name; SettingError 214 with the nearest right name."""
    row = BY_KEY.get(key(name)) if len(name) <= MAX_NAME else None
    if row is None:
        raise SettingError(unknown(name), code=214)
    return row


def unknown(name: str) -> str:
    """Say that there is no setting of that name, and which one may be meant."""
    close = nearest(name)
    hint = f"; did you mean {close}?" if close else ""
    return f"there is no setting {name[:MAX_NAME]!r}{hint}"


def nearest(name: str) -> str:
    """Return the most similar name, in the spelling style of the given one; "" for none."""
    if len(name) > MAX_NAME:
        return ""
    close = difflib.get_close_matches(key(name), BY_KEY, n=1, cutoff=0.6)
    return spelt_like(name, BY_KEY[close[0]]) if close else ""


def spelt_like(name: str, row: Row[Any]) -> str:
    """Return the name of `row` in the spelling style of `name`."""
    bare = name.removeprefix("--")
    if bare.startswith("SHARDWS_"):
        return row.variable or row.vendor
    if "-" in bare:
        return row.name.replace("_", "-")
    return row.name if bare.islower() else row.vendor
