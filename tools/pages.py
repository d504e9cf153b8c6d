"""The pages made from the tables: settings, a sample file, codes, metrics.

Owns their words and layout; each function returns the text of one page and reads no file.
"""

import errno
import json
import textwrap
from collections.abc import Iterable
from typing import Any, Final

from shardws import metrics
from shardws.errors import CLOSE_CODES, ERRNO_CODES, ERROR_CODES, EXIT_CODES
from shardws.settings.kinds_units import Size
from shardws.settings.row import Access, Group, Row, Scope, When
from shardws.settings.sources import GROUP_TITLES
from shardws.settings.table import ROWS
from shardws.settings.units import DURATION_SUFFIXES, SIZE_SUFFIXES

MADE: Final = "<!-- Made by `make pages` from the tables in the source; do not edit. -->\n"

INTRODUCTION: Final = """\
# Settings

A setting may be given, from the weakest to the strongest, by the application (`server.local_port =
9001` or `server.config("LocalPort=9001")`), a TOML file (`--config FILE` or `SHARDWS_CONFIG`), the
environment, a command line option, and again by the application while the server runs. A weaker
value is checked and remembered, and `shardws settings` shows it as overridden.

Names count without case, `_` and `-`: `LocalPort`, `local_port` and `local-port` are one setting.
An unknown name is an error (214) that names the nearest right one; a bad value is error 213 or the
one named below. In a TOML file a setting stands at the top or in the table of its section.

Durations are plain numbers in the unit named, or text such as `30s`, `5m`, `1h30m` and `250ms`
({durations}). Sizes are bytes, or text such as `64k`, `1MiB` and `16KB`
({sizes}); `KB`, `MB` and `GB` count by 1000, the others by 1024.
"""

SAMPLE_HEAD: Final = """\
# Settings of shardws. Made by `make pages`; copy it and take the `#` away where a line reads
# `#name = value`: it shows the default. `shardws check FILE` tells what is wrong with a file.
"""
ERRORS_TEXT: Final = """
## Errors

`ShardwsError.code` and the event Error carry them. An error of a socket whose errno is not in the
table is reported as 10000 + errno.

"""
CLOSES_TEXT: Final = """
## Close codes

RFC 6455 7.4 and its registry. Applications may use 3000 to 4999 as they like.

"""
EXITS_TEXT: Final = """
## Exit codes

How a supervisor or a shard ended.

"""
METRICS_HEAD: Final = (
    "Metric", "Type", "Unit", "What it is", "Two processes", "Key of the status report",
)  # fmt: skip
SCOPE_TITLES: Final = {
    metrics.Scope.WORD: "Counters and amounts of a shard",
    metrics.Scope.SHARD: "Processes of a shard",
    metrics.Scope.CPU: "CPU time of a shard",
    metrics.Scope.STATE: "State of a shard",
    metrics.Scope.SERVER: "The server",
    metrics.Scope.AUXILIARY: "Auxiliary processes",
    metrics.Scope.CERTIFICATE: "Certificates",
    metrics.Scope.SUPERVISOR: "The supervisor",
    metrics.Scope.BUILD: "Versions",
}
METRICS_TEXT: Final = """
`/metrics` of the admin server shows them in the Prometheus exposition. The label `shard` is the
slot, never a pid: a respawned shard continues its series, and no counter falls when a shard dies,
because counters are kept in shared memory. A slot has two processes while one replaces the other;
the column "Two processes" says how their values are combined. `shardws status --json` has the same
figures under the key in the last column, in the unit named there if it is another one.
"""


def settings_page() -> str:
    """Return docs/reference/settings.md."""
    introduction = INTRODUCTION.format(
        durations=", ".join(DURATION_SUFFIXES), sizes=", ".join(SIZE_SUFFIXES)
    )
    parts = [MADE, introduction, _whens(), _index()]
    for group in Group:
        parts.append(f"\n## {GROUP_TITLES[group]}\n\nTable `[{group.value}]` of a TOML file.\n")
        parts.extend(_section(row) for row in _rows_of(group))
    return "".join(parts)


def _rows_of(group: Group) -> list[Row[Any]]:
    return [row for row in ROWS if row.group is group]


def _whens() -> str:
    lines = markdown_table(("Word", "When a change is allowed and takes effect"), _when_lines())
    return f"\n{lines}"


def _when_lines() -> Iterable[tuple[str, ...]]:
    return ((when.name.lower(), when.value) for when in When)


def _index() -> str:
    lines = markdown_table(
        ("Setting", "Default", "Changes"),
        (
            (f"[{row.vendor}](#{row.vendor.lower()})", _default(row), _change_word(row))
            for row in ROWS
        ),
    )
    return f"\n{lines}"


def _change_word(row: Row[Any]) -> str:
    return "never" if row.access is Access.RO else row.when.name.lower()


def _section(row: Row[Any]) -> str:
    facts = [
        f"Type: {_type(row)}; default {_default(row)}{_original(row)}",
        f"Changes: {_changes(row)}",
        f"Given by: {_ways(row)}",
        f"Applied by: {_applied(row)}",
    ]
    if row.sensitive:
        facts.append("Secret: never shown, and no command line option")
    listed = "".join(f"- {fact}\n" for fact in facts)
    return f"\n### {row.vendor}\n\n{row.text}\n\n{listed}"


def _type(row: Row[Any]) -> str:
    words = [row.kind.name, f"in {row.unit}" if row.unit else "", row.bounds]
    if row.kind.metavar.count("|") and row.kind.name == "choice":
        words.append(row.kind.metavar.replace("|", ", "))
    return ", ".join(word for word in words if word)


def _default(row: Row[Any]) -> str:
    shown = row.show(row.default)
    return f"`{shown}`" if shown else "empty"


def _original(row: Row[Any]) -> str:
    return f" (IPWorks: `{row.original}`)" if row.original else ""


def _changes(row: Row[Any]) -> str:
    if row.access is Access.RO:
        return "read-only (212)"
    code = row.busy_code or {When.LISTEN: 104, When.BOOT: 211}.get(row.when, 0)
    refused = f" with error {code}" if code else ""
    access = "; write-only" if row.access is Access.WO else ""
    return f"{row.when.value}{refused}{access}"


def _ways(row: Row[Any]) -> str:
    if row.scope is Scope.CONNECTION:
        return f'`config("{row.vendor}[ConnectionId]")`'
    ways = (f"property `{row.name}`", f"`{row.option}`" if row.option else "", f"`{row.variable}`")
    return ", ".join(way for way in ways if way)


def _applied(row: Row[Any]) -> str:
    if not row.module:
        return "nothing"
    return f"`{row.module}`"


def sample_file() -> str:
    """Return docs/reference/shardws.sample.toml: every setting with its default, as comments."""
    parts = [SAMPLE_HEAD]
    for group in Group:
        parts.append(f"\n[{group.value}]\n")
        parts.extend(_sample(row) for row in _rows_of(group) if row.is_settable)
    return "".join(parts)


def _sample(row: Row[Any]) -> str:
    lines = textwrap.wrap(f"{row.text} ({_type(row)})", 96)
    comment = "".join(f"# {line}\n" for line in lines)
    return f"\n{comment}#{row.name} = {toml(row, row.default)}\n"


def toml(row: Row[Any], value: Any) -> str:
    """Return a value of `row` as TOML."""
    plain = row.kind.to_json(value)
    if isinstance(row.kind, Size) or row.kind.name == "duration":
        shown = row.kind.show(value)
        return str(plain) if shown == str(plain) else json.dumps(shown)
    if isinstance(plain, dict):
        return json.dumps(row.kind.render(value))
    return json.dumps(plain)  # of numbers, true, false, text and lists TOML and JSON agree


def codes_page() -> str:
    """Return docs/reference/codes.md: errors, close codes, exit codes."""
    errors = markdown_table(
        ("Code", "Name", "Meaning", "errno"),
        (
            (str(row.number), row.name, row.text, _errnos(row.number))
            for row in ERROR_CODES.values()
        ),
    )
    closes = markdown_table(
        ("Code", "Name", "In a close frame", "What a client should do"),
        (
            (str(row.number), row.name, "yes" if row.on_the_wire else "reported only", row.advice)
            for row in CLOSE_CODES.values()
        ),
    )
    exits = markdown_table(
        ("Code", "Name", "Meaning"),
        ((str(row.number), row.name, row.text) for row in EXIT_CODES.values()),
    )
    return f"{MADE}# Codes\n{ERRORS_TEXT}{errors}{CLOSES_TEXT}{closes}{EXITS_TEXT}{exits}"


def _errnos(code: int) -> str:
    return ", ".join(errno.errorcode[number] for number, of in ERRNO_CODES.items() if of == code)


def metrics_page() -> str:
    """Return docs/reference/metrics.md: one table for each place that values come from."""
    parts = [MADE, "# Metrics\n", METRICS_TEXT]
    for scope in metrics.Scope:
        rows = [metric for metric in metrics.METRICS if metric.scope is scope]
        labels = ", ".join(f"`{label}`" for label in rows[0].labels) or "none"
        parts.append(f"\n## {SCOPE_TITLES[scope]}\n\nFrom {scope.value}. Labels: {labels}.\n\n")
        parts.append(markdown_table(METRICS_HEAD, (_metric(metric) for metric in rows)))
    return "".join(parts)


def _metric(metric: metrics.Metric) -> tuple[str, ...]:
    is_joined = metric.scope is metrics.Scope.WORD
    key = f"`{metric.key}`" if metric.key else ""
    return (
        f"`{metric.sample}`",
        metric.kind.name.lower(),
        metric.base_unit,
        metric.text,
        metric.join.value if is_joined else "",
        key if metric.unit == metric.base_unit else f"{key} ({metric.unit})",
    )


def markdown_table(heads: tuple[str, ...], lines: Iterable[tuple[str, ...]]) -> str:
    rule = tuple("---" for _ in heads)
    shown = ((cell.replace("|", "\\|") for cell in line) for line in (heads, rule, *lines))
    return "".join(f"| {' | '.join(line)} |\n" for line in shown)
