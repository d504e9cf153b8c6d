"""`shardws settings` and `shardws check`: the settings of a server, without starting one.

Owns what these two print and their exit codes. `settings` reads the same sources as `run` does, in
the same way; with MODULE:ATTR a probe child imports the application too.
"""

import argparse
import os

from shardws.errors import EXIT_OK, EXIT_USAGE
from shardws.settings import Settings, cross_checks, listing, sources, tomlfile
from shardws_supervisor.cli import output
from shardws_supervisor.plan import probe
from shardws_supervisor.plan.plan import Planner


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add both commands to the command line."""
    shown = commands.add_parser(
        "settings",
        help="show the settings that `run` would use, and where each comes from",
        description="Show the settings that `shardws run` would use with the same options, and"
        " where each comes from. Nothing is started; secrets are not shown.",
        allow_abbrev=False,
    )
    shown.add_argument("application", metavar="MODULE:ATTR", nargs="?", default="")
    shown.add_argument("--config", metavar="FILE", default="", help="TOML file with settings")
    shown.add_argument("--json", action="store_true", help="as JSON")
    shown.add_argument("--given", action="store_true", help="leave the defaults out of the table")
    sources.add_options(shown)
    shown.set_defaults(command=settings)
    checked = commands.add_parser(
        "check",
        help="check a settings file",
        description=f"Check a TOML file of settings, print each problem; exit code {EXIT_USAGE} if"
        " there are any.",
    )
    checked.add_argument("file", metavar="FILE")
    checked.set_defaults(command=check)


def settings(namespace: argparse.Namespace) -> int:
    """Print the settings; SettingError and StartError as for `run`."""
    given, warnings = sources.gather(namespace, os.environ, namespace.config)
    shown = Settings()
    if namespace.application:
        early = Planner(namespace.application, lambda: given).early()
        shown.load(probe.run(early.load, early.start_timeout))
    shown.apply(given)
    if namespace.json:
        output.raw(listing.as_json(shown))
    else:
        text = listing.as_text(shown, only_explicit=namespace.given)
        output.lines(text.removesuffix("\n").split("\n"))
    problems = [str(problem) for problem in cross_checks.problems(shown)]
    for line in [*warnings, *problems]:
        output.complain(line)
    return EXIT_USAGE if problems else EXIT_OK


def check(namespace: argparse.Namespace) -> int:
    """Print one line for each problem of a file."""
    problems = tomlfile.check(namespace.file)
    for problem in problems:
        output.complain(str(problem))
    if not problems:
        output.lines([f"{namespace.file}: no problems found"])
    return EXIT_USAGE if problems else EXIT_OK
