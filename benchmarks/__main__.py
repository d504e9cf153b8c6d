"""What a message, a connection and a shard cost; benchmarks/README.md describes the method.

The exit code is 0 on success, 1 when a run failed or a limit was exceeded, 2 when nothing could be
run: an option is wrong, or a tool is missing.
"""

import argparse
import sys
from collections.abc import Sequence
from typing import Protocol

from benchmarks.commands import check, compare, micro, routing, scaling, tls
from benchmarks.errors import CannotRun, RunFailed
from benchmarks.processes import end_on_term

FAILED, USAGE = 1, 2


class Command(Protocol):
    """The interface of a module in benchmarks/commands; its docstring is its help text."""

    def add_options(self, parser: argparse.ArgumentParser) -> None: ...
    def run(self, args: argparse.Namespace) -> int: ...


COMMANDS: dict[str, Command] = {
    "compare": compare,
    "scaling": scaling,
    "routing": routing,
    "tls": tls,
    "micro": micro,
    "check": check,
}


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """`run` is the function of the chosen command; raises SystemExit."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m benchmarks", None, __doc__, formatter_class=raw)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        text = command.__doc__ or ""
        title = text.partition("\n")[0]
        added = commands.add_parser(name, help=title, description=text, formatter_class=raw)
        command.add_options(added)
        added.set_defaults(run=command.run)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    args = parse_arguments(sys.argv[1:] if arguments is None else arguments)
    try:
        code: int = args.run(args)
    except CannotRun as error:
        print(f"{args.command}: {error}", file=sys.stderr)
        return USAGE
    except (RunFailed, OSError) as error:
        print(f"{args.command}: {error}", file=sys.stderr)
        return FAILED
    return code


if __name__ == "__main__":
    end_on_term()
    sys.exit(main())
