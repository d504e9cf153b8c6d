"""The settings in force, as a table or as JSON: `shardws settings [--json]`.

Owns the layout; never shows a secret in either form. Each line says where the value comes from
and which other values it overrides.
"""

import json
from typing import Any

from shardws.settings.row import Row
from shardws.settings.table import ROWS
from shardws.settings.values import Given, Settings


def listing(settings: Settings) -> list[dict[str, object]]:
    """Return one object for each setting of the server, as JSON can hold it.

    `value` is null for a secret and for content such as PEM text; `text` is the value as displayed,
    `***` for a secret that is set.
    """
    return [_entry(settings, row) for row in ROWS if row.is_settable]


def as_json(settings: Settings) -> str:
    """Return `listing` as JSON text."""
    return json.dumps(listing(settings), indent=2) + "\n"


def as_text(settings: Settings, only_explicit: bool = False) -> str:
    """Return a table of name, value and source; `only_explicit` leaves the defaults out."""
    lines = [
        (row.vendor, _one_line(row, settings[row]), _origin(settings, row))
        for row in ROWS
        if row.is_settable and (not only_explicit or settings.source(row))
    ]
    widths = [max((len(line[column]) for line in lines), default=0) for column in (0, 1)]
    return "".join(
        f"{name:<{widths[0]}}  {value:<{widths[1]}}  {origin}\n" for name, value, origin in lines
    )


def _entry(settings: Settings, row: Row[Any]) -> dict[str, object]:
    given = settings.given(row)
    return {
        "name": row.name,
        "vendor": row.vendor,
        "value": row.kind.to_json(settings[row]) if _is_open(row, settings[row]) else None,
        "text": row.show(settings[row]),
        "unit": row.unit,
        "source": given.source.name.lower(),
        "detail": given.detail,
        "overridden": [_overridden(row, other) for other in settings.overridden(row)],
    }


def _is_open(row: Row[Any], value: object) -> bool:
    # A store given as content holds a private key: neither form shows it.
    return not isinstance(value, str | bytes) or (not row.sensitive and row.show(value) == value)


def _overridden(row: Row[Any], given: Given) -> dict[str, object]:
    return {
        "text": row.show(given.value),
        "source": given.source.name.lower(),
        "detail": given.detail,
    }


def _origin(settings: Settings, row: Row[Any]) -> str:
    others = [f"{row.show(other.value)} ({other})" for other in settings.overridden(row)]
    over = f", overrides {' and '.join(others)}" if others else ""
    return f"{settings.given(row)}{over}"


def _one_line(row: Row[Any], value: object) -> str:
    # A password or a path may hold anything; a table has one line for each setting.
    return row.show(value).replace("\r", "\\r").replace("\n", "\\n") or "-"
