"""The command line `shardws`: parse, call, print, exit code.

Owns argument parsing and the report of errors: one line on stderr, exit code 2 for a wrong command
line or setting, 3 for a server that cannot start.
"""

import argparse
import os
import signal
from collections.abc import Callable, Sequence
from typing import Final

from shardws.control import failures
from shardws.errors import (
    EXIT_FAILED,
    EXIT_OK,
    EXIT_USAGE,
    ControlError,
    Refused,
    SettingError,
    ShardwsError,
    StartError,
    TLSSetupError,
    UsageError,
)
from shardws.settings import Assignment, sources
from shardws_supervisor.cli import operate, output, serve, settings
from shardws_supervisor.control import connections
from shardws_supervisor.system import signals, stdio, versions
from shardws_supervisor.upgrade import image

Command = Callable[[argparse.Namespace], int]

LEAST_INTERVAL: Final = 0.1
MOST_INTERVAL: Final = 20.0  # the server drops clients that are silent for 30 s


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code."""
    try:
        namespace = _parse(arguments)
        command: Command | None = getattr(namespace, "command", None)
        return EXIT_USAGE if command is None else command(namespace)
    except output.OutputError as error:
        # The reader closed the pipe, as in `shardws conns | head -3`: not a failure.
        return EXIT_OK if error.is_reader_gone else complain(str(error), EXIT_FAILED)
    except signals.Interrupted as error:  # such as while the probe imports
        code = EXIT_OK if error.number is signal.SIGTERM else 128 + error.number
        return complain(f"received {error.number.name} during startup", code)
    except KeyboardInterrupt:
        return complain("interrupted", 128 + signal.SIGINT)
    except ShardwsError as error:
        return complain(*_line_and_code(error))
    except OSError as error:  # refused by the system, such as a pipe when no descriptors are left
        where = f"{error.filename}: " if error.filename else ""
        return complain(f"{where}{error.strerror or error}", EXIT_FAILED)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = build_parser()
    try:
        namespace = parser.parse_args(arguments)
    except SystemExit as ended:
        if not ended.code:  # help or the version is in standard output's buffer
            output.raw("")
        raise
    if "command" not in namespace:
        output.to_stderr(parser.format_help())
    return namespace


def _line_and_code(error: ShardwsError) -> tuple[str, int]:
    """Return the text for an error, and the exit code."""
    match error:
        case TLSSetupError():
            return str(error), error.exit_code  # with its documented code
        case StartError():
            return error.description, error.exit_code
        case SettingError():
            return error.description, EXIT_USAGE
        case ControlError(code=failures.CHOOSE) if not isinstance(error, Refused):
            return error.description, EXIT_USAGE
        case _:
            return error.description, EXIT_FAILED


def complain(text: str, code: int) -> int:
    """Print the one line and return the exit code."""
    output.complain(text)
    return code


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="shardws",
        description="A WebSocket server for all cores: one port, N processes.",
        allow_abbrev=False,
    )
    version = f"shardws {versions.of('shardws')}"
    parser.add_argument("--version", action="version", version=version)
    commands = parser.add_subparsers(metavar="COMMAND")
    _add_run(commands)
    settings.add_commands(commands)
    _add_operation(commands, "status", operate.status, "state and figures, per shard").add_argument(
        "--json", action="store_true", help="as JSON"
    )
    top = _add_operation(commands, "top", operate.top, "like status, refreshed, with rates")
    top.add_argument("--interval", type=_interval, default=1.0, metavar="SECONDS")
    top.add_argument(
        "--count", type=_number, default=None, metavar="N", help="stop after N refreshes"
    )
    _add_operation(commands, "reload", operate.reload, "replace the shards one by one")
    _add_operation(commands, "upgrade", operate.upgrade, "change to the version now installed")
    scale = _add_operation(commands, "scale", operate.scale, "change the number of shards")
    scale.add_argument("shards", type=int, metavar="N")
    stop = _add_operation(commands, "stop", operate.stop, "stop the server and wait for its exit")
    stop.add_argument("--now", action="store_true", help="without waiting for clients")
    stop.add_argument("--no-wait", action="store_true", help="return at once")
    _add_operation(commands, "drain", operate.drain, "begin a graceful stop and return at once")
    _add_operation(commands, "reopen-logs", operate.reopen_logs, "reopen the log file")
    _add_connection_commands(commands)
    return parser


def _interval(text: str) -> float:
    """Parse seconds between refreshes; a server is queried at most ten times a second."""
    seconds = float(text)
    if not LEAST_INTERVAL <= seconds <= MOST_INTERVAL:  # nor is nan
        what = f"{LEAST_INTERVAL:g} to {MOST_INTERVAL:g} seconds, not {text}"
        raise argparse.ArgumentTypeError(what)
    return seconds


def _number(text: str) -> int:
    """Parse a number of items to show."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"1 or more, not {text}")
    return number


def _add_connection_commands(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> None:
    conns = _add_operation(commands, "conns", operate.conns, "list the newest connections")
    conns.add_argument("--shard", type=int, default=None, metavar="N", help="of this shard only")
    conns.add_argument("--sort", choices=connections.SORTED_BY, default="id")
    most = f"of each shard, at most {connections.MOST_LISTED}"
    conns.add_argument("--limit", type=_number, default=100, metavar="N", help=most)
    conns.add_argument(
        "--after", type=int, default=None, metavar="ID", help="older ones of the same shard"
    )
    conns.add_argument("--json", action="store_true", help="as JSON")
    conn = _add_operation(commands, "conn", operate.conn, "show one connection")
    conn.add_argument("id", type=int, metavar="ID")
    conn.add_argument("--json", action="store_true", help="as JSON")
    send = _add_operation(commands, "send", operate.send, "send a text to a connection")
    send.add_argument("id", type=int, metavar="ID")
    send.add_argument("text", metavar="TEXT")
    _add_disconnect(commands)


def _add_disconnect(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    disconnect = _add_operation(
        commands, "disconnect", operate.disconnect, "close a connection", aliases=["kick"]
    )
    who = disconnect.add_mutually_exclusive_group(required=True)
    who.add_argument("id", type=int, nargs="?", metavar="ID")
    who.add_argument("--ip", default="", metavar="ADDRESS", help="all from this address")
    disconnect.add_argument("--code", type=int, default=1000, metavar="N", help="close code")
    disconnect.add_argument("--reason", default="closed by the operator", metavar="TEXT")


def _add_operation(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    command: Command,
    text: str,
    aliases: Sequence[str] = (),
) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name, help=text, description=text.capitalize() + ".", aliases=aliases
    )
    parser.add_argument("--run-dir", default="", metavar="DIR", help="of the server to operate")
    parser.add_argument(
        "--local-port", type=int, default=None, metavar="N", help="of the server to operate"
    )
    parser.set_defaults(command=command)
    return parser


def _add_run(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    run = commands.add_parser(
        "run",
        help="serve an application",
        description="Serve an application. A setting may also come from a file, the environment"
        " (SHARDWS_*) or the application itself; a flag wins over all of them.",
        allow_abbrev=False,
    )
    run.add_argument("application", metavar="MODULE:ATTR", help="as in examples.demo:server")
    run.add_argument("--config", metavar="FILE", default="", help="TOML file with settings")
    sources.add_options(run)
    run.set_defaults(command=_run)
    # What a running server executes in a child before it upgrades to this version.
    rehearsal = commands.add_parser(image.REHEARSE, allow_abbrev=False)
    rehearsal.add_argument("application")
    rehearsal.add_argument("--config", default="")
    sources.add_options(rehearsal)
    rehearsal.set_defaults(command=_rehearse)


def _run(namespace: argparse.Namespace) -> int:
    stdio.complete()  # other commands report a closed standard output; a server runs without it
    state = image.taken(os.environ, os.getpid())
    if state is not None:
        return serve.go_on(namespace.application, _gather(namespace), state)
    return serve.serve(namespace.application, _gather(namespace))


def _rehearse(namespace: argparse.Namespace) -> int:
    state = image.taken(os.environ, os.getpid())
    if state is None:
        raise UsageError(f"{image.REHEARSE} is for a running server, when it upgrades")
    output.lines([serve.rehearse(namespace.application, _gather(namespace), state)])
    return EXIT_OK


def _gather(namespace: argparse.Namespace) -> Callable[[], list[Assignment]]:
    """Return what reads the settings; each warning is given once."""
    told: set[str] = set()

    def gather() -> list[Assignment]:
        assignments, warnings = sources.gather(namespace, os.environ, namespace.config)
        serve.warn([warning for warning in warnings if warning not in told])
        told.update(warnings)
        return assignments

    return gather
