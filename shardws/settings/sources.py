"""Settings from the environment and the command line, and all sources combined.

Owns the names SHARDWS_* and the options made from the rows; reads neither os.environ nor sys.argv:
both are arguments. Values are checked by the Settings they are given to.
"""

import argparse
from collections.abc import Mapping
from typing import Any, Final

from shardws.settings import names, tomlfile
from shardws.settings.row import Group, Row
from shardws.settings.table import ROWS
from shardws.settings.values import Assignment, Source

PREFIX: Final = "SHARDWS_"
CONFIG_VARIABLE: Final = "SHARDWS_CONFIG"  # path of a TOML file
CODEC_VARIABLE: Final = "SHARDWS_CODEC"  # read by protocol.codec
RESERVED: Final = frozenset({CONFIG_VARIABLE, CODEC_VARIABLE})
DESTINATION: Final = "setting_"  # prefix of our options in a namespace, to avoid name clashes

GROUP_TITLES: Final[dict[Group, str]] = {
    Group.LISTENING: "Listening",
    Group.SERVER: "Shards and supervisor",
    Group.MESSAGES: "Messages",
    Group.CONNECTIONS: "Connections",
    Group.SOCKETS: "Sockets",
    Group.QUEUES: "Queues",
    Group.ACCESS: "Access and limits",
    Group.TLS: "TLS",
    Group.LOGGING: "Logging",
}


def from_environment(environ: Mapping[str, str]) -> tuple[list[Assignment], list[str]]:
    """Return the assignments of SHARDWS_* variables, and a warning for each unknown one.

    An unknown variable is not an error: it may belong to another version or a wrapper script.
    """
    assignments: list[Assignment] = []
    warnings: list[str] = []
    for variable, text in sorted(environ.items()):
        if not variable.startswith(PREFIX) or variable in RESERVED:
            continue
        row = names.BY_KEY.get(names.key(variable.removeprefix(PREFIX)))
        if row is not None and row.is_settable:
            assignments.append(Assignment(row.name, text, Source.ENV, variable))
        else:
            warnings.append(_warning(variable))
    return assignments, warnings


def _warning(variable: str) -> str:
    close = names.nearest(variable.removeprefix(PREFIX))
    row = names.BY_KEY.get(names.key(close))
    hint = f"; did you mean {row.variable}?" if row is not None and row.variable else ""
    return f"{variable} is no setting and is ignored{hint}"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add an option for each setting that may be given on a command line."""
    for group in Group:
        section = parser.add_argument_group(GROUP_TITLES[group])
        for row in ROWS:
            if row.group is group and row.option:
                _add_option(section, row)


def _add_option(section: argparse._ArgumentGroup, row: Row[Any]) -> None:
    text = f"{row.text} (default: {row.show(row.default) or 'none'})".replace("%", "%%")
    destination = DESTINATION + row.name
    if row.is_bool:
        section.add_argument(
            row.option,
            dest=destination,
            action=argparse.BooleanOptionalAction,
            default=argparse.SUPPRESS,
            help=text,
        )
    else:
        section.add_argument(
            row.option,
            dest=destination,
            metavar=row.kind.metavar,
            default=argparse.SUPPRESS,
            help=text,
        )


def assignments(namespace: argparse.Namespace) -> list[Assignment]:
    """Return the assignments of the options that were given."""
    given = vars(namespace)
    return [
        Assignment(row.name, given[DESTINATION + row.name], Source.FLAG, row.option)
        for row in ROWS
        if DESTINATION + row.name in given
    ]


def gather(
    namespace: argparse.Namespace, environ: Mapping[str, str], path: str = ""
) -> tuple[list[Assignment], list[str]]:
    """Return the assignments of file, environment and flags, and warnings for the log.

    `path` is the TOML file; without it SHARDWS_CONFIG may name one. Raises what
    `tomlfile.read` raises.
    """
    path = path or environ.get(CONFIG_VARIABLE, "")
    from_file = tomlfile.read(path) if path else []
    from_env, warnings = from_environment(environ)
    return [*from_file, *from_env, *assignments(namespace)], warnings
