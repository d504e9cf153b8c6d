"""Loggers under `shardws.<room>`.

Owns the names and the adapter that puts connection id and shard into each record; configuring
handlers is the supervisor's task, so that the library stays silent in a host program.
"""

import logging
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, Final

REDACTED: Final = "?..."
VERBOSE: Final = 15  # between INFO and DEBUG: details that LogLevel 2 shows

# C0 but the tab, DEL, C1, the line breaks of Unicode, and what turns the direction of writing.
UNSAFE: Final = (
    *(number for number in range(32) if number != 9),
    *range(127, 160),
    *range(0x2028, 0x202F),
    *range(0x2066, 0x206A),
)
_ESCAPES: Final = {number: chr(number).encode("unicode_escape").decode() for number in UNSAFE}

# In `extra`: the line is about somebody who may be anybody, so the handler limits their number.
STRANGER: Final = {"is_stranger": True}

Watch = Callable[[int, int, str, str], None]  # connection id, level, message, room


ROOT: Final = "shardws."


def logger(room: str) -> logging.Logger:
    """Return the logger of a room, `shardws.<room>`."""
    return logging.getLogger(ROOT + room)


class Adapter(logging.LoggerAdapter[logging.Logger]):
    """Adds `shard` and `connection_id` to every record as attributes.

    `watch` hears of every line from `watch_level` on, whatever the loggers are set to.
    """

    watch: Watch | None = None
    watch_level: int = logging.CRITICAL + 1

    @property
    def unwatched(self) -> "Adapter":
        """The same without `watch`."""
        return Adapter(self.logger, self.extra)

    def isEnabledFor(self, level: int) -> bool:
        return level >= self.watch_level or super().isEnabledFor(level)

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        if self.watch is not None and level >= self.watch_level:
            given = kwargs.get("extra") or {}
            text = str(msg) % args if args else str(msg)
            self.watch(given.get("connection_id", 0), level, text, self.logger.name[len(ROOT) :])
        super().log(level, msg, *args, **kwargs, stacklevel=2)  # not the line above

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


def escaped(text: str) -> str:
    """Return text from elsewhere in one harmless line: control characters are written as `\\x1b`.

    Line breaks would forge lines, ESC and C1 codes give orders to the terminal that shows them.
    """
    return text.translate(_ESCAPES)


def redact_query(target: str) -> str:
    """Cut the query from a request target: tokens travel there."""
    path, mark, _ = target.partition("?")
    return path + REDACTED if mark else path
