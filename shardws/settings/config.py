"""`config()`: the one-string interface to settings.

Owns the forms `Name`, `Name=Value`, `Name[id]` and `Name[id]=Value`; settings of a connection go
through a ConnectionSettings. Names are case-insensitive; values read back as text, booleans as
`True` and `False`.
"""

import re
from typing import Any, Final, NamedTuple, Protocol

from shardws import arguments
from shardws.errors import NoSuchConnection, SettingError
from shardws.settings.names import find
from shardws.settings.row import Access, Row, Scope
from shardws.settings.values import Settings

FORM: Final = re.compile(
    r"\s*(?P<name>[^\s=\[\]]+)\s*(?:\[\s*(?P<id>[0-9]{1,16})\s*\]\s*)?(?:=(?P<value>.*))?",
    re.DOTALL,
)


class ConnectionSettings(Protocol):
    """Reads and writes the settings of a connection; both raise NoSuchConnection."""

    def connection_setting(self, connection_id: int, row: Row[Any]) -> object: ...
    def set_connection_setting(self, connection_id: int, row: Row[Any], value: object) -> None: ...


class NoConnections:
    """For settings without a server: no connection exists."""

    def connection_setting(self, connection_id: int, row: Row[Any]) -> object:
        raise NoSuchConnection(connection_id)

    def set_connection_setting(self, connection_id: int, row: Row[Any], value: object) -> None:
        raise NoSuchConnection(connection_id)


class Command(NamedTuple):
    """One parsed call of `config()`."""

    row: Row[Any]
    connection_id: int | None
    value: str | None  # None reads


def parse(text: str) -> Command:
    """Read `Name`, `Name=Value`, `Name[id]` or `Name[id]=Value`.

    SettingError 214 for an unknown name, 213 for another form, or a connection id that is missing
    or out of place; UsageError 213 when it is not text.
    """
    form = FORM.fullmatch(arguments.text(text, "what config() is given"))
    if form is None:
        raise SettingError(
            "must be Name, Name=Value, Name[ConnectionId] or Name[ConnectionId]=Value"
        )
    row = find(form["name"])
    if row.scope is Scope.CONNECTION and form["id"] is None:
        raise SettingError(f"{row.vendor} belongs to a connection: {row.vendor}[ConnectionId]")
    if row.scope is Scope.SERVER and form["id"] is not None:
        raise SettingError(f"{row.vendor} belongs to the server, not to a connection")
    return Command(row, None if form["id"] is None else int(form["id"]), form["value"])


def run(settings: Settings, connections: ConnectionSettings, text: str) -> str:
    """Carry out `config(text)`; return the value in force afterwards, as text.

    After an assignment that a flag or file overrides, that is the overriding value. A write-only
    setting returns "" when written and raises SettingError 211 when read.
    """
    row, connection_id, value = parse(text)
    if value is None and row.access is Access.WO:
        raise SettingError(f"{row.vendor} is write-only", code=211)
    if connection_id is None:
        return _of_server(settings, row, value)
    return _of_connection(connections, row, connection_id, value)


def _of_server(settings: Settings, row: Row[Any], value: str | None) -> str:
    if value is not None:
        settings.set(row, value)
    return "" if row.access is Access.WO else row.kind.render(settings[row])


def _of_connection(
    connections: ConnectionSettings, row: Row[Any], connection_id: int, value: str | None
) -> str:
    if value is not None:
        if row.access is Access.RO:
            raise SettingError(f"{row.vendor} is read-only", code=212)
        connections.set_connection_setting(connection_id, row, row.accept(value))
    return row.kind.render(row.kind.check(connections.connection_setting(connection_id, row)))
