"""The shapes of replies: the keys that the commands need, and the types of their values.

A server of another version, or another program, may reply anything. That is reported here as one
line of a ControlError, before a command relies on a key.
"""

from typing import Any, Final

from shardws import ids
from shardws.control import failures

NUMBER: Final = "a number"  # usable in arithmetic: finite, below 2^63
ID: Final = "a ConnectionId"
MOST: Final = 1 << 63

_COUNTERS: Final = dict.fromkeys(("messages_in", "messages_out", "bytes_in", "bytes_out"), NUMBER)
_SHARD: Final = {
    "shard": int, "state": str, "last_end": str, "pid": NUMBER, "uptime": NUMBER,
    "restarts": NUMBER, "connections": NUMBER, "loop_lag": NUMBER, "queue_bytes": NUMBER,
    "link_bytes": NUMBER, "rss": NUMBER, "cpu_seconds": NUMBER, "waits_for_code?": str,
    **_COUNTERS,
}  # fmt: skip
_CERTIFICATE: Final = {
    "subject": str, "expires": str, "days_left": NUMBER, "is_expiring": bool,
    "validity?": str, "valid_from?": str,
}  # fmt: skip
_AUXILIARY: Final = {
    "name": str, "pid": NUMBER, "uptime": NUMBER, "restarts": NUMBER, "last_end": str,
}  # fmt: skip
# "?": a server of an older version does not report it, or it is null.
STATUS: Final = {
    "url": str, "phase": str, "ready": bool, "pid": NUMBER, "uptime": NUMBER,
    "max_connections": NUMBER, "reload_outcome": str, "upgrade_outcome?": str,
    "totals": {"connections": NUMBER, **_COUNTERS},
    "shards": [_SHARD],
    "auxiliaries?": [_AUXILIARY],
    "tls?": {"protocols": [str], "certificates": [_CERTIFICATE]},
}  # fmt: skip
_CONNECTION: Final = {
    "id": ID, "shard": int, "address": str, "port": NUMBER, "silent": NUMBER, "ping": NUMBER,
    "queue_bytes": NUMBER, "groups": NUMBER, "path": str,
}  # fmt: skip
CONNECTIONS: Final = {
    "total": NUMBER,
    "silent_shards?": NUMBER,
    "next?": [ID],
    "connections": [_CONNECTION],
}
RELOADING: Final = {"reloads": int}
RELOAD_PROGRESS: Final = {"reloads": int, "phase": str}
RELOADED: Final = {"reload_outcome": str, "last_reload": {"kind": str}}
UPGRADING: Final = {"upgrades": int}
UPGRADE_PROGRESS: Final = {"upgrades": int, "phase": str}
UPGRADED: Final = {"upgrade_outcome": str, "last_upgrade": {"kind": str}}
PHASE: Final = {"phase": str}
SCALED: Final = {"shards": NUMBER}
CLOSED: Final = {"count": NUMBER, "silent_shards?": NUMBER}


def checked(reply: dict[str, Any], shape: dict[str, Any]) -> dict[str, Any]:
    """Return the reply if it has the shape; otherwise ControlError names the first mismatch."""
    _check(reply, shape, "")
    return reply


def _check(value: Any, shape: Any, where: str) -> None:
    if isinstance(shape, dict):
        _check_object(value, shape, where)
    elif isinstance(shape, list):
        if not isinstance(value, list):
            raise failures.other_kind(where)
        for at, one in enumerate(value):
            _check(one, shape[0], f"{where}.{at}")
    elif not _is(value, shape):
        raise failures.other_kind(where)


def _check_object(value: Any, shape: dict[str, Any], where: str) -> None:
    if not isinstance(value, dict):
        raise failures.other_kind(where)
    for key, inner in shape.items():
        name = key.removesuffix("?")
        if value.get(name) is None and name is not key:
            continue
        _check(value.get(name), inner, f"{where}.{name}".removeprefix("."))


def _is(value: Any, kind: Any) -> bool:
    if kind is bool or kind is str:
        return isinstance(value, kind)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    if kind is NUMBER:
        return -MOST < value < MOST
    return isinstance(value, int) and (kind is not ID or 0 < value <= ids.MAX_ID)
