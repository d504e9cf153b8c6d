"""The application: MODULE:ATTR becomes a WebSocketServer object, or one clear line says why not.

Owns the import and the wording of what can go wrong in it; knows no process. It runs in children
alone: the supervisor never imports the application, so that a reload sees the files of the day.

An error that may pass by itself (no database yet) ends a start with EXIT_FAILED, which a service
manager retries; code that cannot run as it is written with EXIT_CANNOT_START.
"""

import importlib
import os
import traceback
from typing import Final

import shardws
from shardws.errors import EXIT_CANNOT_START, EXIT_FAILED, EXIT_USAGE, StartError, UsageError
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
LASTING: Final = (ImportError, SyntaxError, NameError, UsageError)  # no second try helps


def split(reference: str) -> tuple[str, str]:
    """Return module and attribute of MODULE:ATTR; StartError (usage) when it is none."""
    module, mark, attribute = reference.partition(":")
    parts = [*module.split("."), *attribute.split(".")]
    if not mark or not all(part.isidentifier() for part in parts):
        raise StartError(
            f"{reference!r} names no application: say MODULE:ATTR, {_hint(module, attribute)}",
            exit_code=EXIT_USAGE,
        )
    return module, attribute


def _hint(module: str, attribute: str) -> str:
    """Return what was probably meant: a file was named, or no attribute, or a call."""
    path = module.removesuffix(".py").removeprefix("./").replace("/", ".")
    name = attribute.removesuffix("()") or "server"
    if all(part.isidentifier() for part in [*path.split("."), *name.split(".")]):
        return f"such as {path}:{name} (a module as in `import`, and the server's name in it)"
    return "as in examples.demo:server"


def load(reference: str, directory: Directory) -> Application:
    """Go to the directory and import the application from it; StartError tells why it cannot be.

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
                missing += f"; say {module.removesuffix('.py')}:{attribute}"
            raise StartError(missing) from None
        raise _broken(reference, error) from error
    except (Exception, SystemExit) as error:
        raise _broken(reference, error) from error
    return _checked(_attribute(found, module, attribute), reference)


def _hide_secrets() -> None:
    """Take secret settings out of the environment: the supervisor has read them."""
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
        raise StartError(f"{reference} is not a WebSocketServer object but {kind}")
    return found  # type: ignore[return-value]  # the check above is the protocol


def _broken(reference: str, error: BaseException) -> StartError:
    line = _line(error)
    exit_code = EXIT_CANNOT_START if isinstance(error, LASTING) else EXIT_FAILED
    return StartError(
        f"{reference} cannot be imported: {line} ({_place(error)})", exit_code=exit_code
    )


def _line(error: BaseException) -> str:
    """Return kind and text of an error; its text is the application's code and may fail."""
    try:
        return traceback.format_exception_only(error)[-1].strip()
    except Exception:  # noqa: BLE001 - the wording of an error must not replace it
        return f"{type(error).__name__} without a readable text"


def _place(error: BaseException) -> str:
    """Return file:line of an error: of the bad source for SyntaxError, else where it was raised.

    For an error that this library raised, as for a bad setting: the line that asked for it.
    """
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [frame for frame in frames if not frame.filename.startswith(NOT_THEIRS)]
    return f"{theirs[-1].filename}:{theirs[-1].lineno}" if theirs else "in no file of its own"
