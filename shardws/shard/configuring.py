"""`configure`: settings of all shards, set from one of them.

Owns which settings may be set that way, and their encoding for the other shards. If one cannot be
set, none is: everything is checked before anything is set.
"""

import json
from collections.abc import Mapping

from shardws.errors import SettingError, ShardwsError, UsageError
from shardws.settings.row import When
from shardws.settings.values import Settings

ACTING = (When.LIVE, When.ACCEPT)


def check(settings: Settings, values: Mapping[str, object]) -> str:
    """Return the values as JSON; one SettingError for all that cannot be set.

    Its code is that of the first: 214 unknown name, 213 bad value, else wrong time.
    """
    accepted: dict[str, object] = {}
    refused: list[SettingError] = []
    for name, value in values.items():
        try:
            row, checked = settings.check(name, value)
            if row.when not in ACTING:
                text = f"{row.vendor} does not act on running shards: change it and reload"
                raise SettingError(text, code=211)
            accepted[row.name] = row.kind.to_json(checked)
        except SettingError as error:
            refused.append(error)
    if refused:
        raise SettingError("; ".join(error.description for error in refused), code=refused[0].code)
    return json.dumps(accepted)


def take(settings: Settings, text: str) -> None:
    """Set what `check` returned, on any shard; UsageError (213) when it is invalid."""
    try:
        values = dict(json.loads(text))
    except (ValueError, TypeError, RecursionError):
        raise UsageError("settings to be set are a JSON object", code=213) from None
    for name, value in values.items():
        settings.assign(name, value)


def outcomes(
    slot: int, replies: list[tuple[int, bytes | ShardwsError]]
) -> dict[int, ShardwsError | None]:
    """Return for each slot None, or the error that prevented it there.

    While a reload runs a slot has two processes: the error of either counts.
    """
    found: dict[int, ShardwsError | None] = {slot: None}
    for other, reply in replies:
        error = reply if isinstance(reply, ShardwsError) else None
        found[other] = error or found.get(other)
    return dict(sorted(found.items()))
