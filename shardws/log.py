"""Loggers under `shardws.<name>`.

Owns the names and the adapter that puts connection id and shard into each record; configuring
handlers is the supervisor's task, so that the library stays silent in a host program.
"""

import logging
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, Final, Protocol

REDACTED: Final = "?..."
VERBOSE: Final = 15  # between INFO and DEBUG: details that LogLevel 2 shows
ROOT: Final = "shardws."

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

Watch = Callable[[int, int, str, str], None]  # connection id, level, message, name of the logger


class Client(Protocol):
    """A connection, as a line about it shows it."""

    @property
    def id(self) -> int: ...
    @property
    def remote_host(self) -> str: ...
    @property
    def remote_port(self) -> int: ...


def logger(name: str) -> logging.Logger:
    """Return the logger `shardws.<name>`."""
    return logging.getLogger(ROOT + name)


def address_of(client: Client) -> str:
    """Return "host:port" of a client, an IPv6 host in brackets."""
    host = client.remote_host
    return f"[{host}]:{client.remote_port}" if ":" in host else f"{host}:{client.remote_port}"


class Adapter(logging.LoggerAdapter[logging.Logger]):
    """Adds `shard` and `connection_id` to every record as attributes."""

    _watch: Watch | None = None
    _watch_level: int = logging.CRITICAL + 1

    def watch(self, heard: Watch, level: int) -> None:
        """Have `heard` called with every line from `level` on, whatever the loggers are set to."""
        self._watch = heard
        self._watch_level = level

    @property
    def unwatched(self) -> "Adapter":
        """The same with nobody who watches."""
        return Adapter(self.logger, self.extra)

    def isEnabledFor(self, level: int) -> bool:
        return level >= self._watch_level or super().isEnabledFor(level)

    def log(
        self, level: int, msg: object, *args: object, stacklevel: int = 1, **kwargs: Any
    ) -> None:
        if self._watch is not None and level >= self._watch_level:
            given = kwargs.get("extra") or {}
            text = str(msg) % args if args else str(msg)
            name = self.logger.name[len(ROOT) :]
            self._watch(given.get("connection_id", 0), level, text, name)
        super().log(level, msg, *args, **kwargs, stacklevel=stacklevel + 1)  # not the line above

    def about(
        self, client: Client, level: int, msg: str, *args: object, is_stranger: bool = False
    ) -> None:
        """Write a line about a client: the first %s of `msg` is its "host:port".

        `is_stranger`: anybody who can connect may cause such lines, so their number is limited.
        """
        if self.isEnabledFor(level):
            mark = STRANGER if is_stranger else {}
            extra = {"connection_id": client.id, **mark}
            self.log(level, msg, address_of(client), *args, stacklevel=2, extra=extra)

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        extra: Mapping[str, object] = self.extra or {}
        given: Mapping[str, object] = kwargs.get("extra") or {}
        kwargs["extra"] = {"connection_id": 0, **extra, **given}
        return msg, kwargs


def shard_logger(name: str, shard: int) -> Adapter:
    """Return the logger `shardws.<name>` in one shard."""
    return Adapter(logger(name), {"shard": shard})


def escaped(text: str) -> str:
    """Return text from elsewhere in one harmless line: control characters are written as `\\x1b`.

    Line breaks would forge lines, ESC and C1 codes give orders to the terminal that shows them.
    """
    return text.translate(_ESCAPES)


def redact_query(target: str) -> str:
    """Cut the query from a request target: tokens travel there."""
    path, mark, _ = target.partition("?")
    return path + REDACTED if mark else path
