"""Loggers under `shardws.<room>`.

Owns the names and the adapter that puts connection id and shard into each record; configuring
handlers is the supervisor's task, so that the library stays silent in a host program.
"""

import logging
from collections.abc import Mapping, MutableMapping
from typing import Any

REDACTED = "?..."


def logger(room: str) -> logging.Logger:
    """Return the logger of a room, `shardws.<room>`."""
    return logging.getLogger(f"shardws.{room}")


class Adapter(logging.LoggerAdapter[logging.Logger]):
    """Adds `shard` and `connection_id` to every record as attributes."""

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        extra: Mapping[str, object] = self.extra or {}
        given: Mapping[str, object] = kwargs.get("extra") or {}
        kwargs["extra"] = {"connection_id": 0, **extra, **given}
        return msg, kwargs


def shard_logger(room: str, shard: int) -> Adapter:
    """Return the logger of a room in one shard."""
    return Adapter(logger(room), {"shard": shard})


def redact_query(target: str) -> str:
    """Cut the query from a request target: tokens travel there."""
    path, mark, _ = target.partition("?")
    return path + REDACTED if mark else path
