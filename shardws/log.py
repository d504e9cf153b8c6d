"""Loggers under `shardws.<name>`.

Owns the names, the adapter that puts connection id and shard into each record, how text from
clients is shown, how long a record may be, and how many lines clients can cause; configuring
handlers is the supervisor's task, so that the library stays silent in a host program.
"""

import logging
import time
import traceback
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

REDACTED: Final = "?..."
VERBOSE: Final = 15  # between INFO and DEBUG: details that LogLevel 2 shows
ROOT: Final = "shardws."
MOST_SHOWN: Final = 200  # characters of a client's text in a line, a reply or an error

MOST_A_SECOND: Final = 10  # lines of one kind about clients
SUMMARY_SECONDS: Final = 10.0  # how often the number of suppressed lines is logged
MOST_KINDS: Final = 64  # that are told apart; further ones share OTHERS
OTHERS: Final = "other lines about clients"

# An exception of the application may quote a whole message: its text is the client's choice.
MOST_MESSAGE: Final = 8192  # characters of a record's message
MOST_TRACEBACK_LINE: Final = 1000
MOST_TRACEBACK: Final = 16_384  # half of it from the beginning, half from the end

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
    """Return the logger `shardws.<name>`, whose records are bounded."""
    found = logging.getLogger(ROOT + name)
    found.addFilter(bound)  # once, however often it is added
    return found


def bound(record: logging.LogRecord) -> bool:
    """Cut the message of a record, and set its `exc_text`, which formatters use as it is."""
    try:
        message = record.getMessage()
    except Exception:  # noqa: BLE001  wrong arguments: the handler reports them
        return True
    if len(message) > MOST_MESSAGE:
        record.msg, record.args = cut(message, MOST_MESSAGE), ()
    if record.exc_info and record.exc_info[1] is not None:
        record.exc_text = traceback_of(record.exc_info[1])
    return True


def traceback_of(error: BaseException) -> str:
    """Return the traceback as text of bounded size, without a line break at the end."""
    try:
        lines = "".join(traceback.format_exception(error)).rstrip("\n").split("\n")
    except Exception as second:  # noqa: BLE001  of the application's code: its `__cause__`, say
        name = type(error).__name__
        return f"{name} (its traceback cannot be had: {type(second).__name__})"
    text = "\n".join(cut(line, MOST_TRACEBACK_LINE) for line in lines)
    if len(text) <= MOST_TRACEBACK:
        return text
    half = MOST_TRACEBACK // 2
    left_out = len(text) - 2 * half
    return f"{text[:half]}...\n[{left_out} characters are left out]\n...{text[-half:]}"


def address_of(client: Client) -> str:
    """Return "host:port" of a client, an IPv6 host in brackets."""
    host = client.remote_host
    return f"[{host}]:{client.remote_port}" if ":" in host else f"{host}:{client.remote_port}"


def shown(text: str, most: int = MOST_SHOWN) -> str:
    """Return text from a client for display: quoted, ASCII, one line, at most `most` characters."""
    return ascii(text[:most]) + ("..." if len(text) > most else "")


def cut(text: str, most: int = MOST_SHOWN) -> str:
    """Return the text, cut to `most` characters and an ellipsis if it is longer."""
    return text if len(text) <= most else text[:most] + "..."


@dataclass(slots=True)
class _Kind:
    """How many lines of one kind were written and suppressed."""

    level: int
    second: float  # when the running second began
    written: int = 0  # in it
    left_out: int = 0  # since `since`
    since: float = 0.0


@dataclass(frozen=True, slots=True)
class LeftOut:
    """How many lines of a kind were suppressed, and in how many seconds."""

    kind: str
    level: int
    count: int
    seconds: float


class LineLimiter:
    """The rate limit of lines about clients: a few of each kind per second, the rest as a number.

    Anyone who can connect can cause log lines, as many as they like. A kind is a text of this code,
    never of a client. Times are seconds of one clock; memory is MOST_KINDS records.
    """

    __slots__ = ("_kinds", "_most")

    def __init__(self, most: int = MOST_A_SECOND) -> None:
        self._most = most
        self._kinds: dict[str, _Kind] = {}

    def admits(self, kind: str, level: int, now: float) -> bool:
        """Tell whether a line may be written; one that may not is counted."""
        if kind not in self._kinds and len(self._kinds) >= MOST_KINDS:
            kind = OTHERS
        record = self._kinds.get(kind)
        if record is None:
            record = self._kinds[kind] = _Kind(level, now)
        if now - record.second >= 1.0:
            record.second, record.written = now, 0
        if record.written < self._most:
            record.written += 1
            return True
        if not record.left_out:
            record.since = now
        record.left_out += 1
        record.level = max(record.level, level)
        return False

    def take(self, now: float, *, is_end: bool = False) -> list[LeftOut]:
        """Return the counts that are due and reset them; `is_end`: all of them, due or not."""
        told = []
        for kind, record in self._kinds.items():
            seconds = now - record.since
            if record.left_out and (is_end or seconds >= SUMMARY_SECONDS):
                told.append(LeftOut(kind, record.level, record.left_out, seconds))
                record.left_out = 0
        return told


class Adapter(logging.LoggerAdapter[logging.Logger]):
    """Adds `shard` and `connection_id` to every record as attributes."""

    _watch: Watch | None = None
    _watch_level: int = logging.CRITICAL + 1

    def __init__(
        self,
        logger: logging.Logger,
        extra: Mapping[str, object] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(logger, extra)
        self._limiter = LineLimiter()
        self._clock = clock

    def watch(self, heard: Watch, level: int) -> None:
        """Call `heard` with every line of at least `level`, whatever level the loggers have."""
        self._watch = heard
        self._watch_level = level

    @property
    def unwatched(self) -> "Adapter":
        """The same adapter without a watcher."""
        return Adapter(self.logger, self.extra)

    def isEnabledFor(self, level: int) -> bool:
        return level >= self._watch_level or self.logger.isEnabledFor(level)

    def log(
        self, level: int, msg: object, *args: object, stacklevel: int = 1, **kwargs: Any
    ) -> None:
        if self._watch is not None and level >= self._watch_level:
            given = kwargs.get("extra") or {}
            text = cut(str(msg) % args if args else str(msg), MOST_MESSAGE)
            name = self.logger.name[len(ROOT) :]
            self._watch(given.get("connection_id", 0), level, text, name)
        super().log(level, msg, *args, **kwargs, stacklevel=stacklevel + 1)  # not the line above

    def about(self, client: Client, level: int, msg: str, *args: object) -> None:
        """Write a line about a client: the first %s of `msg` is its "host:port"."""
        if self.isEnabledFor(level):
            extra = {"connection_id": client.id}
            self.log(level, msg, address_of(client), *args, stacklevel=2, extra=extra)

    # -- lines that clients can cause ----------------------------------------------------------

    def stranger(self, kind: str, level: int, msg: str, *args: object) -> None:
        """Write a line that any client can cause: a few of each kind per second."""
        if self.isEnabledFor(level) and self._limiter.admits(kind, level, self._clock()):
            self.log(level, msg, *args, stacklevel=2)

    def about_stranger(
        self, kind: str, client: Client, level: int, msg: str, *args: object
    ) -> None:
        """Write such a line about a client: the first %s of `msg` is its "host:port"."""
        if self.isEnabledFor(level) and self._limiter.admits(kind, level, self._clock()):
            extra = {"connection_id": client.id}
            self.log(level, msg, address_of(client), *args, stacklevel=2, extra=extra)

    def sum_up(self, *, is_end: bool = False) -> None:
        """Log how many lines were suppressed; to be called about every second, and at the end."""
        for left in self._limiter.take(self._clock(), is_end=is_end):
            text = "%s: and %d more like it in the last %.0f s"
            self.log(left.level, text, left.kind, left.count, max(1.0, left.seconds))

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
    """Return untrusted text as one safe line: what cannot be printed is written as `\\x1b`.

    Line breaks would forge lines, ESC and C1 codes would control the terminal that shows them, and
    bidirectional controls would reorder it.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escape(ord(char)) for char in text)


def _escape(code: int) -> str:
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def redact_query(target: str) -> str:
    """Remove the query from a request target: it may hold tokens."""
    path, mark, _ = target.partition("?")
    return path + REDACTED if mark else path
