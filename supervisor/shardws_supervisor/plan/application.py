"""The application: imports MODULE:ATTR and returns the server object, or says in one line why not.

Owns the import and the wording of its errors. It runs in children only: the supervisor never
imports the application, so that a reload sees the current files.

An error that may be temporary (no database yet) ends a start with EXIT_FAILED, on which a service
manager retries; code that cannot run as written ends it with EXIT_CANNOT_START.
"""

import importlib
import os
import traceback
from typing import Final

import shardws
from shardws.app import App
from shardws.errors import (
    EXIT_CANNOT_START,
    EXIT_FAILED,
    EXIT_USAGE,
    LASTING_ERRORS,
    StartError,
)
from shardws.settings import Settings
from shardws.settings.table import ROWS
from shardws.shard.application import Application
from shardws_supervisor.plan.directory import Directory
from shardws_supervisor.system import logs

NOT_THEIRS: Final = (
    "<frozen importlib",
    os.path.join(os.path.dirname(shardws.__file__), ""),
    os.path.join(os.path.dirname(os.path.dirname(__file__)), ""),
)


def split(reference: str) -> tuple[str, str]:
    """Return module and attribute of MODULE:ATTR; StartError (usage) when it is malformed."""
    module, mark, attribute = reference.partition(":")
    parts = [*module.split("."), *attribute.split(".")]
    if not mark or not all(part.isidentifier() for part in parts):
        raise StartError(
            f"{reference!r} is not an application: use MODULE:ATTR, {_hint(module, attribute)}",
            exit_code=EXIT_USAGE,
        )
    return module, attribute


def _hint(module: str, attribute: str) -> str:
    """Return what was probably meant: for a file name, a missing attribute or a call."""
    path = module.removesuffix(".py").removeprefix("./").replace("/", ".")
    name = attribute.removesuffix("()") or "server"
    if all(part.isidentifier() for part in [*path.split("."), *name.split(".")]):
        return f"such as {path}:{name} (a module as in `import`, and the server's name in it)"
    return "as in examples.demo:server"


def load(reference: str, directory: Directory) -> Application:
    """Change to the directory and import the application; StartError when that fails.

    The traceback of an error inside the application is the `__cause__`.
    """
    module, attribute = split(reference)
    directory.enter()
    _hide_secrets()
    try:
        with logs.kept():
            found: object = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name and (module == error.name or module.startswith(error.name + ".")):
            missing = f"no module named {error.name!r} (looked in {directory.name} first)"
            if module.endswith(".py"):
                missing += f"; use {module.removesuffix('.py')}:{attribute}"
            raise StartError(missing) from None
        raise _broken(reference, error) from error
    except (Exception, SystemExit) as error:
        raise _broken(reference, error) from error
    return _checked(_attribute(found, module, attribute), reference)


def _hide_secrets() -> None:
    """Remove secret settings from the environment: the supervisor has read them."""
    for row in ROWS:
        if row.sensitive and row.variable:
            os.environ.pop(row.variable, None)


def _attribute(found: object, module: str, attribute: str) -> object:
    for name in attribute.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            raise StartError(f"module {module!r} has no attribute {attribute!r}") from None
    return found


def _checked(found: object, reference: str) -> Application:
    if isinstance(found, type) or not isinstance(getattr(found, "settings", None), Settings):
        kind = f"the class {found.__name__}" if isinstance(found, type) else type(found).__name__
        raise StartError(f"{reference} is no App and no WebSocketServer but {kind}")
    # An App's server is what a shard serves, with the handlers of its routes in front.
    return found.server if isinstance(found, App) else found  # type: ignore[return-value]  # the check above is the protocol


def _broken(reference: str, error: BaseException) -> StartError:
    line = _line(error)
    exit_code = EXIT_CANNOT_START if isinstance(error, LASTING_ERRORS) else EXIT_FAILED
    return StartError(
        f"{reference} cannot be imported: {line} ({_place(error)})", exit_code=exit_code
    )


def _line(error: BaseException) -> str:
    """Return type and text of an error; `str` of it is the application's code and may fail."""
    try:
        return traceback.format_exception_only(error)[-1].strip()
    except Exception:  # noqa: BLE001 - the wording of an error must not replace it
        return f"{type(error).__name__} (its text could not be read)"


def _place(error: BaseException) -> str:
    """Return file:line of an error: of the bad source for SyntaxError, else where it was raised.

    For an error that this library raised, as for a bad setting: the line that called it.
    """
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [frame for frame in frames if not frame.filename.startswith(NOT_THEIRS)]
    return f"{theirs[-1].filename}:{theirs[-1].lineno}" if theirs else "in no source file"
