"""One setting: everything about it, in one place.

Owns the shape of a row and the check of one value against it.
"""

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from shardws.errors import SettingError
from shardws.settings.kinds import Bool, Kind

T = TypeVar("T")


class Access(enum.StrEnum):
    """Who may do what with a setting."""

    RW = "read and write"
    RO = "read-only"
    WO = "write-only"


class When(enum.StrEnum):
    """When a setting may change, and when the change takes effect."""

    BOOT = "before the server starts; refused while it listens"
    LISTEN = "before listening starts; refused while listening"
    RELOAD = "at any time; takes effect at the next start of listening or reload"
    ACCEPT = "at any time; takes effect for connections accepted from then on"
    LIVE = "at any time; takes effect at once"


class Scope(enum.StrEnum):
    """What a setting belongs to."""

    SERVER = "server"
    CONNECTION = "connection"


class Group(enum.Enum):
    """Sections of the reference page; a TOML file may use the value as the name of a table."""

    LISTENING = "listening"
    SERVER = "server"
    MESSAGES = "messages"
    CONNECTIONS = "connections"
    SOCKETS = "sockets"
    QUEUES = "queues"
    ACCESS = "access"
    TLS = "tls"
    LOGGING = "logging"


class Refusal(ValueError):
    """A value refused with an error code of its own (errors.ERROR_CODES) instead of 213."""

    def __init__(self, code: int, reason: str) -> None:
        self.code = code
        super().__init__(reason)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Row(Generic[T]):
    """A setting. Rows are compared by identity, so they are cheap as dict keys."""

    name: str  # snake_case
    vendor: str  # CamelCase: the original component's name, or one like it
    kind: Kind[T]
    default: T
    text: str  # one to three sentences for the reference page
    group: Group
    when: When
    module: str  # dotted name of the one module that applies it; "" when nothing does
    low: float | None = None  # bounds in the unit of the kind
    high: float | None = None
    valid: Callable[[T], None] | None = None  # further check: raises ValueError or Refusal
    access: Access = Access.RW
    scope: Scope = Scope.SERVER
    flag: str | None = None  # None: made from the name; "": none
    sensitive: bool = False  # never in a repr, an error, a listing or on a command line
    busy_code: int = 0  # error code when changed at the wrong time, if not that of `when`
    original: str = ""  # the original component's default where ours differs

    def __repr__(self) -> str:
        return f"<Row {self.vendor}>"

    @property
    def unit(self) -> str:
        """Unit of a plain number."""
        return self.kind.unit

    @property
    def is_settable(self) -> bool:
        """Whether a file, the environment or a program may give it to the whole server."""
        return self.scope is Scope.SERVER and self.access is not Access.RO

    @property
    def option(self) -> str:
        """The command line option, "" when there is none: `ps` would show secrets."""
        if self.flag is not None:
            return self.flag
        if self.sensitive or not self.is_settable:
            return ""
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        """The environment variable, "" when there is none."""
        return f"SHARDWS_{self.name.upper()}" if self.is_settable else ""

    @property
    def bounds(self) -> str:
        """The bounds in words, "" without bounds."""
        shown = self._bound
        if self.low is not None and self.high is not None:
            return f"{shown(self.low)} to {shown(self.high)}"
        if self.low is not None:
            return f"at least {shown(self.low)}"
        return f"at most {shown(self.high)}" if self.high is not None else ""

    def _bound(self, value: float) -> str:
        return f"{value:g}" if value < 1e6 else str(int(value))

    def accept(self, value: object) -> T:
        """Return `value` as this setting stores it; text is parsed.

        Raises SettingError 213, or with the code of its check. The error never shows a
        sensitive value.
        """
        try:
            accepted = self.kind.check(value)
            self._check_bounds(accepted)
            if self.valid is not None:
                self.valid(accepted)
        except Refusal as error:
            raise self.error(str(error), value, error.code) from None
        except ValueError as error:
            raise self.error(str(error), value, 213) from None
        return accepted

    def _check_bounds(self, value: object) -> None:
        if isinstance(value, int | float):
            too_low = self.low is not None and value < self.low
            if too_low or (self.high is not None and value > self.high):
                raise ValueError(f"must be {self.bounds} {self.unit}".rstrip())

    def error(self, reason: str, value: object, code: int) -> SettingError:
        """Return the error for a bad value, naming the value unless it is sensitive."""
        shown = "" if self.sensitive else f", not {brief(value)}"
        return SettingError(f"{self.vendor}: {reason}{shown}", code=code)

    def show(self, value: T) -> str:
        """Format a value for display: short, and never a secret."""
        if self.sensitive:
            return "***" if value else ""
        return self.kind.show(value)

    @property
    def is_bool(self) -> bool:
        return isinstance(self.kind, Bool)


def brief(value: object) -> str:
    """Return a repr short enough for an error; of bytes only the size."""
    if isinstance(value, bytes | bytearray | memoryview):
        return f"{len(value)} bytes"
    try:
        text = repr(value)
    except RecursionError:
        return "that value"
    if "-----BEGIN" in text:
        return "that text"
    return text if len(text) <= 60 else text[:57] + "..."
