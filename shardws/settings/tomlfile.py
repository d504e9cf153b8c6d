"""Settings from a TOML file.

Owns the shape of the file: keys at the top, or in tables named like the sections of the reference
page (`[tls]`). Any spelling of a name is accepted; an unknown one is an error with its line and the
nearest valid name. Values are checked by the Settings they are given to.
"""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from shardws.errors import SettingError
from shardws.settings import cross_checks, names
from shardws.settings.row import Group, Row
from shardws.settings.values import Assignment, Settings, Source

MAX_FILE: Final = 4 << 20  # bytes; PEM text may be among the values
GROUPS: Final = frozenset(group.value for group in Group)
HEADER: Final = re.compile(r"\s*\[\s*[\"']?([\w-]+)[\"']?\s*\]\s*(?:#.*)?")
KEY: Final = re.compile(r"\s*(?:[\"']?([\w-]+)[\"']?\s*\.\s*)?[\"']?([\w-]+)[\"']?\s*=.*")


class Entry(NamedTuple):
    """One key of the file."""

    table: str  # "" at the top
    name: str
    value: object


def read(path: str) -> list[Assignment]:
    """Return the assignments of a file.

    SettingError: 302 the file cannot be opened, 213 it is not TOML or a key comes twice, 214
    unknown key or table.
    """
    assignments, problems = examine(path)
    for problem in problems:
        raise problem
    return assignments


def check(path: str) -> list[str]:
    """Return one line for each problem in a file; empty when it is valid."""
    assignments, problems = examine(path)
    settings = Settings()
    for assignment in assignments:
        try:
            settings.assign(*assignment)
        except SettingError as error:
            problems.append(error)
    problems += cross_checks.problems(settings)
    return [str(problem) for problem in problems]


def examine(path: str) -> tuple[list[Assignment], list[SettingError]]:
    """Return the assignments of the keys that are settings, and the problems with the others."""
    try:
        text = _text_of(path)
        document = tomllib.loads(text)
    except SettingError as error:
        return [], [error]
    except RecursionError:
        return [], [SettingError(f"{path} is nested too deeply")]
    except ValueError as error:  # TOMLDecodeError, and int() on thousands of digits
        return [], [SettingError(f"{path}: {error}")]
    lines = _lines_of(text)
    assignments: list[Assignment] = []
    problems: list[SettingError] = []
    seen: set[Row[Any]] = set()
    for entry in _entries_of(document):
        line = lines.get(entry[:2])
        where = f"{path} line {line}" if line else path
        try:
            row = _row_of(entry, seen)
        except SettingError as error:
            problems.append(SettingError(f"{error.description} ({where})", code=error.code))
        else:
            seen.add(row)
            assignments.append(Assignment(row.name, entry.value, Source.FILE, where))
    return assignments, problems


def _text_of(path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_FILE + 1)
    except OSError as error:
        raise SettingError(f"cannot open {path}: {error.strerror}", code=302) from None
    if len(data) > MAX_FILE:
        raise SettingError(f"{path} is longer than {MAX_FILE} bytes")
    try:
        return data.decode("utf-8-sig")  # editors on Windows add a byte order mark
    except UnicodeDecodeError:
        raise SettingError(f"{path} is not UTF-8") from None


def _entries_of(document: dict[str, Any]) -> Iterator[Entry]:
    for name, value in document.items():
        # A table under the name of a setting is that setting's value, even if invalid.
        if isinstance(value, dict) and names.key(name) not in names.BY_KEY:
            for inner, inner_value in value.items():
                yield Entry(name, inner, inner_value)
        else:
            yield Entry("", name, value)


def _row_of(entry: Entry, seen: set[Row[Any]]) -> Row[Any]:
    if entry.table and entry.table not in GROUPS:
        tables = ", ".join(group.value for group in Group)
        raise SettingError(f"there is no table [{entry.table}]; tables are {tables}", code=214)
    row = names.find(entry.name)
    if not row.is_settable:
        raise SettingError(f"{row.vendor} cannot be set in a file", code=212)
    if row in seen:
        raise SettingError(f"{row.vendor} is given twice")
    return row


def _lines_of(text: str) -> dict[tuple[str, str], int]:
    """Return the line of each (table, key), which tomllib does not report."""
    lines: dict[tuple[str, str], int] = {}
    table = ""
    for number, line in enumerate(text.splitlines(), 1):
        if header := HEADER.fullmatch(line):
            table = header[1]
        elif match := KEY.fullmatch(line):
            lines.setdefault((match[1] or table, match[2]), number)
    return lines
