"""The values of all settings, and where each came from.

Owns values, their sources and the rule when a value may change. Does not know who applies them: a
shard subscribes. Precedence: the source with the higher number wins; a value from a lower one is
checked, remembered as overridden and not applied.

Secrets: `explicit()` and `settings[row]` return them for the one module that uses them. `repr`,
errors and listing.listing never show them.
"""

import enum
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple, TypeVar

from shardws.errors import SettingError
from shardws.settings.names import find
from shardws.settings.row import Access, Row, Scope, When
from shardws.settings.table import ROWS

T = TypeVar("T")

Subscriber = Callable[[Row[Any]], None]
LATER: Final = object()  # stands for a value that is derived when it is read


class Source(enum.IntEnum):
    """Where a value comes from; the higher number wins."""

    DEFAULT = 0
    CODE = 1  # the application, before it listens
    FILE = 2
    ENV = 3
    FLAG = 4
    RUNTIME = 5  # the application, after it first listened


class Assignment(NamedTuple):
    """A value for a setting, not checked yet."""

    name: str
    value: object
    source: Source
    detail: str = ""  # "shardws.toml line 12", "SHARDWS_LOCAL_PORT", "--local-port"


class Given(NamedTuple):
    """A checked value and where it comes from."""

    value: Any
    source: Source
    detail: str

    def __str__(self) -> str:
        return self.detail or self.source.name.lower()


class Settings:
    """All settings of one server. Rows of connections have their defaults here, nothing more."""

    __slots__ = (
        "_bases",
        "_derived",
        "_given",
        "_has_listened",
        "_is_forked",
        "_is_listening",
        "_subscribers",
        "_values",
    )

    def __init__(self) -> None:
        self._values: dict[Row[Any], Any] = {row: row.default for row in ROWS}
        self._given: dict[Row[Any], dict[Source, Given]] = {}
        self._is_listening = False
        self._has_listened = False
        self._is_forked = False  # of a shard whose supervisor alone starts others
        self._subscribers: list[Subscriber] = []
        self._derived: dict[Row[Any], Callable[[Settings], Any]] = {}
        self._bases: frozenset[Row[Any]] = frozenset()

    def __getitem__(self, row: Row[T]) -> T:
        value: T = self._values[row]
        if value is LATER:
            value = self._values[row] = row.accept(self._derived[row](self))
        return value

    def derive(
        self, bases: Iterable[Row[Any]], derived: Mapping[Row[Any], Callable[["Settings"], Any]]
    ) -> None:
        """Let settings be derived from the values given for `bases`; call it once.

        A value is computed at its first read after one of these has changed. `given` still returns
        the value that was given.
        """
        self._bases = frozenset(bases)
        self._derived = dict(derived)
        self._values.update(dict.fromkeys(self._derived, LATER))

    def subscribe(self, changed: Subscriber) -> Callable[[], None]:
        """Call `changed(row)` when a value in force changes; return a function that ends that."""
        self._subscribers.append(changed)
        return lambda: self._subscribers.remove(changed)

    @property
    def is_listening(self) -> bool:
        return self._is_listening

    def assign(
        self, name: str, value: object, source: Source | None = None, detail: str = ""
    ) -> None:
        """Set a setting by any spelling of its name, from a value or from text.

        Without `source` it is the application's: CODE before the first listening, RUNTIME after.
        Raises SettingError: 214 unknown name, 213 bad value (or a code of its check), 212
        read-only, 104, 106, 107 and 211 wrong time. `detail` is named in the error.
        """
        try:
            row = find(name)
            self._permit(row)
            accepted = row.accept(value)
        except SettingError as error:
            if not detail:
                raise
            raise SettingError(f"{error.description} ({detail})", code=error.code) from None
        self._take(row, accepted, source, detail)

    def set(self, row: Row[T], value: T, source: Source | None = None, detail: str = "") -> None:
        """Set a setting by its row; as `assign`."""
        self._permit(row)
        self._take(row, row.accept(value), source, detail)

    def check(self, name: str, value: object) -> tuple[Row[Any], Any]:
        """Return the row of a name and the value as it would be stored; raises as `assign`."""
        row = find(name)
        self._permit(row)
        return row, row.accept(value)

    def apply(self, assignments: Iterable[Assignment]) -> None:
        """Make all assignments; the first invalid one raises, those before it stay."""
        for assignment in assignments:
            self.assign(*assignment)

    def load(
        self, values: Mapping[str, object], source: Source = Source.CODE, detail: str = ""
    ) -> None:
        """Take what `explicit` returned, perhaps in another process."""
        self.apply(Assignment(name, value, source, detail) for name, value in values.items())

    def explicit(self) -> dict[str, object]:
        """Return what differs from DEFAULT, by snake_case name, as JSON can hold it.

        It contains secrets: it is for the supervisor's pipe, not for display.
        """
        return {
            row.name: row.kind.to_json(self.given(row).value) for row in ROWS if row in self._given
        }

    def given(self, row: Row[Any]) -> Given:
        """Return the given value that takes precedence, and its source.

        It differs from `settings[row]` where listening resolved it (`resolve`).
        """
        levels = self._given.get(row)
        return levels[max(levels)] if levels else Given(row.default, Source.DEFAULT, "")

    def source(self, row: Row[Any]) -> Source:
        """Return where the value comes from."""
        return self.given(row).source

    def overridden(self, row: Row[Any]) -> list[Given]:
        """Return the values that a higher source overrides, the highest first."""
        levels = self._given.get(row, {})
        return [levels[source] for source in sorted(levels, reverse=True)[1:]]

    def begin_listening(self, *, is_forked: bool = False) -> None:
        """Enter the phase in which rows of BOOT and LISTEN are fixed.

        `is_forked`: in a shard of a supervisor, where those of RELOAD are fixed too: after a reload
        another process serves, which reads the file and the code again.
        """
        self._is_listening = self._has_listened = True
        self._is_forked = is_forked

    def end_listening(self) -> None:
        """Leave that phase; settings that listening resolved read as given again."""
        self._is_listening = False
        for row in ROWS:
            self._values[row] = LATER if row in self._derived else self.given(row).value

    def resolve(self, row: Row[T], value: T) -> None:
        """Let a setting read as `value` while listening, such as the port the system picked."""
        self._values[row] = row.accept(value)

    def copy(self) -> "Settings":
        """Return a copy with the same values and sources, not listening, without subscribers."""
        twin = Settings()
        twin._given = {row: dict(levels) for row, levels in self._given.items()}
        twin.end_listening()
        return twin

    def _permit(self, row: Row[Any]) -> None:
        if row.access is Access.RO:
            raise SettingError(f"{row.vendor} is read-only", code=212)
        if row.scope is Scope.CONNECTION:
            raise SettingError(f"{row.vendor} belongs to a connection: {row.vendor}[ConnectionId]")
        if self._is_listening and row.when in (When.BOOT, When.LISTEN):
            code = row.busy_code or (104 if row.when is When.LISTEN else 211)
            raise SettingError(f"{row.vendor} cannot be changed while listening", code=code)
        if self._is_forked and row.when is When.RELOAD:
            raise SettingError(
                f"{row.vendor} has no effect when a running shard sets it: give it in the file or"
                " at the top of the application, and reload",
                code=211,
            )

    def _take(self, row: Row[T], value: T, source: Source | None, detail: str) -> None:
        if source is None:
            source = Source.RUNTIME if self._has_listened else Source.CODE
        before = self.given(row).value
        self._given.setdefault(row, {})[source] = Given(value, source, detail)
        winner = self.given(row).value
        if winner == before and row in self._bases:
            return
        if row in self._bases:
            self._values.update(dict.fromkeys(self._derived, LATER))
        if row not in self._derived:
            if winner == self._values[row]:
                return
            self._values[row] = winner
        for changed in list(self._subscribers):
            changed(row)

    def __repr__(self) -> str:
        shown = (f"{row.name}={row.show(self[row])} ({self.given(row)})" for row in self._given)
        return f"<Settings {', '.join(shown)}>"
